//! Logins by password: who comes in, what the others are told, and that they are told the same.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::*;
use crate::wire::{Raw, code, message, server_with};
use std::time::Duration;
use streamgate::access::{Access, AccessRule, Method};
use streamgate::wire::WireOptions;

/// The start of a session of a user, as far as the server's answer.
pub async fn start(server: &Server, user: &str) -> Raw {
    let mut raw = Raw { stream: TcpStream::connect(server.address).await.unwrap() };
    raw.send(&startup(user)).await;
    raw
}

/// A start-up packet.
pub fn startup(user: &str) -> Vec<u8> {
    let body = format!("\0\x03\0\0user\0{user}\0database\0streamgate\0\0");
    [&u32::try_from(body.len() + 4).unwrap().to_be_bytes()[..], body.as_bytes()].concat()
}

/// The first message of a SASL login.
pub fn sasl(mechanism: &str, first: &str) -> Vec<u8> {
    let length = u32::try_from(first.len()).unwrap().to_be_bytes();
    message(b'p', &[mechanism.as_bytes(), b"\0", &length, first.as_bytes()].concat())
}

/// What an error says: its code and its message.
pub fn told((tag, body): (char, Vec<u8>)) -> String {
    assert_eq!(tag, 'E');
    let text = String::from_utf8_lossy(&body).into_owned();
    let field = |key: char| text.split('\0').find_map(|field| field.strip_prefix(key)).unwrap_or("").to_owned();
    format!("{} {} {}", field('S'), field('C'), field('M'))
}

/// Goes through a login with a proof that cannot be right; gives the messages in short.
async fn fail(server: &Server, user: &str) -> Vec<String> {
    let mut raw = start(server, user).await;
    let mut seen = Vec::new();
    let (tag, offer) = raw.next().await.unwrap();
    seen.push(format!("{tag} {}", String::from_utf8_lossy(&offer[4..])));
    raw.send(&sasl("SCRAM-SHA-256", "n,,n=,r=abc")).await;
    let (tag, answer) = raw.next().await.unwrap();
    let answer = String::from_utf8_lossy(&answer[4..]).into_owned();
    let parts: Vec<&str> = answer.split(',').collect();
    let salt = BASE64.decode(parts[1].strip_prefix("s=").unwrap()).unwrap();
    seen.push(format!("{tag} nonce of {}, salt of {}, {}", parts[0].len(), salt.len(), parts[2]));
    let proof = BASE64.encode([7; 32]);
    raw.send(&message(b'p', format!("c=biws,{},p={proof}", parts[0]).as_bytes())).await;
    seen.push(told(raw.next().await.unwrap()).replace(user, "USER"));
    assert!(raw.next().await.is_none(), "the connection ends");
    seen
}

fn quick() -> WireOptions {
    WireOptions { login_delay: Duration::from_millis(1), login_failures_max: 100, ..WireOptions::default() }
}

async fn owned(options: WireOptions) -> (Server, tokio_postgres::Client) {
    let server = server_with(options).await;
    let first = server.connect().await;
    first.batch_execute(&format!("CREATE USER admin SUPERUSER PASSWORD '{PASSWORD}'")).await.unwrap();
    let admin = login(&server, "admin").await.unwrap();
    (server, admin)
}

#[tokio::test]
async fn nobody_and_a_wrong_password_are_told_the_same() {
    let (server, admin) = owned(quick()).await;
    admin.batch_execute("CREATE ROLE group_only PASSWORD 'x'; CREATE USER without; CREATE USER late PASSWORD 'x' VALID UNTIL '2001-01-01'").await.unwrap();
    let expected = [
        "R SCRAM-SHA-256\0\0",
        "R nonce of 29, salt of 16, i=4096",
        "FATAL 28P01 password authentication failed for user \"USER\"",
    ];
    for user in ["admin", "nobody", "without", "late", "group_only"] {
        assert_eq!(fail(&server, user).await, expected, "{user}");
    }
    // A name has its salt, whether or not there is somebody of that name.
    for user in ["admin", "nobody"] {
        let mut salts = Vec::new();
        for _ in 0..2 {
            let mut raw = start(&server, user).await;
            raw.next().await.unwrap();
            raw.send(&sasl("SCRAM-SHA-256", "n,,n=,r=abc")).await;
            let (_, answer) = raw.next().await.unwrap();
            salts.push(String::from_utf8_lossy(&answer).split(',').nth(1).unwrap().to_owned());
        }
        assert_eq!(salts[0], salts[1], "{user}");
    }
    let wrong = tokio_postgres::Config::new()
        .host("127.0.0.1")
        .port(server.address.port())
        .user("admin")
        .password("close sesame")
        .dbname("streamgate")
        .connect(tokio_postgres::NoTls)
        .await
        .err()
        .unwrap();
    assert_eq!(code(&wrong), "28P01");
}

