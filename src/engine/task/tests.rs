use super::*;

#[test]
fn only_errors_of_data_are_of_a_row() {
    assert!(is_of_a_row(&Error::invalid("no number").code("22P02")));
    assert!(is_of_a_row(&Error::invalid("null value").code("23502")));
    assert!(!is_of_a_row(&Error::invalid("may not read").code("42501")));
    assert!(!is_of_a_row(&Error::not_found("no such table")));
    assert!(!is_of_a_row(&Error::unavailable("no answer")));
}
