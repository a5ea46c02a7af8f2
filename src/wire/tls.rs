//! TLS of clients, by rustls: certificate and key from files, which are read again when the server is told to; sessions that are open
//! keep what they have. Knows certificates; knows nothing of who may come in.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;
use ring::digest::{SHA256, SHA384, SHA512, digest};
use serde::Deserialize;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring as provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ProtocolVersion, RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion};
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::x509::AttributeTypeAndValue;

use crate::error::{Error, Result};
use crate::sql::activity::Encryption;

/// What clients call the protocol within TLS; who opens TLS without asking first must name it.
pub const ALPN: &[u8] = b"postgresql";

/// The oldest version of TLS that is taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
pub enum TlsVersion {
    /// 1.2 and 1.3.
    #[default]
    #[serde(rename = "1.2")]
    #[value(name = "1.2")]
    V1_2,
    /// 1.3 alone.
    #[serde(rename = "1.3")]
    #[value(name = "1.3")]
    V1_3,
}

/// Where certificates are; PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate, and behind it those that lead to a root.
    pub certificate: PathBuf,
    /// Its key, which nobody else may read.
    pub key: PathBuf,
    /// Roots of clients' certificates; absent: clients are not asked for any.
    pub client_ca: Option<PathBuf>,
    /// The oldest version that is taken.
    pub min_version: TlsVersion,
}

/// What is loaded of them now.
pub struct Tls {
    files: TlsFiles,
    loaded: RwLock<Arc<Loaded>>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tls({})", self.files.certificate.display())
    }
}

/// One reading of the files.
pub struct Loaded {
    /// Begins connections.
    pub acceptor: TlsAcceptor,
    /// Hash of the certificate, as channel binding wants it.
    pub end_point: Option<Vec<u8>>,
}

/// What is known of one connection.
#[derive(Debug, Clone)]
pub struct Secured {
    /// Hash of the server's certificate; absent if its signature names no hash.
    pub end_point: Option<Vec<u8>>,
    /// Whom the client's certificate names (CN), if it has shown one. Its chain is checked.
    pub client_name: Option<String>,
    /// What others see of it.
    pub encryption: Encryption,
}

impl Tls {
    /// Reads the files. Blocking.
    ///
    /// # Errors
    /// One cannot be read or is none, others may read the key, or it is not the certificate's.
    pub fn load(files: TlsFiles) -> Result<Self> {
        let loaded = RwLock::new(Arc::new(load(&files)?));
        Ok(Self { files, loaded })
    }

    /// Reads the files again, for connections from now on. Blocking.
    ///
    /// # Errors
    /// As [`Self::load`]; then what was loaded before stays.
    pub fn reload(&self) -> Result<()> {
        let loaded = load(&self.files)?;
        *self.loaded.write() = Arc::new(loaded);
        Ok(())
    }

    /// What holds for the next connection.
    pub fn now(&self) -> Arc<Loaded> {
        Arc::clone(&self.loaded.read())
    }
}

impl Loaded {
    /// What is known of a connection that was begun with it.
    pub fn secured(&self, connection: &ServerConnection) -> Secured {
        let certificate = connection.peer_certificates().and_then(|chain| chain.first());
        let suite =
            connection.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite())).unwrap_or_default();
        let is_1_3 = connection.protocol_version() == Some(ProtocolVersion::TLSv1_3);
        let encryption = Encryption {
            version: if is_1_3 { "TLSv1.3" } else { "TLSv1.2" }.to_owned(),
            bits: if suite.contains("AES_128") { 128 } else { 256 },
            cipher: cipher_name(&suite),
            client_dn: certificate.and_then(subject),
        };
        Secured { end_point: self.end_point.clone(), client_name: certificate.and_then(common_name), encryption }
    }
}