#[tokio::test]
async fn who_may_not_log_in_does_not_with_the_right_password_either() {
    let (server, admin) = owned(quick()).await;
    admin
        .batch_execute(&format!(
            "CREATE ROLE nologin PASSWORD '{PASSWORD}'; CREATE USER late PASSWORD '{PASSWORD}' VALID UNTIL '2001-01-01';
             CREATE USER early PASSWORD '{PASSWORD}' VALID UNTIL '2999-01-01'; CREATE USER one PASSWORD '{PASSWORD}' CONNECTION LIMIT 1"
        ))
        .await
        .unwrap();
    assert_eq!(code(&login(&server, "nologin").await.err().unwrap()), "28000");
    assert_eq!(code(&login(&server, "late").await.err().unwrap()), "28P01");
    login(&server, "early").await.unwrap();
    let one = login(&server, "one").await.unwrap();
    assert_eq!(code(&login(&server, "one").await.err().unwrap()), "53300");
    let other = login(&server, "early").await.unwrap();
    assert_eq!(refused(&other, "SELECT 1").await, "nothing");
    drop(one);
    crate::server::until(crate::backends::PATIENCE, "the place is free again", async || {
        login(&server, "one").await.ok()
    })
    .await;
    // A changed password holds from the next login on.
    admin.batch_execute("ALTER ROLE early PASSWORD 'another one'").await.unwrap();
    assert_eq!(code(&login(&server, "early").await.err().unwrap()), "28P01");
    assert_eq!(refused(&other, "SELECT 1").await, "nothing");
}

#[tokio::test]
async fn a_verifier_is_taken_as_it_is() {
    let (server, admin) = owned(quick()).await;
    // Of "open sesame", by another server.
    let verifier = {
        use ring::{digest, hmac, pbkdf2};
        let mac = |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text);
        let mut salted = [0; 32];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, 5000.try_into().unwrap(), b"salt", PASSWORD.as_bytes(), &mut salted);
        let stored = digest::digest(&digest::SHA256, mac(&salted, b"Client Key").as_ref());
        let server = mac(&salted, b"Server Key");
        format!("SCRAM-SHA-256$5000:{}${}:{}", BASE64.encode("salt"), BASE64.encode(stored), BASE64.encode(server))
    };
    admin.batch_execute(&format!("CREATE USER moved PASSWORD '{verifier}'")).await.unwrap();
    login(&server, "moved").await.unwrap();
    let weak = verifier.replace("5000", "4095");
    assert_eq!(
        refused(&admin, &format!("CREATE USER w PASSWORD '{weak}'")).await,
        "22023 a SCRAM verifier with 4095 iterations is not taken"
    );
    admin
        .batch_execute(&format!("SET scram_iterations = 10000; CREATE USER slow PASSWORD '{PASSWORD}'"))
        .await
        .unwrap();
    let mut raw = start(&server, "slow").await;
    raw.next().await.unwrap();
    raw.send(&sasl("SCRAM-SHA-256", "n,,n=,r=abc")).await;
    assert!(String::from_utf8_lossy(&raw.next().await.unwrap().1).ends_with(",i=10000"));
    login(&server, "slow").await.unwrap();
}

