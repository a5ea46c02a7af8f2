//! Malformed messages through the socket: each fault that pgwire's decoder and other servers are known for, by name; start-up packets of
//! every sort; messages where they do not belong. After each the server serves others, and where PostgreSQL goes on the session does.

use super::*;

const SYNC: &[u8] = b"S\0\0\0\x04";
const SSL_REQUEST: &[u8] = b"\0\0\0\x08\x04\xd2\x16\x2f";
const GSS_REQUEST: &[u8] = b"\0\0\0\x08\x04\xd2\x16\x30";

/// Sends bytes in an open session and reads up to ReadyForQuery or the end. A session that goes on must answer as if nothing had been.
async fn told(server: &Server, bytes: &[u8]) -> String {
    let mut raw = server.raw().await;
    raw.send(bytes).await;
    let told = raw.until_ready().await;
    if !told.ends_with("end") {
        raw.send(&message(b'Q', b"select 1\0")).await;
        assert_eq!(raw.until_ready().await, "T, D*1, C SELECT 1, Z", "behind {bytes:?}: {told}");
    }
    server.connect().await.simple_query("select 1").await.unwrap();
    told
}

/// As [`told`], of an extended message, which its Sync ends.
async fn told_of(server: &Server, bytes: Vec<u8>) -> String {
    told(server, &[&bytes[..], SYNC].concat()).await
}

const REFUSED: &str = "E ERROR 08P01, Z";
const FATAL: &str = "E FATAL 08P01, end";

#[tokio::test]
async fn parse_of_two_nuls() {
    assert_eq!(told_of(&server().await, message(b'P', b"\0\0")).await, REFUSED);
}

#[tokio::test]
async fn bind_with_a_parameter_of_two_gigabytes() {
    let server = server().await;
    for length in [b"\x7f\xff\xff\xff", b"\xff\xff\xff\xfe", b"\x80\0\0\0", b"\0\0\0\x05"] {
        let bind = message(b'B', &[b"\0\0\0\0\0\x01", &length[..], b"\0\0"].concat());
        assert_eq!(told_of(&server, [parse("select $1::text"), bind].concat()).await, "1, E ERROR 08P01, Z");
    }
}

#[tokio::test]
async fn a_parse_whose_text_goes_on_in_the_next_message() {
    let bytes = [message(b'P', b"\0SE"), message(b'Q', b"LECT 1\0"), SYNC.to_vec()].concat();
    // The query behind it is skipped up to Sync, as after any error of an extended message.
    assert_eq!(told(&server().await, &bytes).await, REFUSED);
}

#[tokio::test]
async fn a_query_with_a_message_behind_its_text() {
    let server = server().await;
    assert_eq!(told(&server, &message(b'Q', b"s\0X\0\0\0\x04")).await, REFUSED);
    let hidden = [&b"select 1\0"[..], &message(b'Q', b"select 2\0")].concat();
    assert_eq!(told(&server, &message(b'Q', &hidden)).await, REFUSED);
}

#[tokio::test]
async fn bytes_left_over_in_every_message() {
    let server = server().await;
    let bodies: [(u8, &[u8]); 8] = [
        (b'P', b"\0select 1\0\0\0"),
        (b'B', b"\0\0\0\0\0\0\0\0"),
        (b'D', b"S\0"),
        (b'E', b"\0\0\0\0\0"),
        (b'C', b"S\0"),
        (b'H', b""),
        (b'c', b""),
        (b'f', b"why\0"),
    ];
    for (tag, body) in bodies {
        let bytes = message(tag, &[body, b"\0"].concat());
        let told = if matches!(tag, b'c' | b'f') {
            // No extended message: it is answered at once.
            told(&server, &bytes).await
        } else {
            told_of(&server, [parse("select 1"), bytes].concat()).await
        };
        assert_eq!(told.trim_start_matches("1, "), REFUSED, "{}", char::from(tag));
    }
    assert_eq!(told(&server, &message(b'S', b"\0")).await, REFUSED);
}

