//! A login by password in each of its states through the socket: messages that are none, cut, altered, too large, out of place, or sent
//! again. None comes in, each is told so in order, and who knows the password comes in afterwards.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::logins::{sasl, start, told};
use super::*;
use crate::wire::{Raw, bind, execute, message, parse, server_with};
use std::time::Duration;
use streamgate::wire::WireOptions;

const FIRST: &str = "n,,n=,r=abc";

async fn owned() -> Server {
    let server =
        server_with(WireOptions { login_delay: Duration::ZERO, login_failures_max: 10_000, ..WireOptions::default() })
            .await;
    let first = server.connect().await;
    first.batch_execute(&format!("CREATE USER admin SUPERUSER PASSWORD '{PASSWORD}'")).await.unwrap();
    server
}

/// A client that waits for the offer's answer, or further for that of its first message; with the nonce then.
async fn at(server: &Server, has_begun: bool) -> (Raw, String) {
    let mut raw = start(server, "admin").await;
    assert_eq!(raw.next().await.unwrap().0, 'R');
    if !has_begun {
        return (raw, String::new());
    }
    raw.send(&sasl("SCRAM-SHA-256", FIRST)).await;
    let (tag, answer) = raw.next().await.unwrap();
    assert_eq!(tag, 'R');
    let answer = String::from_utf8(answer[4..].to_vec()).unwrap();
    let nonce = answer.split(',').next().unwrap().strip_prefix("r=").unwrap().to_owned();
    (raw, nonce)
}

/// A client in that state says something, and is told why it does not come in.
async fn refuses(server: &Server, has_begun: bool, what: &str, bytes: &[u8]) {
    let (mut raw, _) = at(server, has_begun).await;
    raw.send(bytes).await;
    ends(&mut raw, what).await;
}

async fn ends(raw: &mut Raw, what: &str) {
    let last = tokio::time::timeout(Duration::from_secs(10), raw.next()).await.unwrap();
    let told = told(last.unwrap_or_else(|| panic!("{what}: nothing is said")));
    assert!(
        ["FATAL 08P01", "FATAL 28P01", "FATAL 28000", "FATAL 0A000", "FATAL 22021"]
            .iter()
            .any(|code| told.starts_with(code)),
        "{what}: {told}"
    );
    assert!(raw.next().await.is_none(), "{what}");
}

#[tokio::test]
async fn messages_of_another_state_end_a_login() {
    let server = owned().await;
    let cases = [
        ("a query", message(b'Q', b"select 1\0")),
        ("a statement", parse("select 1")),
        ("a binding", bind()),
        ("an execution", execute(0)),
        ("a sync", message(b'S', b"")),
        ("a flush", message(b'H', b"")),
        ("rows of a copy", message(b'd', b"1\n")),
        ("the end of a copy", message(b'c', b"")),
        ("a function call", message(b'F', b"\0\0\0\x01\0\0\0\0\0\0")),
        ("a start-up packet", super::logins::startup("admin")),
        ("a request for TLS", b"\0\0\0\x08\x04\xd2\x16\x2f".to_vec()),
        ("a length of 3", b"p\0\0\0\x03".to_vec()),
        ("a negative length", b"p\xff\xff\xff\xff".to_vec()),
        ("1025 bytes announced", b"p\0\0\x04\x01".to_vec()),
        ("two gigabytes announced", b"p\x7f\xff\xff\xff".to_vec()),
        ("nothing", message(b'p', b"")),
        ("bytes that are no text", message(b'p', b"\xff\xfe\xfd")),
    ];
    for has_begun in [false, true] {
        for (what, bytes) in &cases {
            refuses(&server, has_begun, what, bytes).await;
        }
    }
    // A terminate is a client that goes.
    login(&server, "admin").await.unwrap();
}

