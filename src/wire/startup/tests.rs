//! Start-up parameters.

use super::session_options;

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn options_become_settings_and_named_parameters_win() {
    let given = pairs(&[("user", "me"), ("TimeZone", "UTC"), ("options", r"-c a=b\ c --statement-timeout=5s -cx=1")]);
    let (options, unknown) = session_options(given).unwrap();
    assert_eq!(options.database, "me");
    let expected = pairs(&[("a", "b c"), ("statement_timeout", "5s"), ("x", "1"), ("TimeZone", "UTC")]);
    assert_eq!(options.settings, expected);
    assert!(unknown.is_empty());
}

#[test]
fn refusals_have_their_codes() {
    let code = |list: &[(&str, &str)]| session_options(pairs(list)).unwrap_err().sqlstate().code();
    assert_eq!(code(&[("database", "d")]), "28000");
    assert_eq!(code(&[("user", "me"), ("options", "-x")]), "42601");
    assert_eq!(code(&[("user", "me"), ("replication", "true")]), "0A000");
}