#[tokio::test]
async fn messages_before_a_login_are_small_and_of_the_login() {
    let (server, _admin) = owned(quick()).await;
    let cases: [(&str, Vec<u8>, &str); 9] = [
        ("a query", message(b'Q', b"select 1\0"), "FATAL 08P01"),
        ("64 KB of a login, announced only", [&b"p"[..], &65_536_u32.to_be_bytes()].concat(), "FATAL 08P01"),
        ("900 MB of a query, announced only", [&b"Q"[..], &900_000_000_u32.to_be_bytes()].concat(), "FATAL 08P01"),
        ("a length of 3", b"p\0\0\0\x03".to_vec(), "FATAL 08P01"),
        ("a negative length", b"p\xff\xff\xff\xff".to_vec(), "FATAL 08P01"),
        ("nothing", message(b'p', b""), "FATAL 08P01"),
        ("another mechanism", sasl("OAUTHBEARER", "n,,\x01"), "FATAL 08P01"),
        ("a mechanism that needs TLS", sasl("SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,n=,r=abc"), "FATAL 08P01"),
        ("channel binding in clear", sasl("SCRAM-SHA-256", "p=tls-server-end-point,,n=,r=abc"), "FATAL 08P01"),
    ];
    for (what, bytes, expected) in cases {
        let mut raw = start(&server, "admin").await;
        raw.next().await.unwrap();
        raw.send(&bytes).await;
        let told = told(raw.next().await.unwrap());
        assert!(told.starts_with(expected), "{what}: {told}");
        assert!(raw.next().await.is_none(), "{what}");
    }
}

#[tokio::test]
async fn a_proof_for_another_nonce_is_none() {
    let (server, _admin) = owned(quick()).await;
    let mut raw = start(&server, "admin").await;
    raw.next().await.unwrap();
    raw.send(&sasl("SCRAM-SHA-256", "n,,n=,r=abc")).await;
    raw.next().await.unwrap();
    let proof = BASE64.encode([7; 32]);
    raw.send(&message(b'p', format!("c=biws,r=abcAAAA,p={proof}").as_bytes())).await;
    assert_eq!(told(raw.next().await.unwrap()), "FATAL 08P01 invalid SCRAM response");
}

#[tokio::test]
async fn an_address_that_fails_too_often_is_turned_away() {
    let (server, _admin) =
        owned(WireOptions { login_failures_max: 3, login_delay: Duration::from_millis(1), ..WireOptions::default() })
            .await;
    for _ in 0..3 {
        fail(&server, "nobody").await;
    }
    let mut raw = start(&server, "admin").await;
    assert_eq!(told(raw.next().await.unwrap()), "FATAL 28000 too many failed logins from this address");
    assert_eq!(code(&login(&server, "admin").await.err().unwrap()), "28000");
}

#[tokio::test]
async fn rules_say_what_is_asked_of_whom() {
    let rules: Vec<AccessRule> = toml::from_str::<std::collections::BTreeMap<String, Vec<AccessRule>>>(
        "[[access]]\naddress = '127.0.0.1'\nrole = ['local', 'me', 'nobody']\nmethod = 'trust'
         [[access]]\nrole = 'banned'\nmethod = 'reject'
         [[access]]\naddress = '127.0.0.0/8'\ndatabase = 'streamgate'\nrole = ['admin', 'banned']\nmethod = 'scram'",
    )
    .unwrap()
    .remove("access")
    .unwrap();
    let access = Access::new(None, rules).unwrap();
    let (server, admin) = owned(WireOptions { access, ..quick() }).await;
    admin
        .batch_execute(&format!(
            "CREATE USER local; CREATE USER banned PASSWORD '{PASSWORD}'; CREATE USER other PASSWORD '{PASSWORD}'"
        ))
        .await
        .unwrap();
    let mut raw = start(&server, "local").await;
    assert!(raw.until_ready().await.starts_with("R, K, Z"));
    for (user, expected) in [
        (
            "banned",
            "FATAL 28000 a rule of [[access]] rejects connections for host \"127.0.0.1\", user \"banned\", database \"streamgate\", no encryption",
        ),
        (
            "other",
            "FATAL 28000 no rule of [[access]] for host \"127.0.0.1\", user \"other\", database \"streamgate\", no encryption",
        ),
        ("nobody", "FATAL 28000 role \"nobody\" does not exist"),
        ("me", "FATAL 28000 role \"me\" does not exist"),
    ] {
        let mut raw = start(&server, user).await;
        assert_eq!(told(raw.next().await.unwrap()), expected);
    }
    login(&server, "admin").await.unwrap();
    raw.stream.shutdown().await.unwrap();
}

#[tokio::test]
async fn where_passwords_are_asked_for_nobody_comes_in_before_there_are_roles() {
    let access = Access::new(Some(Method::Scram), Vec::new()).unwrap();
    let server = server_with(WireOptions { access, ..quick() }).await;
    assert_eq!(code(&login(&server, "me").await.err().unwrap()), "28P01");
}