#[tokio::test]
async fn first_messages_that_are_none_end_a_login() {
    let server = owned().await;
    let announced =
        |length: i32, data: &[u8]| message(b'p', &[b"SCRAM-SHA-256\0", &length.to_be_bytes()[..], data].concat());
    let cases = [
        ("no data", announced(-1, b"")),
        ("more data announced than there is", announced(i32::MAX, FIRST.as_bytes())),
        ("a negative length", announced(-2, FIRST.as_bytes())),
        ("less data announced than there is", announced(3, FIRST.as_bytes())),
        ("a mechanism without its NUL", message(b'p', b"SCRAM-SHA-256")),
        ("a mechanism alone", message(b'p', b"SCRAM-SHA-256\0")),
        ("no mechanism", sasl("", FIRST)),
        ("data that is no text", announced(4, b"n,,\xff")),
        ("an empty message", sasl("SCRAM-SHA-256", "")),
        ("no nonce", sasl("SCRAM-SHA-256", "n,,n=")),
        ("an empty nonce", sasl("SCRAM-SHA-256", "n,,n=,r=")),
        ("a NUL in the nonce", sasl("SCRAM-SHA-256", "n,,n=,r=a\0b")),
        ("an extension that must be known", sasl("SCRAM-SHA-256", "n,,m=x,n=,r=abc")),
        ("another identity", sasl("SCRAM-SHA-256", "n,a=root,n=,r=abc")),
        ("a password in plain text", message(b'p', format!("{PASSWORD}\0").as_bytes())),
    ];
    for (what, bytes) in &cases {
        refuses(&server, false, what, bytes).await;
    }
    login(&server, "admin").await.unwrap();
}

#[tokio::test]
async fn proofs_that_are_none_end_a_login() {
    let server = owned().await;
    let right = BASE64.encode([7; 32]);
    let cases = [
        ("an empty message", String::new()),
        ("no proof", "c=biws,r=NONCE".to_owned()),
        ("an empty proof", "c=biws,r=NONCE,p=".to_owned()),
        ("a short proof", "c=biws,r=NONCE,p=AAAA".to_owned()),
        ("a long proof", format!("c=biws,r=NONCE,p={}", BASE64.encode([7; 64]))),
        ("a proof that is no base64", format!("c=biws,r=NONCE,p={}", "!".repeat(44))),
        ("a wrong proof", format!("c=biws,r=NONCE,p={right}")),
        ("a proof for half a nonce", format!("c=biws,r=abc,p={right}")),
        ("a proof for a longer nonce", format!("c=biws,r=NONCEx,p={right}")),
        ("another channel", format!("c=eSws,r=NONCE,p={right}")),
        ("no channel", format!("r=NONCE,p={right}")),
        ("an extension behind the proof", format!("c=biws,r=NONCE,p={right},x=1")),
        ("the first message again", FIRST.to_owned()),
    ];
    for (what, last) in &cases {
        let (mut raw, nonce) = at(&server, true).await;
        raw.send(&message(b'p', last.replace("NONCE", &nonce).as_bytes())).await;
        ends(&mut raw, what).await;
    }
    // What one login has said is of no use to another.
    let (mut first, nonce) = at(&server, true).await;
    let (mut second, other) = at(&server, true).await;
    assert_ne!(nonce, other);
    let last = message(b'p', format!("c=biws,r={nonce},p={right}").as_bytes());
    second.send(&last).await;
    ends(&mut second, "the nonce of another login").await;
    first.send(&last).await;
    ends(&mut first, "a proof without the password").await;
    login(&server, "admin").await.unwrap();
}

#[tokio::test]
async fn a_login_that_is_cut_off_at_any_byte_leaves_nothing_behind() {
    let server = owned().await;
    let whole = sasl("SCRAM-SHA-256", FIRST);
    for cut in 0..whole.len() {
        let (mut raw, _) = at(&server, false).await;
        raw.send(&whole[..cut]).await;
        tokio::io::AsyncWriteExt::shutdown(&mut raw.stream).await.unwrap();
        assert!(raw.next().await.is_none(), "cut at {cut}");
    }
    login(&server, "admin").await.unwrap();
}

#[tokio::test]
async fn what_is_sent_ahead_of_the_login_is_not_run() {
    let server = owned().await;
    // A whole login and a query in one piece: the proof was made without the server's nonce.
    let mut raw = start(&server, "admin").await;
    let proof = format!("c=biws,r=abc,p={}", BASE64.encode([7; 32]));
    let query = message(b'Q', b"create table made_without_login (a int)\0");
    raw.send(&[sasl("SCRAM-SHA-256", FIRST), message(b'p', proof.as_bytes()), query].concat()).await;
    while let Some((tag, _)) = raw.next().await {
        assert!(matches!(tag, 'R' | 'E'), "{tag}");
    }
    let admin = login(&server, "admin").await.unwrap();
    assert!(refused(&admin, "select * from made_without_login").await.starts_with("42P01"));
}
