use super::*;

#[test]
fn a_verifier_is_read_back_as_it_was_written() {
    let verifier = Verifier::of_password(&Password::new("canary"), DEFAULT_ITERATIONS).unwrap();
    let text = verifier.to_secret_text();
    assert!(text.starts_with("SCRAM-SHA-256$4096:") && !text.contains("canary"), "{text}");
    assert_eq!(Verifier::parse(&text), Some(verifier.clone()));
    assert_eq!(Verifier::of_password(&Password::new(text), 9999).unwrap(), verifier, "taken as it is");
    let other = Verifier::of_password(&Password::new("canary"), DEFAULT_ITERATIONS).unwrap();
    assert_ne!(other, verifier, "each has a salt of its own");
}

/// The text is the one that PostgreSQL 15 keeps for this password, salt and number of iterations.
#[test]
fn keys_are_those_of_rfc_7677() {
    let salt = BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
    let verifier = Verifier::salted(&Password::new("pencil"), salt, at_least_one(4096));
    assert_eq!(
        verifier.to_secret_text(),
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    );
}

#[test]
fn passwords_are_compared_in_their_normal_form() {
    let of = |text: &str| Verifier::salted(&Password::new(text), vec![1; 16], at_least_one(1));
    assert_eq!(of("I\u{ad}X"), of("IX"), "a soft hyphen is nothing");
    assert_eq!(of("\u{2168}"), of("IX"));
    assert_ne!(of("ix"), of("IX"));
    // Prohibited: the bytes themselves.
    assert_ne!(of("\u{7}a"), of("a"));
}

#[test]
fn what_is_no_verifier_is_a_password() {
    for text in
        ["", "SCRAM-SHA-256$", "SCRAM-SHA-256$4096:AAAA$x:y", "md5abc", "SCRAM-SHA-256$0:AAAA$:", "SCRAM-SHA-1$1:a$b:c"]
    {
        assert_eq!(Verifier::parse(text), None, "{text}");
    }
    let keys = "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
    for iterations in [1, 4095, 4_000_000_000_u32] {
        let weak = Password::new(format!("SCRAM-SHA-256${iterations}:W22ZaJ0SNY7soEsUEjb6gQ==${keys}"));
        let error = Verifier::of_password(&weak, DEFAULT_ITERATIONS).unwrap_err();
        assert!(error.message().contains("iterations is not taken"), "{error}");
    }
}

#[test]
fn a_stranger_has_the_same_salt_each_time() {
    let mock = |key: u8, name: &str| Verifier::mock(&[key; KEY_BYTES], name);
    assert_eq!(mock(1, "nobody"), mock(1, "nobody"));
    assert_ne!(mock(1, "nobody").salt, mock(1, "anybody").salt);
    assert_ne!(mock(1, "nobody").salt, mock(2, "nobody").salt);
    assert_eq!(mock(1, "nobody").salt.len(), SALT_BYTES);
}

#[test]
fn nothing_of_it_is_printed() {
    let password = Password::new("canary");
    let verifier = Verifier::salted(&password, b"canary".to_vec(), at_least_one(1));
    assert_eq!(format!("{password:?} {verifier:?}"), "Password(******) Verifier(******)");
}