#[tokio::test]
async fn every_message_cut_short() {
    let server = server().await;
    let bodies: [(u8, &[u8]); 6] = [
        (b'P', b"\0select 1\0\0\x01\0\0\0\x17"),
        (b'B', b"\0\0\0\x01\0\x01\0\x01\0\0\0\x01x\0\x01\0\0"),
        (b'D', b"Sname\0"),
        (b'E', b"\0\0\0\0\0"),
        (b'C', b"Pname\0"),
        (b'F', b"\0\0\0\x01\0\0\0\x01\0\0\0\x01x\0\0"),
    ];
    let mut raw = server.raw().await;
    for (tag, body) in bodies {
        for cut in 0..body.len() {
            raw.send(&message(tag, &body[..cut])).await;
            raw.send(SYNC).await;
            let told = raw.until_ready().await;
            assert_eq!(told, REFUSED, "{} cut at {cut}", char::from(tag));
            if tag == b'F' {
                // A call is answered by itself.
                assert_eq!(raw.until_ready().await, "Z");
            }
        }
    }
}

#[tokio::test]
async fn lengths_of_none_to_three() {
    let server = server().await;
    for tag in b"QPBDECHSXdcfF" {
        for length in 0..4 {
            assert_eq!(told(&server, &[*tag, 0, 0, 0, length]).await, FATAL, "{} {length}", char::from(*tag));
        }
    }
}

#[tokio::test]
async fn negative_lengths() {
    let server = server().await;
    for length in [&b"\xff\xff\xff\xff"[..], b"\x80\0\0\0", b"\xff\xff\xff\xfc"] {
        assert_eq!(told(&server, &[b"Q", length].concat()).await, FATAL);
        assert_eq!(told(&server, &[b"P", length].concat()).await, FATAL);
    }
}

#[tokio::test]
async fn nine_hundred_megabytes_announced() {
    let server = server().await;
    let announced = 900_000_000_u32.to_be_bytes();
    // Before the login it is not waited for.
    assert_eq!(startup_told(&server, &[&b"Q"[..], &announced].concat()).await, FATAL);
    assert_eq!(startup_told(&server, &announced).await, FATAL);
    // Behind it nothing is held for what was only announced; what is larger than is taken is passed over as it comes.
    let before = resident_bytes();
    let mut waiting = Vec::new();
    for tag in *b"QPBd" {
        let mut raw = server.raw().await;
        raw.send(&[&[tag][..], &announced].concat()).await;
        raw.send(&vec![b'x'; 100_000]).await;
        waiting.push(raw);
    }
    let others = server.connect().await;
    others.simple_query("select 1").await.unwrap();
    let grown = resident_bytes().saturating_sub(before) >> 20;
    assert!(grown < 300, "{grown} MB");
    // A message that has no reason to be large ends the session at once.
    for tag in *b"EDCHSXcf" {
        assert_eq!(told(&server, &[&[tag][..], &announced].concat()).await, FATAL, "{}", char::from(tag));
    }
}

#[tokio::test]
async fn texts_that_are_no_utf8() {
    let server = server().await;
    assert_eq!(told(&server, &message(b'Q', b"select '\xff'\0")).await, "E ERROR 22021, Z");
    assert_eq!(told(&server, &message(b'Q', b"select '\xc3\0")).await, "E ERROR 22021, Z");
    // An overlong slash, a surrogate, beyond Unicode.
    for wrong in [&b"\xc0\xaf"[..], b"\xed\xa0\x80", b"\xf4\x90\x80\x80"] {
        let body = [b"\0select '", wrong, b"'\0\0\0"].concat();
        assert_eq!(told_of(&server, message(b'P', &body)).await, "E ERROR 22021, Z");
    }
    let names: [(u8, &[u8]); 4] =
        [(b'P', b"\xff\0select 1\0\0\0"), (b'D', b"S\xff\0"), (b'C', b"P\xff\0"), (b'E', b"\xff\0\0\0\0\0")];
    for (tag, body) in names {
        assert_eq!(told_of(&server, message(tag, body)).await, "E ERROR 22021, Z", "{}", char::from(tag));
    }
    let bind = message(b'B', b"\0\0\0\0\0\x01\0\0\0\x02\xc3\x28\0\0");
    assert_eq!(told_of(&server, [parse("select $1::text"), bind].concat()).await, "1, E ERROR 22021, Z");
    let startup = startup(b"\0\x03\0\0user\0m\xff\0database\0streamgate\0\0");
    assert_eq!(startup_told(&server, &startup).await, "E FATAL 22021, end");
}

