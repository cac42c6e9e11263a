//! The role `mail`: the mail door with the intake behind it, what it refuses written down, and the Maildir.
//! Promise: its addresses are bound before the process says that it is ready; a stop lets messages under way end within the
//! drain time.

use std::{os::unix::fs::PermissionsExt, path::Path, sync::Arc};

use bonded_connectors::smtp::{Certificate, Door, Kind, Limits, Server};
use chrono::{DateTime, Utc};
use tokio::{
    net::{TcpListener, UnixListener},
    sync::watch,
};

use super::{Shop, Stopped, pause, stopped};
use crate::{
    api,
    error::{Error, Result},
    intake::{maildir::Maildir, postbox::Intake, refusals::refusals},
    settings::{Lmtp, Settings},
};

/// Bound addresses that do not answer yet.
#[derive(Debug)]
pub(super) struct Doors {
    doors: Vec<Door>,
    /// As the ready line tells them.
    pub addresses: Vec<String>,
    certificate: Option<Arc<Certificate>>,
    host: String,
    maildir: Option<Maildir>,
}

impl Doors {
    /// # Errors
    /// `Setup` without a domain, when an address is taken, the certificate does not read, or the Maildir is none.
    pub async fn open(settings: &Settings, now: DateTime<Utc>) -> Result<Self> {
        let mail = &settings.mail_in;
        let domain = mail.domain.as_deref();
        let domain =
            domain.ok_or_else(|| Error::setup("the role `mail` needs the domain of its addresses; set mail_in.domain"))?;
        let (mut doors, mut addresses) = (Vec::new(), Vec::new());
        for (address, kind, scheme) in [(mail.smtp_address()?, Kind::Smtp, "smtp"), (mail.tls_address()?, Kind::Smtps, "smtps")] {
            let Some(address) = address else { continue };
            let listener = bound(address).await?;
            addresses.push(format!("{scheme}://{}", local(&listener)?));
            doors.push(Door::Tcp(listener, kind));
        }
        match mail.lmtp_place()? {
            Some(Lmtp::Tcp(address)) => {
                let listener = bound(address).await?;
                addresses.push(format!("lmtp://{}", local(&listener)?));
                doors.push(Door::Tcp(listener, Kind::Lmtp));
            }
            Some(Lmtp::Unix(path)) => {
                doors.push(Door::Unix(socket(&path)?));
                addresses.push(format!("lmtp:unix:{}", path.display()));
            }
            None => {}
        }
        let certificate = match doors.iter().any(|door| matches!(door, Door::Tcp(_, Kind::Smtp | Kind::Smtps))) {
            true => {
                let (certificate, private_key) = api::certificate_files(settings, now)?;
                Some(Arc::new(Certificate::read(&certificate, &private_key)?))
            }
            false => None,
        };
        let maildir = mail.maildir.as_deref().map(|folder| Maildir::open(folder, message_bytes_max(settings))).transpose()?;
        let host = mail.host.as_deref().unwrap_or(domain).to_owned();
        Ok(Self { doors, addresses, certificate, host, maildir })
    }
}

/// Takes mail in until it is stopped.
pub(super) async fn run(shop: Arc<Shop>, doors: Doors, stop: watch::Receiver<bool>) -> Stopped {
    let settings = &shop.house.settings;
    let limits = Limits { message_bytes_max: message_bytes_max(settings), ..settings.mail_in.limits() };
    let drain = settings.serve.drain();
    let (refusals, recorder) = refusals(shop.house.clone());
    let intake = Arc::new(Intake::new(shop.clone(), refusals));
    let server = Server::new(intake.clone(), limits, doors.host, doors.certificate, settings.mail_in.starttls_required);
    let recording = tokio::spawn(recorder.run());
    let looking = async {
        match doors.maildir {
            Some(maildir) => watch_maildir(&shop, maildir, &intake, stop.clone()).await,
            None => stopped(&mut stop.clone()).await,
        }
    };
    tokio::join!(Arc::new(server).serve(doors.doors, stop.clone(), drain), looking);
    // What was refused last is written down before the process ends; a delivery that is still under way holds the intake.
    drop(intake);
    if tokio::time::timeout(drain, recording).await.is_err() {
        tracing::warn!(target: "serve.mail", "a message was still being kept when the process ended; its client was not answered");
    }
    Stopped::default()
}

/// A message is a file like any other: a house that takes smaller ones takes no larger message.
pub(super) fn message_bytes_max(settings: &Settings) -> u64 {
    settings.mail_in.message_bytes_max.min(settings.ingest.file_bytes_max)
}

async fn watch_maildir(shop: &Shop, mut maildir: Maildir, intake: &Intake, mut stop: watch::Receiver<bool>) {
    loop {
        if let Err(error) = maildir.look(intake).await {
            tracing::warn!(target: "serve.mail", %error);
        }
        if !pause(shop.house.settings.serve.settle(), &mut stop).await {
            return;
        }
    }
}

async fn bound(address: std::net::SocketAddr) -> Result<TcpListener> {
    let cannot =
        |error| Error::setup(format!("cannot listen on {address}; is it taken, or does it need more rights?")).with_source(error);
    TcpListener::bind(address).await.map_err(cannot)
}

fn local(listener: &TcpListener) -> Result<std::net::SocketAddr> {
    listener.local_addr().map_err(|error| Error::setup("a bound address has no name").with_source(error))
}

/// For this machine's mail server: its group may write, nobody else.
fn socket(path: &Path) -> Result<UnixListener> {
    let cannot = |error| Error::setup(format!("cannot listen on {}", path.display())).with_source(error);
    // What a process that was killed left; one that is alive answers.
    let is_socket =
        std::fs::symlink_metadata(path).is_ok_and(|meta| std::os::unix::fs::FileTypeExt::is_socket(&meta.file_type()));
    if is_socket && std::os::unix::net::UnixStream::connect(path).is_err() {
        std::fs::remove_file(path).map_err(cannot)?;
    }
    let listener = UnixListener::bind(path).map_err(cannot)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).map_err(cannot)?;
    Ok(listener)
}
