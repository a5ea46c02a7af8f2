//! Each row of the table of pgwire's frame faults, and a little fuzz.

use bytes::BytesMut;
use pgwire::messages::PgWireFrontendMessage;
use proptest::prelude::*;

use super::{Frame, Next, StartupFrame, decode, split, split_startup};

const LIMIT: usize = 16 << 20;

fn message(tag: u8, body: &[u8]) -> BytesMut {
    let mut bytes = BytesMut::new();
    bytes.extend_from_slice(&[tag]);
    bytes.extend_from_slice(&i32::try_from(body.len() + 4).unwrap().to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// SQLSTATE of the first message, or what it is.
fn outcome(mut bytes: BytesMut) -> String {
    match split(&mut bytes, LIMIT) {
        Err(error) => format!("fatal {}", error.sqlstate().code()),
        Ok(Next::Incomplete(_)) => "incomplete".to_owned(),
        Ok(Next::Oversized(message)) => format!("oversized {}", message.body_bytes),
        Ok(Next::Frame(frame)) => match decode(frame) {
            Err(error) => error.sqlstate().code().to_owned(),
            Ok(Frame::FunctionCall) => "function call".to_owned(),
            Ok(Frame::Message(PgWireFrontendMessage::Query(query))) => format!("query {}", query.query),
            Ok(Frame::Message(_)) => "message".to_owned(),
        },
    }
}

#[test]
fn parse_of_two_nuls_is_an_error_not_a_panic() {
    assert_eq!(outcome(message(b'P', b"\0\0")), "08P01");
}

#[test]
fn bind_with_a_huge_parameter_length_is_an_error() {
    assert_eq!(outcome(message(b'B', b"\0\0\0\0\0\x01\x7f\xff\xff\xff")), "08P01");
    assert_eq!(outcome(message(b'B', b"\0\0\0\0\0\x01\xff\xff\xff\xfe\0\0")), "08P01");
}

#[test]
fn a_parse_does_not_read_into_the_next_frame() {
    let mut bytes = message(b'P', b"\0SE");
    bytes.extend_from_slice(&message(b'Q', b"select 1\0"));
    assert_eq!(outcome(bytes), "08P01");
}

#[test]
fn a_message_inside_of_a_query_is_not_run() {
    assert_eq!(outcome(message(b'Q', b"s\0X\0\0\0\x04")), "08P01");
}

#[test]
fn lengths_below_four_are_refused() {
    for length in 0..4_i32 {
        let mut bytes = BytesMut::from(&b"Q"[..]);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(b"select 1\0");
        assert_eq!(outcome(bytes), "fatal 08P01");
    }
}

#[test]
fn negative_and_enormous_lengths_are_refused_at_once() {
    let announced = |length: i32| {
        let mut bytes = BytesMut::from(&b"Q"[..]);
        bytes.extend_from_slice(&length.to_be_bytes());
        outcome(bytes)
    };
    for length in [-1, i32::MIN, i32::MAX] {
        assert_eq!(announced(length), "fatal 08P01");
    }
    // As large as Postgres takes, larger than we do: it can be passed over.
    assert_eq!(announced(900_000_000), "oversized 899999996");
    let mut login = BytesMut::from(&900_000_000_i32.to_be_bytes()[..]);
    assert_eq!(split_startup(&mut login).unwrap_err().sqlstate().code(), "08P01");
}

#[test]
fn invalid_utf8_is_22021() {
    assert_eq!(outcome(message(b'Q', b"select '\xff'\0")), "22021");
}

#[test]
fn unknown_tags_are_refused_before_their_body_arrives() {
    assert_eq!(outcome(BytesMut::from(&b"z"[..])), "fatal 08P01");
}

#[test]
fn well_formed_messages_pass() {
    assert_eq!(outcome(message(b'Q', "select 'ü'\0".as_bytes())), "query select 'ü'");
    assert_eq!(outcome(message(b'P', b"s\0select $1\0\0\x01\0\0\0\x17")), "message");
    assert_eq!(outcome(message(b'B', b"\0s\0\0\x01\0\x01\0\x01\0\0\0\x01x\0\x01\0\x01")), "message");
    assert_eq!(outcome(message(b'F', b"\0\0\0\x01\0\0\0\0\0\0")), "function call");
    assert_eq!(outcome(message(b'S', b"")), "message");
    assert_eq!(outcome(message(b'D', b"Xs\0")), "08P01");
    assert_eq!(outcome(BytesMut::from(&b"Q\0\0\0\x0cse"[..])), "incomplete");
}

#[test]
fn startup_packets_are_read() {
    let mut bytes = BytesMut::from(&b"\0\0\0\x17\0\x03\0\x02user\0me\0a\0b\0\0rest"[..]);
    bytes[3] = 8 + 8 + 4 + 1;
    let Some(StartupFrame::Startup { version, parameters }) = split_startup(&mut bytes).unwrap() else { panic!() };
    assert_eq!(version, (3, 2));
    assert_eq!(parameters, [("user".to_owned(), "me".to_owned()), ("a".to_owned(), "b".to_owned())]);
    assert_eq!(&bytes[..], b"rest");
    let mut bytes = BytesMut::from(&b"\0\0\0\x08\x04\xd2\x16\x2f"[..]);
    assert!(matches!(split_startup(&mut bytes).unwrap(), Some(StartupFrame::Ssl)));
    let mut bytes = BytesMut::from(&b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x07\0\0\0\x09"[..]);
    assert!(matches!(split_startup(&mut bytes).unwrap(), Some(StartupFrame::Cancel { process_id: 7, .. })));
}

proptest! {
    #[test]
    fn no_bytes_panic(tag in prop::sample::select(b"QPBDECHSXFdcfp".to_vec()), body in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = outcome(message(tag, &body));
        let mut login = BytesMut::from(&body[..]);
        let _ = split_startup(&mut login);
    }
}
