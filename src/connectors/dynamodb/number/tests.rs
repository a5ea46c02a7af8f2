use super::*;
use proptest::prelude::*;

#[test]
fn texts_are_read_and_written_in_one_form() {
    for (text, expected) in [
        ("0", "0"),
        ("-0.00", "0"),
        ("007.50", "7.5"),
        ("1e3", "1000"),
        (".5", "0.5"),
        ("-12.5E-2", "-0.125"),
        ("123456789012345678901234567890.12345678", "123456789012345678901234567890.12345678"),
        ("1E100", "1E100"),
    ] {
        assert_eq!(Number::parse(text).map(|number| number.to_text()).as_deref(), Some(expected), "{text}");
    }
    for text in ["", "abc", "1.2.3", "-", "1e", "--1", "NaN", "١"] {
        assert_eq!(Number::parse(text), None, "{text}");
    }
}

#[test]
fn digits_are_never_lost() {
    let number = Number::parse("12.345").unwrap();
    assert_eq!(number.to_scaled(5, 3), Some(i256::from_i128(12345)));
    assert_eq!(number.to_scaled(38, 2), None, "a digit would be lost");
    assert_eq!(number.to_scaled(4, 3), None, "precision");
    assert_eq!(number.to_i128(), None);
    assert_eq!(Number::parse("1e2").unwrap().to_i128(), Some(100));
    assert_eq!(Number::parse("-1.5").unwrap().floor_scaled(0), Some(-2));
    assert_eq!(Number::parse("1.5").unwrap().floor_scaled(3), Some(1500));
    assert_eq!(Number::parse("0.0004").unwrap().floor_scaled(3), Some(0));
}

#[test]
fn floats_are_written_shortest() {
    assert_eq!(float_text(0.1).as_deref(), Some("0.1"));
    assert_eq!(float32_text(19.99).as_deref(), Some("19.99"));
    assert_eq!(float_text(1e300), None);
    assert_eq!(float_text(f64::NAN), None);
    assert_eq!(float_text(f64::INFINITY), None);
}

proptest! {
    #[test]
    fn decimals_come_back(unscaled in any::<i128>(), scale in 0i8..38) {
        let unscaled = unscaled % 10i128.pow(38);
        let text = Number::from_scaled(&unscaled.to_string(), scale).unwrap().to_text();
        let back = Number::parse(&text).unwrap().to_scaled(38, scale);
        prop_assert_eq!(back, Some(i256::from_i128(unscaled)));
    }

    #[test]
    fn floats_come_back(value in any::<f64>()) {
        if let Some(text) = float_text(value) {
            prop_assert_eq!(text.parse::<f64>().unwrap(), value);
        }
    }
}
