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

fn written(write: impl FnOnce(&mut Vec<u8>) -> bool) -> Option<String> {
    let mut out = Vec::new();
    write(&mut out).then(|| String::from_utf8(out).unwrap())
}

fn float_text(value: f64) -> Option<String> {
    written(|out| write_float(value, out))
}

/// What any way to write a number has to agree with: equal numbers are equal texts.
fn normal(text: &str) -> String {
    Number::parse(text).unwrap().to_text()
}

#[test]
fn floats_are_written_shortest() {
    assert_eq!(float_text(0.1).as_deref(), Some("0.1"));
    assert_eq!(float_text(-0.0).as_deref(), Some("0"));
    assert_eq!(float_text(1e22).as_deref(), Some("10000000000000000000000"));
    assert_eq!(float_text(1.5e-100).as_deref(), Some("15E-101"));
    assert_eq!(written(|out| write_float32(19.99, out)).as_deref(), Some("19.99"));
    assert_eq!(float_text(1e300), None);
    assert_eq!(float_text(f64::NAN), None);
    assert_eq!(float_text(f64::INFINITY), None);
}

#[test]
fn decimals_lose_their_trailing_zeros() {
    for (unscaled, scale, expected) in [
        (0, 2, "0"),
        (-100, 2, "-1"),
        (1_250, 3, "1.25"),
        (5, 4, "0.0005"),
        (-120, 0, "-120"),
        (12, -2, "1200"),
        (i128::from(u64::MAX) + 1, 1, "1844674407370955161.6"),
    ] {
        let mut out = Vec::new();
        write_decimal(unscaled, scale, &mut out).unwrap();
        assert_eq!(str::from_utf8(&out).unwrap(), expected);
    }
    let refused = write_decimal(10i128.pow(38) + 1, 0, &mut Vec::new()).unwrap_err();
    assert!(refused.contains("39 significant digits"), "{refused}");
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
    fn floats_come_back_in_the_one_form(value in prop_oneof![any::<f64>(), -1e3..1e3f64, (-1e9..1e9f64).prop_map(f64::round)]) {
        if let Some(text) = float_text(value) {
            prop_assert_eq!(text.parse::<f64>().unwrap(), value);
            prop_assert_eq!(&text, &normal(&format!("{value:e}")));
            prop_assert_eq!(&text, &normal(&text));
        }
        let single = value as f32;
        if let Some(text) = written(|out| write_float32(single, out)) {
            prop_assert_eq!(text.parse::<f32>().unwrap(), single);
            prop_assert_eq!(&text, &normal(&format!("{single:e}")));
        }
    }

    #[test]
    fn decimals_are_written_in_the_one_form(
        unscaled in prop_oneof![any::<i64>().prop_map(i128::from), any::<i128>().prop_map(|value| value % 10i128.pow(38))],
        zeros in 0u32..5,
        scale in -2i8..=38,
    ) {
        let unscaled = unscaled / 10i128.pow(zeros) * 10i128.pow(zeros);
        let mut out = Vec::new();
        write_decimal(unscaled, scale, &mut out).unwrap();
        let expected = Number::from_scaled(&unscaled.to_string(), scale).unwrap().to_text();
        prop_assert_eq!(str::from_utf8(&out).unwrap(), expected);
    }
}
