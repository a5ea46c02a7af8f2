//! TLS: what is in clear before it, direct TLS, channel binding, client certificates, new certificates, who may listen where.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use streamgate::access::{Access, AccessRule};
use streamgate::wire::{Tls, TlsFiles, TlsVersion, WireOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

use super::logins::{sasl, startup, told};
use super::*;
use crate::scripts::Psql;
use crate::server::{BackendsOfProcess, JOB_PATIENCE, ServerProcess, until};
use crate::wire::{Raw, message, server_with};

const SSL_REQUEST: &[u8] = b"\0\0\0\x08\x04\xd2\x16\x2f";

/// A root of certificates, and its certificates in a folder.
struct Authority {
    params: CertificateParams,
    key: KeyPair,
    root: PathBuf,
}

impl Authority {
    fn new(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let root = folder.join(format!("{name}.pem"));
        fs::write(&root, params.self_signed(&key).unwrap().pem()).unwrap();
        Self { params, key, root }
    }

    /// Certificate and key of a name, which may be a host's.
    fn issue(&self, name: &str, certificate: &Path, key: &Path) {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let own = KeyPair::generate().unwrap();
        let issuer = Issuer::from_params(&self.params, &self.key);
        fs::write(certificate, params.signed_by(&own, &issuer).unwrap().pem()).unwrap();
        fs::write(key, own.serialize_pem()).unwrap();
        fs::set_permissions(key, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

/// A folder with the certificates of a server and of a client.
struct Files {
    folder: tempfile::TempDir,
    authority: Authority,
}

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new(folder.path(), "root");
        let files = Self { folder, authority };
        files.authority.issue("server", &files.path("server.pem"), &files.path("server.key"));
        files.authority.issue("alice", &files.path("alice.pem"), &files.path("alice.key"));
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn tls(&self, min_version: TlsVersion) -> Arc<Tls> {
        let (certificate, key) = (self.path("server.pem"), self.path("server.key"));
        let client_ca = Some(self.authority.root.clone());
        Arc::new(Tls::load(TlsFiles { certificate, key, client_ca, min_version }).unwrap())
    }

    /// A client that believes the root; `alpn`: whether it says which protocol it means; `own`: its certificate.
    fn client(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        alpn: bool,
        own: Option<(&Path, &Path)>,
    ) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&self.authority.root).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match own {
            None => config.with_no_client_auth(),
            Some((certificate, key)) => config
                .with_client_auth_cert(
                    vec![CertificateDer::from_pem_file(certificate).unwrap()],
                    PrivateKeyDer::from_pem_file(key).unwrap(),
                )
                .unwrap(),
        };
        if alpn {
            config.alpn_protocols = vec![b"postgresql".to_vec()];
        }
        TlsConnector::from(Arc::new(config))
    }
}

const BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

async fn handshake(connector: &TlsConnector, stream: TcpStream) -> std::io::Result<Raw<TlsStream<TcpStream>>> {
    let name = ServerName::try_from("127.0.0.1").unwrap();
    Ok(Raw { stream: connector.connect(name, stream).await? })
}

/// TLS as every client begins it: asked for first.
async fn asked(server: &Server, connector: &TlsConnector) -> std::io::Result<Raw<TlsStream<TcpStream>>> {
    let mut stream = TcpStream::connect(server.address).await?;
    stream.write_all(SSL_REQUEST).await?;
    assert_eq!(stream.read_u8().await?, b'S');
    handshake(connector, stream).await
}

async fn owned(files: &Files, options: WireOptions) -> (Server, tokio_postgres::Client) {
    let server = server_with(WireOptions { tls: Some(files.tls(TlsVersion::V1_2)), ..options }).await;
    let first = server.connect().await;
    first.batch_execute(&format!("CREATE USER admin SUPERUSER PASSWORD '{PASSWORD}'")).await.unwrap();
    let admin = login(&server, "admin").await.unwrap();
    (server, admin)
}

fn psql(port: u16, user: &str, connection: &str) -> String {
    psql_asks(port, user, connection, "SELECT current_user")
}

fn psql_asks(port: u16, user: &str, connection: &str, query: &str) -> String {
    let output = std::process::Command::new("psql")
        .args(["-X", "-w", "-At", "-c", query])
        .arg(format!("host=127.0.0.1 port={port} dbname=streamgate user={user} {connection}"))
        .env("PGPASSWORD", PASSWORD)
        .output()
        .unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn psql_comes_in_by_tls_with_its_channel_bound() {
    if !Psql::is_there() {
        return;
    }
    let files = Files::new();
    let (server, _admin) = owned(&files, WireOptions::default()).await;
    let port = server.address.port();
    let root = format!("sslrootcert={}", files.authority.root.display());
    for connection in [
        "sslmode=require channel_binding=require",
        &format!("sslmode=verify-full channel_binding=require {root}"),
        &format!("sslmode=verify-ca ssl_max_protocol_version=TLSv1.2 channel_binding=require {root}"),
        "sslmode=require channel_binding=disable",
        "sslmode=disable",
    ] {
        assert_eq!(psql(port, "admin", connection), "admin", "{connection}");
    }
    assert!(psql(port, "admin", "sslmode=disable channel_binding=require").contains("channel binding"));
    let shown = |connection: &str| {
        psql_asks(
            port,
            "admin",
            connection,
            "SELECT ssl, version, cipher, bits, client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
        )
    };
    assert_eq!(shown("sslmode=require"), "t|TLSv1.3|TLS_AES_256_GCM_SHA384|256|");
    let with_1_2 = shown("sslmode=require ssl_max_protocol_version=TLSv1.2");
    assert!(with_1_2.starts_with("t|TLSv1.2|ECDHE-ECDSA-"), "{with_1_2}");
    assert_eq!(shown("sslmode=disable"), "f||||");
    let own = format!(
        "sslmode=require sslcert={} sslkey={}",
        files.path("alice.pem").display(),
        files.path("alice.key").display()
    );
    assert!(shown(&own).starts_with("t|TLSv1.3|"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_within_tls_ends_as_tls_does() {
    let files = Files::new();
    let tls = Some(files.tls(TlsVersion::V1_2));
    let server = server_with(WireOptions { tls, ..WireOptions::default() }).await;
    for version in [&TLS13, &TLS12] {
        let mut raw = asked(&server, &files.client(&[version], true, None)).await.unwrap();
        raw.send(b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x01\0\0\0\x02").await;
        // An end without close_notify is an error here.
        assert_eq!(raw.stream.read_to_end(&mut Vec::new()).await.unwrap(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streamgate_sql_verifies_whom_it_talks_to() {
    let files = Files::new();
    let other = Authority::new(files.folder.path(), "other");
    let (server, _admin) = owned(&files, WireOptions::default()).await;
    let (port, right, wrong) =
        (server.address.port().to_string(), files.authority.root.to_str().unwrap(), other.root.to_str().unwrap());
    let sql = |arguments: &[&str], password: &str| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_streamgate"))
            .args(["sql", "-h", "127.0.0.1", "-p", &port, "-U", "admin", "-t", "-c", "SELECT current_user"])
            .args(arguments)
            .env("PGPASSWORD", password)
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim().to_owned()
    };
    for connection in [
        &["--sslmode", "disable"][..],
        &["--sslmode", "prefer"],
        &["--sslmode", "require"],
        &["--sslmode", "verify-full", "--sslrootcert", right],
    ] {
        assert_eq!(sql(connection, PASSWORD), "admin", "{connection:?}");
    }
    let refused = sql(&["--sslmode", "verify-full", "--sslrootcert", wrong], PASSWORD);
    assert!(refused.contains("cannot connect to ") && refused.contains("certificate"), "{refused}");
    let refused = sql(&["--sslmode", "require"], "another password");
    assert!(refused.contains("28P01"), "{refused}");
}

#[tokio::test]
async fn what_is_said_in_clear_behind_the_request_for_tls_is_refused() {
    let files = Files::new();
    let (server, _admin) = owned(&files, WireOptions::default()).await;
    let mut raw = Raw { stream: TcpStream::connect(server.address).await.unwrap() };
    raw.send(&[SSL_REQUEST, &startup("admin")].concat()).await;
    assert_eq!(told(raw.next().await.unwrap()), "FATAL 08P01 received unencrypted data after SSL request");
    assert!(raw.next().await.is_none());
    // And encryption is not asked for twice.
    let mut raw = asked(&server, &files.client(BOTH, false, None)).await.unwrap();
    raw.send(SSL_REQUEST).await;
    assert_eq!(told(raw.next().await.unwrap()), "FATAL 08P01 encryption is asked for within TLS");
}

#[tokio::test]
async fn direct_tls_must_name_the_protocol() {
    let files = Files::new();
    let (server, _admin) = owned(&files, WireOptions::default()).await;
    let direct = async |alpn| {
        let stream = TcpStream::connect(server.address).await.unwrap();
        let mut raw = handshake(&files.client(BOTH, alpn, None), stream).await.unwrap();
        raw.send(&startup("admin")).await;
        raw.next().await.unwrap()
    };
    assert_eq!(direct(true).await.0, 'R');
    assert_eq!(
        told(direct(false).await),
        "FATAL 08P01 direct TLS connection without the protocol (ALPN) \"postgresql\""
    );
    // Where there is no TLS, it is no start-up packet.
    let plain = server_with(WireOptions::default()).await;
    let stream = TcpStream::connect(plain.address).await.unwrap();
    assert!(handshake(&files.client(BOTH, true, None), stream).await.is_err());
}

#[tokio::test]
async fn a_proof_that_was_made_for_another_channel_is_none() {
    let files = Files::new();
    let (server, _admin) = owned(&files, WireOptions::default()).await;
    let begin = async |first: Vec<u8>| {
        let mut raw = asked(&server, &files.client(BOTH, true, None)).await.unwrap();
        raw.send(&startup("admin")).await;
        let (_, offer) = raw.next().await.unwrap();
        assert_eq!(&offer[4..], b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0");
        raw.send(&first).await;
        let answer = raw.next().await.unwrap();
        (raw, answer)
    };
    let (mut raw, (_, answer)) = begin(sasl("SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,n=,r=abc")).await;
    let nonce = String::from_utf8_lossy(&answer[4..]).split(',').next().unwrap().to_owned();
    let binding = BASE64.encode([&b"p=tls-server-end-point,,"[..], &[9; 32]].concat());
    let proof = BASE64.encode([7; 32]);
    raw.send(&message(b'p', format!("c={binding},{nonce},p={proof}").as_bytes())).await;
    assert_eq!(told(raw.next().await.unwrap()), "FATAL 28000 SCRAM channel binding check failed");
    // Somebody in between has taken the better mechanism out of the offer: the client says that it saw none.
    let (_, answer) = begin(sasl("SCRAM-SHA-256", "y,,n=,r=abc")).await;
    assert_eq!(told(answer), "FATAL 28000 SCRAM channel binding negotiation error");
}

#[tokio::test]
async fn old_versions_are_refused() {
    let files = Files::new();
    let options = WireOptions { tls: Some(files.tls(TlsVersion::V1_3)), ..WireOptions::default() };
    let server = server_with(options).await;
    assert!(asked(&server, &files.client(&[&TLS12], true, None)).await.is_err());
    assert!(asked(&server, &files.client(&[&TLS13], true, None)).await.is_ok());
}

#[tokio::test]
async fn a_certificate_lets_in_whom_it_names() {
    let files = Files::new();
    let rules = "[[access]]\ntls = 'require'\nrole = ['alice', 'bob']\nmethod = 'cert'\n[[access]]\naddress = '127.0.0.1'\nrole = ['me', 'admin']\nmethod = 'trust'";
    let rules = toml::from_str::<std::collections::BTreeMap<String, Vec<AccessRule>>>(rules).unwrap().remove("access");
    let access = Access::new(None, rules.unwrap()).unwrap();
    let (server, admin) = owned(&files, WireOptions { access, ..WireOptions::default() }).await;
    admin.batch_execute("CREATE USER alice; CREATE USER bob").await.unwrap();
    let alice = (files.path("alice.pem"), files.path("alice.key"));
    let answer = async |user: &str, own| {
        let mut raw = asked(&server, &files.client(BOTH, true, own)).await.unwrap();
        raw.send(&startup(user)).await;
        match raw.next().await.unwrap() {
            ('E', body) => told(('E', body)),
            (tag, _) => tag.to_string(),
        }
    };
    let own = Some((&*alice.0, &*alice.1));
    assert_eq!(answer("alice", own).await, "R");
    assert_eq!(answer("bob", own).await, "FATAL 28000 certificate authentication failed for user \"bob\"");
    assert_eq!(answer("alice", None).await, "FATAL 28000 connection requires a valid client certificate");
    // In clear the rule is not about her, and there is no other.
    let mut raw = super::logins::start(&server, "alice").await;
    assert!(told(raw.next().await.unwrap()).ends_with("database \"streamgate\", no encryption"));
    // Of another root: TLS itself refuses.
    let stranger = Authority::new(files.folder.path(), "stranger");
    stranger.issue("alice", &alice.0, &alice.1);
    let raw = asked(&server, &files.client(BOTH, true, Some((&alice.0, &alice.1)))).await;
    if let Ok(mut raw) = raw {
        // TLS 1.3's client is told after its own part.
        let _ = raw.stream.write_all(&startup("alice")).await;
        assert!(raw.next().await.is_none());
    }
}

#[test]
fn files_that_do_not_fit_are_refused() {
    let files = Files::new();
    let given = |certificate: &str, key: &str| {
        let files = TlsFiles {
            certificate: files.path(certificate),
            key: files.path(key),
            client_ca: None,
            min_version: TlsVersion::V1_2,
        };
        Tls::load(files).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(given("server.pem", "server.key"), Ok(()));
    assert!(given("server.pem", "alice.key").unwrap_err().contains("do not belong together"));
    assert!(given("server.key", "server.key").unwrap_err().contains("it has no certificate"));
    assert!(given("server.pem", "server.pem").unwrap_err().contains("server.pem cannot be used"));
    assert!(given("nowhere.pem", "server.key").unwrap_err().contains("nowhere.pem cannot be used"));
    fs::set_permissions(files.path("server.key"), fs::Permissions::from_mode(0o644)).unwrap();
    assert!(given("server.pem", "server.key").unwrap_err().ends_with("others may read it"));
}

#[tokio::test(flavor = "multi_thread")]
async fn new_certificates_are_read_at_sighup_and_sessions_stay() {
    if !Psql::is_there() {
        return;
    }
    let files = Files::new();
    let backends = BackendsOfProcess::take().await;
    let path = |name: &str| files.path(name).display().to_string();
    let settings = [("STREAMGATE_TLS_CERTIFICATE", path("server.pem")), ("STREAMGATE_TLS_KEY", path("server.key"))];
    let mut server = ServerProcess::spawn(&backends, &files.path("data"), &settings);
    assert!(server.until_it_answers().await.is_none(), "{}", server.log());
    let mut before =
        handshake(&files.client(BOTH, true, None), TcpStream::connect(("127.0.0.1", server.port)).await.unwrap())
            .await
            .unwrap();
    before.send(&startup("me")).await;
    before.until_ready().await;
    let verified =
        |root: &Path| psql(server.port, "me", &format!("sslmode=verify-full sslrootcert={}", root.display()));
    assert_eq!(verified(&files.authority.root), "me");
    // What is no key is not taken, and what was there stays.
    let key = fs::read(files.path("server.key")).unwrap();
    fs::write(files.path("server.key"), "none").unwrap();
    server.signal("-HUP");
    until(JOB_PATIENCE, "the server says so", async || server.log().contains("stay as they were").then_some(())).await;
    assert_eq!(verified(&files.authority.root), "me");
    fs::write(files.path("server.key"), key).unwrap();
    let other = Authority::new(files.folder.path(), "other");
    other.issue("server", &files.path("server.pem"), &files.path("server.key"));
    server.signal("-HUP");
    until(JOB_PATIENCE, "the server has read them", async || server.log().contains("are read again").then_some(()))
        .await;
    assert_eq!(verified(&other.root), "me");
    assert!(verified(&files.authority.root).contains("certificate verify failed"));
    before.send(&message(b'Q', b"select 1\0")).await;
    assert_eq!(before.until_ready().await, "T, D*1, C SELECT 1, Z");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_machines_are_listened_to_with_logins_and_tls() {
    if !Psql::is_there() {
        return;
    }
    let files = Files::new();
    let backends = BackendsOfProcess::take().await;
    let data = files.path("data");
    let listen = |port: u16, settings: &[(&str, String)]| {
        let loopback = backends.command("serve", &data, port);
        let mut command = std::process::Command::new(loopback.get_program());
        let arguments = loopback.get_args().map(|argument| argument.to_string_lossy().replace("127.0.0.1", "0.0.0.0"));
        command.args(arguments.collect::<Vec<_>>());
        for (name, value) in loopback.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.envs(settings.iter().map(|(name, value)| (*name, value)));
        command
    };
    let path = |name: &str| files.path(name).display().to_string();
    let tls = [("STREAMGATE_TLS_CERTIFICATE", path("server.pem")), ("STREAMGATE_TLS_KEY", path("server.key"))];
    let clear = [("STREAMGATE_LISTEN_WITHOUT_TLS", "true".to_owned())];
    let port = crate::server::free_port();
    for (settings, expected) in [
        (&[][..], "without TLS only loopback addresses are allowed"),
        (&tls[..], "without logins only loopback addresses are allowed"),
        (&clear[..], "without logins only loopback addresses are allowed"),
    ] {
        let output = listen(port, settings).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(expected), "{text}");
    }
    let superuser = ("STREAMGATE_SUPERUSER_PASSWORD", PASSWORD.to_owned());
    let mut child = listen(port, &[&tls[..], &[superuser]].concat()).spawn().unwrap();
    until(JOB_PATIENCE, "it takes logins by TLS", async || {
        (psql(port, "streamgate", "sslmode=require channel_binding=require") == "streamgate").then_some(())
    })
    .await;
    child.kill().unwrap();
    child.wait().unwrap();
}
