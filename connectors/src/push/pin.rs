//! Pins: which keys a server may show, held beside the ordinary check of its certificate.
//! Promise: the ordinary check comes first and is never left out; with pins, the server's own key is one of them, or nothing is
//! sent.
//! Never: a certificate of the chain satisfies a pin: what a server shows beside its own proves nothing of whose key is used.

use std::{fmt, str::FromStr, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::digest;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
    server::ParsedCertificate,
};

use crate::error::{Error, ErrorKind, Result};

const PREFIX: &str = "sha256/";

/// SHA-256 of a certificate's SubjectPublicKeyInfo, as RFC 7469 pins are: `sha256/BASE64`. A new certificate of the same
/// key has the same pin.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Pin([u8; digest::SHA256_OUTPUT_LEN]);

impl Pin {
    fn of(certificate: &CertificateDer<'_>) -> std::result::Result<Self, rustls::Error> {
        let key = ParsedCertificate::try_from(certificate)?.subject_public_key_info();
        let mut pin = [0; digest::SHA256_OUTPUT_LEN];
        pin.copy_from_slice(digest::digest(&digest::SHA256, &key).as_ref());
        Ok(Self(pin))
    }
}

impl FromStr for Pin {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bytes = text.strip_prefix(PREFIX).and_then(|text| STANDARD.decode(text).ok());
        let pin = bytes.and_then(|bytes| bytes.try_into().ok());
        pin.map(Self).ok_or_else(|| {
            let message = format!("pin `{}` is not like sha256/BASE64 of 32 bytes", text.escape_default());
            Error::new(ErrorKind::Input, message)
        })
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The server shows a key that is none of the pins.
#[derive(Debug)]
pub(super) struct WrongPin(Pin);

impl fmt::Display for WrongPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server's key is {}, which is none of the pins", self.0)
    }
}

impl std::error::Error for WrongPin {}

/// TLS 1.2 and 1.3 with these authorities (PEM), or those that browsers trust where there are none, and these pins.
pub(super) fn client_config(authorities: Option<&[u8]>, pins: &[Pin]) -> Result<ClientConfig> {
    let setup = |message: &str| Error::new(ErrorKind::Setup, message);
    let mut roots = RootCertStore::empty();
    match authorities {
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate =
                    certificate.map_err(|error| setup("the authorities do not read as PEM certificates").with_source(error))?;
                roots.add(certificate).map_err(|error| setup("an authority is none").with_source(error))?;
            }
            if roots.is_empty() {
                return Err(setup("the authorities hold no certificate in PEM form"));
            }
        }
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let made = || {
        let ordinary = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
        let ordinary = ordinary.map_err(|error| setup("no verifier of certificates").with_source(error))?;
        let pinned = Arc::new(Pinned { ordinary, pins: pins.to_vec(), provider: provider.clone() });
        let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| setup("no TLS").with_source(error))?;
        Ok(builder.dangerous().with_custom_certificate_verifier(pinned).with_no_client_auth())
    };
    made()
}

#[derive(Debug)]
struct Pinned {
    ordinary: Arc<WebPkiServerVerifier>,
    pins: Vec<Pin>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        let verified = self.ordinary.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        let shown = Pin::of(end_entity)?;
        match self.pins.is_empty() || self.pins.contains(&shown) {
            true => Ok(verified),
            false => Err(CertificateError::Other(OtherError(Arc::new(WrongPin(shown)))).into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
