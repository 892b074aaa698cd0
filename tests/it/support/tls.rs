//! An `Upstream` behind TLS, with a CA of its own and the usual ways to be wrong.

use std::ops::Deref;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::{Reply, Request, Upstream};

/// Which certificate the server shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// For `localhost`, from the CA that `ca_pem` holds.
    Good,
    /// The same, over since 2001.
    Expired,
    /// From the CA, for another host.
    WrongHost,
    /// For `localhost`, signed by itself; `ca_pem` is still the CA, which has nothing to do with it.
    SelfSigned,
}

/// Is an `Upstream` in everything but `url`.
pub struct TlsUpstream {
    upstream: Upstream,
    ca_pem: String,
}

impl TlsUpstream {
    pub fn start(
        certificate: Certificate,
        handler: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let (config, ca_pem) = server_config(certificate);
        Self {
            upstream: Upstream::start_with(Some(Arc::new(config)), handler),
            ca_pem,
        }
    }

    /// `https://localhost:port`.
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.upstream.addr().port())
    }

    /// The CA certificate, to be put into the file that `UPSTREAM_CA` names.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }
}

impl Deref for TlsUpstream {
    type Target = Upstream;

    fn deref(&self) -> &Upstream {
        &self.upstream
    }
}

fn server_config(certificate: Certificate) -> (ServerConfig, String) {
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    let ca_key = KeyPair::generate().unwrap();
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let issuer = Issuer::new(ca, ca_key);

    let host = if certificate == Certificate::WrongHost {
        "elsewhere.test"
    } else {
        "localhost"
    };
    let mut leaf = CertificateParams::new(vec![host.to_owned()]).unwrap();
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    if certificate == Certificate::Expired {
        (leaf.not_before, leaf.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(2001, 1, 1));
    }
    let key = KeyPair::generate().unwrap();
    let signed = match certificate {
        Certificate::SelfSigned => leaf.self_signed(&key),
        _ => leaf.signed_by(&key, &issuer),
    };
    let key_der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![signed.unwrap().der().clone()], key_der)
        .unwrap();
    (config, ca_pem)
}
