use super::*;
use crate::scram::Password;

const SALT: &str = "W22ZaJ0SNY7soEsUEjb6gQ==";
const OURS: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
const LAST: &str =
    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
const CLEAR: Channel<'static> = Channel { end_point: None };

fn verifier(password: &str) -> Verifier {
    Verifier::salted(&Password::new(password), BASE64.decode(SALT).unwrap(), 4096.try_into().unwrap())
}

fn begin(mechanism: Mechanism, first: &str, channel: Channel<'_>) -> Result<(Exchange, String)> {
    Exchange::begin(mechanism, first, channel, (verifier("pencil"), true), OURS)
}

/// What a client says that knows the password.
fn proof(password: &str, without_proof: &str, exchange: &Exchange) -> String {
    let kept = verifier(password);
    let mut salted = [0; KEY_BYTES];
    ring::pbkdf2::derive(
        ring::pbkdf2::PBKDF2_HMAC_SHA256,
        kept.iterations,
        &kept.salt,
        password.as_bytes(),
        &mut salted,
    );
    let client_key = mac(&salted, b"Client Key");
    let signature = mac(&kept.stored_key, format!("{},{without_proof}", exchange.said).as_bytes());
    let proof: Vec<u8> = client_key.iter().zip(signature).map(|(a, b)| a ^ b).collect();
    format!("{without_proof},p={}", BASE64.encode(proof))
}

#[test]
fn the_example_of_rfc_7677() {
    let (exchange, answer) = begin(Mechanism::Plain, FIRST, CLEAR).unwrap();
    assert_eq!(answer, "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
    assert_eq!(exchange.prove(LAST).unwrap().unwrap(), "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
}

#[test]
fn a_wrong_password_and_nobody_give_the_same() {
    let wrong = Exchange::begin(Mechanism::Plain, FIRST, CLEAR, (verifier("pen"), true), OURS).unwrap();
    let nobody = Exchange::begin(Mechanism::Plain, FIRST, CLEAR, (verifier("pencil"), false), OURS).unwrap();
    assert_eq!(wrong.1, nobody.1);
    assert_eq!(wrong.0.prove(LAST).unwrap(), None);
    assert_eq!(nobody.0.prove(LAST).unwrap(), None, "also with what would be the right proof");
}

#[test]
fn a_proof_is_good_for_its_own_login_only() {
    // Replayed under another nonce of ours.
    let (exchange, _) = Exchange::begin(Mechanism::Plain, FIRST, CLEAR, (verifier("pencil"), true), "another").unwrap();
    assert_eq!(exchange.prove(LAST).unwrap_err().detail_text(), Some("Nonce does not match."));
    for nonce in ["rOprNGfwEbeRWgbNEkqO", "", "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k1"] {
        let (exchange, _) = begin(Mechanism::Plain, FIRST, CLEAR).unwrap();
        let last = proof("pencil", &format!("c=biws,r={nonce}"), &exchange);
        assert_eq!(exchange.prove(&last).unwrap_err().sqlstate(), SqlState::ProtocolViolation, "{nonce}");
    }
}

#[test]
fn a_bound_proof_holds_on_its_channel_only() {
    let tls = Channel { end_point: Some(b"hash") };
    let first = "p=tls-server-end-point,,n=,r=abc";
    let bound = |hash: &[u8]| BASE64.encode([b"p=tls-server-end-point,,", hash].concat());
    let (exchange, _) = begin(Mechanism::Plus, first, tls).unwrap();
    let last = proof("pencil", &format!("c={},r=abc{OURS}", bound(b"hash")), &exchange);
    assert!(exchange.prove(&last).unwrap().is_some());
    for other in [bound(b"hasj"), bound(b""), "biws".to_owned(), "eSws".to_owned()] {
        let (exchange, _) = begin(Mechanism::Plus, first, tls).unwrap();
        let last = proof("pencil", &format!("c={other},r=abc{OURS}"), &exchange);
        let error = exchange.prove(&last).unwrap_err();
        assert_eq!(error.message(), "SCRAM channel binding check failed");
        assert_eq!(error.sqlstate(), SqlState::InvalidAuthorizationSpecification);
    }
}

#[test]
fn what_contradicts_the_channel_is_refused() {
    let tls = Channel { end_point: Some(b"hash") };
    for (mechanism, first, channel) in [
        (Mechanism::Plain, "p=tls-server-end-point,,n=,r=abc", tls),
        (Mechanism::Plain, "p=tls-server-end-point,,n=,r=abc", CLEAR),
        (Mechanism::Plus, "n,,n=,r=abc", tls),
        (Mechanism::Plus, "y,,n=,r=abc", tls),
        (Mechanism::Plus, "p=tls-unique,,n=,r=abc", tls),
        (Mechanism::Plus, "p=tls-server-end-point,,n=,r=abc", CLEAR),
        // Somebody in between has taken PLUS out of the offer.
        (Mechanism::Plain, "y,,n=,r=abc", tls),
    ] {
        assert!(begin(mechanism, first, channel).is_err(), "{mechanism:?} {first}");
    }
    let (exchange, _) = begin(Mechanism::Plain, "y,,n=,r=abc", CLEAR).unwrap();
    let last = proof("pencil", &format!("c=eSws,r=abc{OURS}"), &exchange);
    assert!(exchange.prove(&last).unwrap().is_some());
    assert_eq!(mechanisms(tls), [Mechanism::Plus, Mechanism::Plain]);
    assert_eq!(mechanisms(CLEAR), [Mechanism::Plain]);
}

#[test]
fn malformed_messages_are_refused_at_every_step() {
    for first in [
        "",
        "n",
        "n,",
        "n,,",
        "n,,n=user",
        "n,,r=abc",
        "n,,n=user,r=",
        "n,,n=user,r=a b",
        "x,,n=u,r=a",
        "n,a=me,n=u,r=a",
        "n,,m=x,n=u,r=a",
        ",,n=u,r=a",
        "n,,n=u,s=a",
    ] {
        assert!(begin(Mechanism::Plain, first, CLEAR).is_err(), "{first}");
    }
    let nonce = format!("rOprNGfwEbeRWgbNEkqO{OURS}");
    for last in [
        String::new(),
        "p=".to_owned(),
        "c=biws".to_owned(),
        format!("c=biws,r={nonce}"),
        format!("c=biws,r={nonce},p="),
        format!("c=biws,r={nonce},p=AAAA"),
        format!("c=biws,r={nonce},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=,x=1"),
        format!("r={nonce},c=biws,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="),
        format!("{LAST}{}", "A".repeat(9000)),
    ] {
        let (exchange, _) = begin(Mechanism::Plain, FIRST, CLEAR).unwrap();
        assert!(exchange.prove(&last).is_err(), "{last}");
    }
    // What an attacker changes under way, byte by byte.
    for at in 0..LAST.len() {
        let mut bytes = LAST.as_bytes().to_vec();
        bytes[at] ^= 1;
        let Ok(changed) = String::from_utf8(bytes) else { continue };
        let (exchange, _) = begin(Mechanism::Plain, FIRST, CLEAR).unwrap();
        assert!(!matches!(exchange.prove(&changed), Ok(Some(_))), "{changed}");
    }
}
