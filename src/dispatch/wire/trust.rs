//! Which authorities are trusted.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::{ClientConfig, RootCertStore};

use crate::env::read_at_most;

/// The most a bundle may hold; all public authorities together need a fraction of it.
const MAX_BUNDLE_BYTES: u64 = 4 * 1024 * 1024;

/// Why an extra CA bundle is refused.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file cannot be read, or is not PEM.
    #[error("cannot read PEM certificates from the file: {0}")]
    Unreadable(pem::Error),
    /// The file is larger than any bundle, or has no end.
    #[error("the file has more than the {MAX_BUNDLE_BYTES} bytes that are read")]
    TooLarge,
    /// The file holds no certificate.
    #[error("the file holds no certificate (-----BEGIN CERTIFICATE-----)")]
    Empty,
    /// A certificate that TLS cannot use.
    #[error("a certificate in the file is not usable: {0}")]
    Unusable(rustls::Error),
}

/// The public authorities, and those of `UPSTREAM_CA`. Verification cannot be turned off.
///
/// # Errors
/// [`TrustError`] when the bundle is no PEM file with certificates.
pub fn trust(extra_ca: Option<&Path>) -> Result<Arc<ClientConfig>, TrustError> {
    let mut roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    if let Some(path) = extra_ca {
        let bundle = read_at_most(path, MAX_BUNDLE_BYTES)
            .map_err(|e| TrustError::Unreadable(pem::Error::Io(e)))?
            .ok_or(TrustError::TooLarge)?;
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(&bundle)
            .collect::<Result<_, _>>()
            .map_err(TrustError::Unreadable)?;
        if certificates.is_empty() {
            return Err(TrustError::Empty);
        }
        for certificate in certificates {
            roots.add(certificate).map_err(TrustError::Unusable)?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TrustError::Unusable)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
