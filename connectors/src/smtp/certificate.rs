//! The certificate of the mail door: read from the same files as the front desk's, taken up anew when they are replaced.
//! Never: a certificate that does not read takes the place of one that does.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

use crate::{error::Result, tls};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(60);

pub struct Certificate {
    certificate: PathBuf,
    private_key: PathBuf,
    current: Mutex<Arc<ServerConfig>>,
}

impl Certificate {
    /// # Errors
    /// `Setup`, naming the file that cannot be read or does not fit.
    pub fn read(certificate: &Path, private_key: &Path) -> Result<Self> {
        let current = tls::mail_server_config(certificate, private_key)?;
        Ok(Self { certificate: certificate.to_owned(), private_key: private_key.to_owned(), current: Mutex::new(current) })
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone().into()
    }

    /// Never ends.
    pub(super) async fn renew(&self) {
        let mut last = self.changed_at();
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = self.changed_at();
            if now != last && self.take_up() {
                last = now;
            }
        }
    }

    /// `false` when what lies there now does not serve.
    pub(super) fn take_up(&self) -> bool {
        match tls::mail_server_config(&self.certificate, &self.private_key) {
            Ok(fresh) => {
                *self.current.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
                tracing::info!(target: "smtp.tls", "took up the new certificate");
                true
            }
            Err(error) => {
                tracing::error!(target: "smtp.tls", %error, "the new certificate does not serve; the old one stays");
                false
            }
        }
    }

    fn changed_at(&self) -> [Option<SystemTime>; 2] {
        [&self.certificate, &self.private_key].map(|path| std::fs::metadata(path).and_then(|meta| meta.modified()).ok())
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}
