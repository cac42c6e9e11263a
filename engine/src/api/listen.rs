//! The door on the network: sockets, TLS, how many may stand in it and for how long.
//! Promise: a slow or silent client holds one seat and no worker; a certificate that is replaced on disk is taken up
//! without a restart; a stop lets answers under way end.
//! Never: plain HTTP, unless settings say so for a loopback address.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use axum::Router;
use axum_server::{
    Handle,
    accept::Accept,
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use bonded_connectors::{lake::is_s3, tls};
use chrono::{DateTime, Utc};
use hyper_util::rt::TokioTimer;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore, watch},
};

use crate::{
    error::{Error, Result},
    settings::{ApiSettings, Settings},
};

/// For the whole head of a request, and for a TLS handshake.
const HEAD_TIME_MAX: Duration = Duration::from_secs(10);
/// How long answers under way may go on after a stop.
const DRAIN: Duration = Duration::from_secs(10);
/// How often the certificate's files are looked at.
const CERTIFICATE_LOOK: Duration = Duration::from_secs(60);
/// Of one request's head, in bytes; hyper's own minimum is 8 KiB.
const HEAD_BYTES_MAX: usize = 32 << 10;
const HEADERS_MAX: usize = 64;

/// A bound address that does not answer yet.
pub(crate) struct Door {
    listener: TcpListener,
    pub address: SocketAddr,
    tls: Option<(RustlsConfig, Certificate)>,
    seats: Arc<Semaphore>,
}

#[derive(Clone, Debug)]
struct Certificate {
    certificate: PathBuf,
    private_key: PathBuf,
}

impl Door {
    /// # Errors
    /// `Setup` when the address is taken, the certificate does not read, or plain HTTP would leave the machine.
    pub fn open(settings: &Settings, now: DateTime<Utc>) -> Result<Self> {
        let api = &settings.api;
        let address = api.address()?;
        if api.plain && !address.ip().is_loopback() {
            return Err(Error::setup(format!("api.plain is for loopback addresses only, and api.listen is {address}")));
        }
        let tls = match api.plain {
            true => None,
            false => {
                let files = certificate(settings, api, now)?;
                let config = tls::server_config(&files.certificate, &files.private_key)?;
                Some((RustlsConfig::from_config(config), files))
            }
        };
        let cannot = |error| Error::setup(format!("cannot listen on {address}; is it taken?")).with_source(error);
        let listener = TcpListener::bind(address).map_err(cannot)?;
        listener.set_nonblocking(true).map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        Ok(Self { listener, address, tls, seats: Arc::new(Semaphore::new(api.connections_max)) })
    }

    pub fn url(&self) -> String {
        format!("{}://{}", if self.is_plain() { "http" } else { "https" }, self.address)
    }

    pub fn is_plain(&self) -> bool {
        self.tls.is_none()
    }

    /// Answers until it is stopped.
    pub async fn serve(self, router: Router, mut stop: watch::Receiver<bool>) -> io::Result<()> {
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let handle = Handle::new();
        let ending = handle.clone();
        let watching = self.tls.clone();
        let stopping = tokio::spawn(async move {
            let renewing = renew(watching);
            tokio::select! {
                // An error means that nobody is left who could ask for a stop.
                _ = stop.wait_for(|stop| *stop) => {}
                () = renewing => {}
            }
            ending.graceful_shutdown(Some(DRAIN));
        });
        let seats = Seats(self.seats);
        let served = match self.tls {
            Some((config, _)) => {
                let acceptor = RustlsAcceptor::new(config).handshake_timeout(HEAD_TIME_MAX).acceptor(seats);
                let mut server = axum_server::from_tcp(self.listener)?.acceptor(acceptor).handle(handle);
                limit(server.http_builder());
                server.serve(service).await
            }
            None => {
                let mut server = axum_server::from_tcp(self.listener)?.acceptor(seats).handle(handle);
                limit(server.http_builder());
                server.serve(service).await
            }
        };
        stopping.abort();
        served
    }
}

fn limit(builder: &mut hyper_util::server::conn::auto::Builder<hyper_util::rt::TokioExecutor>) {
    let mut http = builder.http1();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME_MAX).max_buf_size(HEAD_BYTES_MAX).max_headers(HEADERS_MAX);
}

/// The certificate's files and its private key's, for the other door of the house.
pub(crate) fn certificate_files(settings: &Settings, now: DateTime<Utc>) -> Result<(PathBuf, PathBuf)> {
    let files = certificate(settings, &settings.api, now)?;
    Ok((files.certificate, files.private_key))
}

/// As settings name it, or the one that `bonded init` makes beside the lake.
fn certificate(settings: &Settings, api: &ApiSettings, now: DateTime<Utc>) -> Result<Certificate> {
    match (&api.certificate, &api.private_key) {
        (Some(certificate), Some(private_key)) => {
            Ok(Certificate { certificate: certificate.clone(), private_key: private_key.clone() })
        }
        (None, None) => development_certificate(settings, now),
        _ => Err(Error::setup("api.certificate and api.private_key go together; set both or none")),
    }
}

fn development_certificate(settings: &Settings, now: DateTime<Utc>) -> Result<Certificate> {
    let folder = settings.tls_dir()?;
    let files = Certificate { certificate: folder.join("development.pem"), private_key: folder.join("development.key") };
    if tls::make_development_certificate(&files.certificate, &files.private_key, now)? {
        tracing::warn!(target: "api.tls", "made a certificate for this machine's own names; set api.certificate for others");
    }
    Ok(files)
}

/// Takes up a certificate that was replaced on disk. One that does not read leaves the one in use. Never ends.
async fn renew(tls: Option<(RustlsConfig, Certificate)>) {
    let Some((config, files)) = tls else { return std::future::pending().await };
    let mut last = changed(&files);
    loop {
        tokio::time::sleep(CERTIFICATE_LOOK).await;
        let now = changed(&files);
        if now == last {
            continue;
        }
        match tls::server_config(&files.certificate, &files.private_key) {
            Ok(fresh) => {
                config.reload_from_config(fresh);
                last = now;
                tracing::info!(target: "api.tls", "took up the new certificate");
            }
            Err(error) => tracing::error!(target: "api.tls", %error, "the new certificate does not serve; the old one stays"),
        }
    }
}

fn changed(files: &Certificate) -> [Option<SystemTime>; 2] {
    [&files.certificate, &files.private_key].map(|path| std::fs::metadata(path).and_then(|meta| meta.modified()).ok())
}

/// Gives each connection a seat, and none to one too many: it is closed at once, which costs nothing.
#[derive(Clone)]
struct Seats(Arc<Semaphore>);

impl<S: Send + 'static> Accept<TcpStream, S> for Seats {
    type Stream = Seated;
    type Service = S;
    type Future = std::future::Ready<io::Result<(Seated, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let seated = self.0.clone().try_acquire_owned().map_err(|_| io::Error::other("every seat is taken"));
        std::future::ready(seated.and_then(|seat| {
            stream.set_nodelay(true)?;
            Ok((Seated { stream, _seat: seat }, service))
        }))
    }
}

struct Seated {
    stream: TcpStream,
    _seat: OwnedSemaphorePermit,
}

impl AsyncRead for Seated {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Seated {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// For `bonded init`: so that the first `serve` has one and people know where it lies.
pub(crate) fn prepare(settings: &Settings, now: DateTime<Utc>) -> Result<()> {
    // A lake in a bucket has nothing beside it; then `serve` asks for api.certificate.
    if is_s3(&settings.lake) && settings.store.folder.is_none() {
        return Ok(());
    }
    development_certificate(settings, now).map(drop)
}