#[tokio::test]
async fn messages_that_a_client_never_sends() {
    let server = server().await;
    // Of the server's, of a login that is over, of nobody's.
    for tag in *b"pTRZKvwGI1\0\xff" {
        assert_eq!(told(&server, &message(tag, b"\0\0\0\0")).await, FATAL, "{tag}");
    }
    // They end a session also where messages are skipped.
    let skipped = [message(b'P', b"\0\0"), message(b'p', b"secret\0")].concat();
    assert_eq!(told(&server, &skipped).await, "E ERROR 08P01, E FATAL 08P01, end");
}

#[tokio::test]
async fn messages_of_a_copy_outside_of_one() {
    let server = server().await;
    // PostgreSQL ignores them: they may be what a client had sent when its COPY failed.
    let bytes = [message(b'd', b"1\tone\n"), message(b'c', b""), message(b'f', b"why\0"), SYNC.to_vec()].concat();
    assert_eq!(told(&server, &bytes).await, "Z");
}

#[tokio::test]
async fn other_messages_within_a_copy() {
    let server = server().await;
    for (inside, expected) in [
        (message(b'Q', b"select 1\0"), "E ERROR 08P01, Z"),
        (parse("select 1"), "E ERROR 08P01, Z"),
        (bind(), "E ERROR 08P01, Z"),
        (message(b'f', b"\xff\0"), "E ERROR 22021, Z"),
        // The copy has failed, and what stands next is no message.
        (b"d\0\0\0\x03".to_vec(), "E ERROR 08P01, Z, E FATAL 08P01, end"),
        (message(b'p', b"secret\0"), "E ERROR 08P01, Z, E FATAL 08P01, end"),
        (message(b'z', b""), "E ERROR 08P01, Z, E FATAL 08P01, end"),
    ] {
        let mut raw = server.raw().await;
        raw.send(&message(b'Q', b"create temporary table t (a int); copy t from stdin\0")).await;
        assert_eq!(raw.until('G').await, "C CREATE TABLE, G");
        raw.send(&inside).await;
        let mut told = raw.until_ready().await;
        if expected.ends_with("end") {
            told = format!("{told}, {}", raw.until_ready().await);
        }
        assert_eq!(told, expected, "{inside:?}");
    }
}

/// A start-up packet of a body, which begins with the version.
fn startup(body: &[u8]) -> Vec<u8> {
    [&u32::try_from(body.len() + 4).unwrap().to_be_bytes()[..], body].concat()
}

/// What a socket that has just been opened is told for its first bytes, up to ReadyForQuery.
async fn startup_told(server: &Server, bytes: &[u8]) -> String {
    let mut raw = Raw { stream: TcpStream::connect(server.address).await.unwrap() };
    raw.send(bytes).await;
    let told = tokio::time::timeout(Duration::from_secs(10), raw.until_ready()).await.unwrap();
    server.connect().await.simple_query("select 1").await.unwrap();
    told
}

