use super::*;

#[test]
fn a_document_has_one_form_as_in_postgresql() {
    for (written, form) in [
        (r#"{"bb":1, "a" : [1,2 ,{"z":null}], "c":true}"#, r#"{"a": [1, 2, {"z": null}], "c": true, "bb": 1}"#),
        (r#"{"a":1,"a":2}"#, r#"{"a": 2}"#),
        (r#"  "x\u00e9\n\u001F/\/"  "#, "\"xé\\n\\u001f//\""),
        ("1e2", "100"),
        ("1.50", "1.50"),
        ("-0", "0"),
        ("-0.00", "0.00"),
        ("1.5e3", "1500"),
        ("12.5e-3", "0.0125"),
        ("0.001E2", "0.1"),
        ("123456789012345678901234567890.5", "123456789012345678901234567890.5"),
        ("-1E-3", "-0.001"),
        ("10.0e1", "100"),
        ("[]", "[]"),
        ("{}", "{}"),
    ] {
        assert_eq!(canonical(written).unwrap(), form, "{written}");
    }
}

#[test]
fn what_is_no_document_is_refused() {
    for (written, code) in [
        ("", "22P02"),
        ("{", "22P02"),
        ("{\"a\":1}}", "22P02"),
        ("[1,]", "22P02"),
        ("01", "22P02"),
        ("'a'", "22P02"),
        ("nul", "22P02"),
        (r#"{"a": "\u0000"}"#, "22P05"),
        ("1e999", "22003"),
    ] {
        assert_eq!(canonical(written).unwrap_err().sqlstate().code(), code, "{written}");
    }
    let deep = format!("{}{}", "[".repeat(600), "]".repeat(600));
    assert_eq!(canonical(&deep).unwrap_err().sqlstate().code(), "54001");
}

#[test]
fn a_document_loses_its_blanks() {
    assert_eq!(compact(r#"{"a" : [1, 2.50 ], "a": "x y"}"#).unwrap(), r#"{"a":[1,2.50],"a":"x y"}"#);
}
