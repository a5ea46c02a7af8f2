use super::*;

#[test]
fn texts_have_the_length_of_their_column() {
    let varchar = TypeLength { length: 3, is_padded: false };
    let char = TypeLength { length: 3, is_padded: true };
    assert_eq!(fitted_text("äöü", varchar).unwrap(), "äöü");
    assert_eq!(fitted_text("abc  ", varchar).unwrap(), "abc");
    assert_eq!(fitted_text("a", char).unwrap(), "a  ");
    let error = fitted_text("abcd", varchar).unwrap_err();
    assert_eq!(error.message(), "value too long for type character varying(3)");
    assert_eq!(error.sqlstate(), SqlState::StringDataRightTruncation);
    assert_eq!(fitted_text("abcd", char).unwrap_err().message(), "value too long for type character(3)");
    assert!(fitted_bytes(b"abcd", varchar).is_err());
}
