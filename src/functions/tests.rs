use super::*;
use crate::clock::ManualClock;

#[test]
fn every_function_can_be_made_again_from_its_name() {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(0));
    let all = all(&clock);
    assert_eq!(all.len(), NAMES.len() + nulls::NAMES.len() + bounded::all().len());
    for function in all {
        assert_eq!(by_name(function.name(), clock.clone()).as_ref(), Some(&function));
    }
}

#[test]
fn numbers_are_read_and_printed_exactly() {
    for (text, printed) in [
        ("1", "1"),
        (" -1.50 ", "-1.5"),
        ("1e3", "1000"),
        ("12.5e-3", "0.0125"),
        (".5", "0.5"),
        ("5.", "5"),
        ("0.00", "0"),
        ("-0", "0"),
        (
            "12345678901234567890123456789012345678.12345678901234567890123456789012345678",
            "12345678901234567890123456789012345678.12345678901234567890123456789012345678",
        ),
        ("0.000000000000000000000000000000000000005", "0.00000000000000000000000000000000000001"),
        ("1e-60", "0"),
    ] {
        assert_eq!(numeric::print(numeric::parse(text).unwrap()), printed, "{text}");
    }
    for (text, sqlstate) in [
        ("", "22P02"),
        ("x", "22P02"),
        ("1 2", "22P02"),
        ("1e", "22P02"),
        ("-", "22P02"),
        (".", "22P02"),
        ("1e39", "22003"),
        ("NaN", "22003"),
    ] {
        assert_eq!(numeric::parse(text).unwrap_err().sqlstate().code(), sqlstate, "{text}");
    }
}
