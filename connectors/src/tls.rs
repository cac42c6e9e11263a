//! The certificate that the front desk shows: read from files, or made for a machine that has none yet.
//! Promise: TLS 1.2 and 1.3 by rustls, its own choice of ciphers; a private key is readable by its owner alone.
//! Never: a certificate made here is one that anybody else trusts: it is for a first look, on the same machine.

use std::{io::Write, os::unix::fs::OpenOptionsExt, path::Path, sync::Arc};

use chrono::{DateTime, Datelike, TimeDelta, Utc};
use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::error::{Error, ErrorKind, Result};

mod shown;

pub use shown::Shown;

/// Who the made certificate is for.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
/// As long as a certificate may be good for by the CA/Browser Forum's baseline of 2020.
const DAYS: i64 = 397;

/// What a server needs, from a PEM chain (the server's own certificate first) and its private key.
///
/// # Errors
/// `Setup`, naming the file that cannot be read or does not fit.
pub fn server_config(certificate: &Path, private_key: &Path) -> Result<Arc<ServerConfig>> {
    let mut config = config(certificate, private_key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The same for SMTP, which names no protocol in the handshake.
pub fn mail_server_config(certificate: &Path, private_key: &Path) -> Result<Arc<ServerConfig>> {
    config(certificate, private_key).map(Arc::new)
}

fn config(certificate: &Path, private_key: &Path) -> Result<ServerConfig> {
    let cannot = |path: &Path| format!("cannot read {}", path.display());
    let setup =
        |message: String| move |error: rustls::pki_types::pem::Error| Error::new(ErrorKind::Setup, message).with_source(error);
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
        .map_err(setup(cannot(certificate)))?;
    let key = PrivateKeyDer::from_pem_file(private_key).map_err(setup(cannot(private_key)))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map(|builder| builder.with_no_client_auth())
        .and_then(|builder| builder.with_single_cert(chain, key))
        .map_err(|error| {
            let message = format!("{} and {} do not go together", certificate.display(), private_key.display());
            Error::new(ErrorKind::Setup, message).with_source(error)
        })
}

/// Makes a self-signed certificate for this machine's own names, unless one is there that is good for another month.
/// `true` when it did.
pub fn make_development_certificate(certificate: &Path, private_key: &Path, now: DateTime<Utc>) -> Result<bool> {
    let made_at = std::fs::metadata(certificate).and_then(|meta| meta.modified()).map(DateTime::<Utc>::from);
    let is_young = made_at.is_ok_and(|at| now - at < TimeDelta::days(DAYS - 30));
    if is_young && private_key.is_file() {
        return Ok(false);
    }
    let failed = |error| Error::new(ErrorKind::Internal, "a development certificate could not be made").with_source(error);
    let mut parameters = CertificateParams::new(NAMES.map(str::to_owned)).map_err(failed)?;
    let day = |at: DateTime<Utc>| rcgen::date_time_ymd(at.year(), at.month() as u8, at.day() as u8);
    parameters.not_before = day(now - TimeDelta::days(1));
    parameters.not_after = day(now + TimeDelta::days(DAYS));
    let key = KeyPair::generate().map_err(failed)?;
    let made = parameters.self_signed(&key).map_err(failed)?;
    write(private_key, key.serialize_pem().as_bytes(), 0o600)?;
    write(certificate, made.pem().as_bytes(), 0o644)?;
    Ok(true)
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let cannot = |error| Error::new(ErrorKind::Setup, format!("cannot write {}", path.display())).with_source(error);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(cannot)?;
    }
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path).map_err(cannot)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(cannot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_certificate_serves_is_made_once_and_its_key_is_private() {
        let folder = tempfile::tempdir().expect("a folder");
        let (certificate, key) = (folder.path().join("tls/dev.pem"), folder.path().join("tls/dev.key"));
        let now = crate::clock::Clock::now(&crate::clock::SystemClock);
        assert!(make_development_certificate(&certificate, &key, now).expect("made"));
        let first = std::fs::read(&certificate).expect("there");
        assert!(!make_development_certificate(&certificate, &key, now).expect("there"));
        assert_eq!(std::fs::read(&certificate).expect("there"), first);
        // Before it runs out there is another.
        assert!(make_development_certificate(&certificate, &key, now + TimeDelta::days(DAYS - 29)).expect("made"));
        assert_ne!(std::fs::read(&certificate).expect("there"), first);
        server_config(&certificate, &key).expect("serves");
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&key).expect("there").permissions());
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn files_that_are_no_pair_are_refused_by_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let now = crate::clock::Clock::now(&crate::clock::SystemClock);
        make_development_certificate(&path("a.pem"), &path("a.key"), now).expect("made");
        make_development_certificate(&path("b.pem"), &path("b.key"), now).expect("made");
        let error = server_config(&path("a.pem"), &path("b.key")).expect_err("two keys");
        assert_eq!(error.kind(), ErrorKind::Setup);
        assert!(error.to_string().contains("a.pem") && error.to_string().contains("b.key"), "{error}");
        let error = server_config(&path("none.pem"), &path("a.key")).expect_err("not there");
        assert!(error.to_string().contains("none.pem"), "{error}");
    }
}