fn load(files: &TlsFiles) -> Result<Loaded> {
    let chain = certificates(&files.certificate)?;
    refuse_open_key(&files.key)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| unreadable(&files.key, &error))?;
    let end_point = chain.first().and_then(end_point_hash);
    let versions: &[&SupportedProtocolVersion] = match files.min_version {
        TlsVersion::V1_2 => &[&TLS13, &TLS12],
        TlsVersion::V1_3 => &[&TLS13],
    };
    let provider = Arc::new(provider::default_provider());
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .map_err(|error| Error::internal(format!("TLS cannot be set up: {error}")))?;
    let config = match &files.client_ca {
        None => config.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for root in certificates(path)? {
                roots.add(root).map_err(|error| unreadable(path, &error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                // Whether one is needed, the rules of access say.
                .allow_unauthenticated()
                .build()
                .map_err(|error| unreadable(path, &error))?;
            config.with_client_cert_verifier(verifier)
        }
    };
    let mut config = config.with_single_cert(chain, key).map_err(|error| {
        let (certificate, key) = (files.certificate.display(), files.key.display());
        Error::invalid(format!("certificate {certificate} and key {key} do not belong together: {error}"))
    })?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Loaded { acceptor: TlsAcceptor::from(Arc::new(config)), end_point })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(path).map_err(|error| unreadable(path, &error))?;
    let chain = read.collect::<Result<Vec<_>, _>>().map_err(|error| unreadable(path, &error))?;
    if chain.is_empty() {
        return Err(unreadable(path, &"it has no certificate"));
    }
    Ok(chain)
}

fn unreadable(path: &Path, why: &dyn fmt::Display) -> Error {
    Error::invalid(format!("TLS file {} cannot be used: {why}", path.display()))
}

/// As PostgreSQL: the owner alone may read the key, or root owns it and a group may.
fn refuse_open_key(path: &Path) -> Result<()> {
    let about = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    let forbidden = if about.uid() == 0 { 0o037 } else { 0o077 };
    if about.mode() & forbidden == 0 {
        return Ok(());
    }
    Err(unreadable(path, &"others may read it").hint("chmod 600, or 640 if root owns it."))
}

/// RFC 5929's tls-server-end-point: the certificate under the hash of its signature, SHA-256 for older ones.
fn end_point_hash(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let algorithm = match parsed.signature_algorithm.algorithm.to_id_string().as_str() {
        // MD5, SHA-1 and SHA-256, with RSA and ECDSA.
        "1.2.840.113549.1.1.4" | "1.2.840.113549.1.1.5" | "1.2.840.10045.4.1" => &SHA256,
        "1.2.840.113549.1.1.11" | "1.2.840.10045.4.3.2" => &SHA256,
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" => &SHA384,
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" => &SHA512,
        _ => return None,
    };
    Some(digest(algorithm, certificate).as_ref().to_vec())
}

/// OpenSSL's name of a cipher suite that rustls calls so: clients of PostgreSQL know that one.
fn cipher_name(suite: &str) -> String {
    match suite.strip_prefix("TLS13_") {
        Some(rest) => format!("TLS_{rest}"),
        None => suite
            .trim_start_matches("TLS_")
            .replace("_WITH_", "_")
            .replace("AES_", "AES")
            .replace("POLY1305_SHA256", "POLY1305")
            .replace('_', "-"),
    }
}

/// Whose certificate it is, as OpenSSL writes it in one line: `/O=shop/CN=alice`.
fn subject(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let part = |attribute: &AttributeTypeAndValue<'_>| {
        let name = oid2abbrev(attribute.attr_type(), oid_registry())
            .map_or_else(|_| attribute.attr_type().to_string(), str::to_owned);
        Some(format!("/{name}={}", attribute.as_str().ok()?))
    };
    parsed.subject().iter_attributes().map(part).collect()
}

/// The one common name of a certificate; one with several names nobody.
fn common_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let mut names = parsed.subject().iter_common_name();
    let name = names.next()?.as_str().ok()?.to_owned();
    (names.next().is_none() && !name.contains('\0')).then_some(name)
}