#[tokio::test]
async fn startup_packets_of_every_malformed_sort() {
    let server = server().await;
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("a length of 0", b"\0\0\0\0".to_vec(), FATAL),
        ("a length of 4", b"\0\0\0\x04".to_vec(), FATAL),
        ("a length of 7", b"\0\0\0\x07\0\x03\0".to_vec(), FATAL),
        ("a negative length", b"\xff\xff\xff\xff\0\x03\0\0".to_vec(), FATAL),
        ("a length above Postgres' bound", b"\0\0\x27\x11\0\x03\0\0".to_vec(), FATAL),
        ("64 KB announced", 65_536_u32.to_be_bytes().to_vec(), FATAL),
        ("a message of an open session", message(b'B', b"\0\0\0\0\0\0\0\0"), FATAL),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), FATAL),
        ("TLS where there is none", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), FATAL),
        ("a version alone", startup(b"\0\x03\0\0"), FATAL),
        ("no last NUL", startup(b"\0\x03\0\0user\0me\0"), FATAL),
        ("a name without a value", startup(b"\0\x03\0\0user\0me\0database\0"), FATAL),
        ("a text without its NUL", startup(b"\0\x03\0\0user\0me"), FATAL),
        ("bytes behind the last NUL", startup(b"\0\x03\0\0user\0me\0\0x"), FATAL),
        ("a session within SSLRequest", startup(b"\x04\xd2\x16\x2fuser\0me\0\0"), FATAL),
        ("bytes behind GSSENCRequest", startup(b"\x04\xd2\x16\x30x"), FATAL),
        ("protocol 2.0", startup(b"\0\x02\0\0user\0me\0\0"), "E FATAL 0A000, end"),
        ("protocol 4.0", startup(b"\0\x04\0\0user\0me\0\0"), "E FATAL 0A000, end"),
        ("no user", startup(b"\0\x03\0\0database\0streamgate\0\0"), "E FATAL 28000, end"),
        ("an empty user", startup(b"\0\x03\0\0user\0\0database\0streamgate\0\0"), "E FATAL 28000, end"),
        ("another database", startup(b"\0\x03\0\0user\0me\0database\0nowhere\0\0"), "E FATAL 3D000, end"),
        (
            "options that are none",
            startup(b"\0\x03\0\0user\0me\0database\0streamgate\0options\0-z\0\0"),
            "E FATAL 42601, end",
        ),
        (
            "a setting that cannot be",
            startup(b"\0\x03\0\0user\0me\0database\0streamgate\0TimeZone\0Nowhere/Land\0\0"),
            "E FATAL 22023, end",
        ),
        (
            "another encoding",
            startup(b"\0\x03\0\0user\0me\0database\0streamgate\0client_encoding\0LATIN1\0\0"),
            "E FATAL 0A000, end",
        ),
        ("replication", startup(b"\0\x03\0\0user\0me\0replication\0database\0\0"), "E FATAL 0A000, end"),
        ("a cancel request without a secret", startup(b"\x04\xd2\x16\x2e\0\0\0\x01"), FATAL),
        ("a cancel request that is cut", startup(b"\x04\xd2\x16\x2e\0\0"), FATAL),
        ("a cancel request of a wrong key", startup(b"\x04\xd2\x16\x2e\0\0\0\x01\0\0\0\x02"), "end"),
    ];
    for (what, bytes, expected) in cases {
        assert_eq!(startup_told(&server, &bytes).await, expected, "{what}");
    }
}

#[tokio::test]
async fn a_startup_packet_that_never_ends_and_one_that_is_cut_off() {
    let server =
        server_with(WireOptions { startup_timeout: Duration::from_millis(300), ..WireOptions::default() }).await;
    let whole = startup(b"\0\x03\0\0user\0me\0database\0streamgate\0\0");
    for cut in 0..whole.len() {
        let mut raw = Raw { stream: TcpStream::connect(server.address).await.unwrap() };
        raw.send(&whole[..cut]).await;
        raw.stream.shutdown().await.unwrap();
        assert_eq!(raw.until_ready().await, "end", "cut at {cut}");
    }
    // One byte, and then nothing: the time for the start ends it, and nothing is said.
    let mut raw = Raw { stream: TcpStream::connect(server.address).await.unwrap() };
    raw.send(&whole[..1]).await;
    assert_eq!(tokio::time::timeout(Duration::from_secs(10), raw.until_ready()).await.unwrap(), "end");
    server.connect().await.simple_query("select 1").await.unwrap();
}

#[tokio::test]
async fn requests_for_encryption_are_answered_once_each() {
    let server = server().await;
    let open = startup(b"\0\x03\0\0user\0me\0database\0streamgate\0\0");
    for first in [SSL_REQUEST, GSS_REQUEST] {
        let mut raw = Raw { stream: TcpStream::connect(server.address).await.unwrap() };
        raw.send(first).await;
        assert_eq!(raw.stream.read_u8().await.unwrap(), b'N');
        // As libpq does: it asks for the one after the other.
        let second = if first == SSL_REQUEST { GSS_REQUEST } else { SSL_REQUEST };
        raw.send(second).await;
        assert_eq!(raw.stream.read_u8().await.unwrap(), b'N');
        raw.send(&open).await;
        assert!(raw.until_ready().await.ends_with("K, Z"));
        let mut raw = Raw { stream: TcpStream::connect(server.address).await.unwrap() };
        raw.send(first).await;
        assert_eq!(raw.stream.read_u8().await.unwrap(), b'N');
        raw.send(first).await;
        assert_eq!(raw.until_ready().await, FATAL);
        // What stands behind a request may be somebody else's, whatever the answer to it.
        let mut raw = Raw { stream: TcpStream::connect(server.address).await.unwrap() };
        raw.send(&[first, &open].concat()).await;
        assert_eq!(raw.until_ready().await, FATAL);
    }
}
