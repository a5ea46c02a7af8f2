use proptest::prelude::*;

use super::*;

fn arithmetic(left: &str, operator: Operator, right: &str) -> String {
    print(compute(operator, parse(left).unwrap(), parse(right).unwrap()).unwrap())
}

#[test]
fn text_is_read_exactly_and_printed_without_trailing_zeros() {
    for (text, printed) in [
        ("5", "5"),
        (" 12.50 ", "12.5"),
        ("-0.001", "-0.001"),
        ("1e3", "1000"),
        ("12.5E-1", "1.25"),
        ("+7.", "7"),
        (".5", "0.5"),
        ("0", "0"),
        ("1e-50", "0"),
        ("99999999999999999999999999999999999999", "99999999999999999999999999999999999999"),
        ("0.00000000000000000000000000000000000001", "0.00000000000000000000000000000000000001"),
        ("0.000000000000000000000000000000000000015", "0.00000000000000000000000000000000000002"),
    ] {
        assert_eq!(print(parse(text).unwrap()), printed, "{text}");
    }
}

#[test]
fn text_that_is_no_number_is_shown_in_the_error() {
    for text in ["x", "", ".", "1.2.3", "1e", "--1", "0x10", "NaN"] {
        let error = parse(text).unwrap_err();
        assert_eq!(error.sqlstate(), "22P02", "{text}");
        assert!(error.message().contains(&format!("\"{text}\"")), "{error}");
    }
    assert_eq!(parse("1e38").unwrap_err().sqlstate(), "22003");
}

#[test]
fn arithmetic_is_exact() {
    assert_eq!(arithmetic("2", Operator::Plus, "3"), "5");
    assert_eq!(arithmetic("0.1", Operator::Plus, "0.2"), "0.3");
    assert_eq!(arithmetic("12.25", Operator::Multiply, "-4"), "-49");
    assert_eq!(arithmetic("1", Operator::Divide, "8"), "0.125");
    assert_eq!(arithmetic("2", Operator::Divide, "3"), format!("0.{}7", "6".repeat(37)));
    assert_eq!(arithmetic("7.5", Operator::Modulo, "2"), "1.5");
    let zero = compute(Operator::Divide, parse("1").unwrap(), i256::ZERO).unwrap_err();
    assert_eq!(zero.sqlstate(), "22012");
}

#[test]
fn floats_become_what_they_print() {
    let array: ArrayRef = Arc::new(datafusion::arrow::array::Float32Array::from(vec![12.1_f32, 250.37]));
    let array = from_array(&array).unwrap();
    assert_eq!(to_text(&array).unwrap().iter().flatten().collect::<Vec<_>>(), ["12.1", "250.37"]);
}

proptest! {
    #[test]
    fn what_is_printed_reads_back(value: i128, scale in 0_usize..38) {
        let digits = format!("{:0>40}", value.unsigned_abs() % 10_u128.pow(37));
        let (whole, fraction) = digits.split_at(digits.len() - scale.min(37));
        let text = format!("{}{whole}.{fraction}", if value < 0 { "-" } else { "" });
        let parsed = parse(&text).unwrap();
        prop_assert_eq!(parse(&print(parsed)).unwrap(), parsed);
    }
}
