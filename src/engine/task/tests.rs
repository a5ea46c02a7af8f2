use super::*;

#[test]
fn only_errors_of_data_are_of_a_row() {
    assert!(is_of_a_row(&Error::invalid("no number").code("22P02")));
    assert!(is_of_a_row(&Error::invalid("null value").code("23502")));
    assert!(!is_of_a_row(&Error::invalid("may not read").code("42501")));
    assert!(!is_of_a_row(&Error::not_found("no such table")));
    assert!(!is_of_a_row(&Error::unavailable("no answer")));
}

#[test]
fn what_is_too_large_is_halved_until_one_row_is_and_then_it_is_an_error_of_that_row() {
    let too_large = Error::invalid("out of memory").code("53200");
    assert_eq!(after_error(&too_large, 2, RowErrors::Fail), AfterError::Halve);
    assert_eq!(after_error(&too_large, 1, RowErrors::Fail), AfterError::Fail);
    assert_eq!(after_error(&too_large, 2, RowErrors::Skip), AfterError::Halve);
    assert_eq!(after_error(&too_large, 1, RowErrors::Skip), AfterError::LeaveOut);
}

#[test]
fn other_errors_are_looked_for_only_where_rows_may_be_left_out() {
    let of_a_row = Error::invalid("division by zero").code("22012");
    assert_eq!(after_error(&of_a_row, 2, RowErrors::Fail), AfterError::Fail);
    assert_eq!(after_error(&of_a_row, 2, RowErrors::Skip), AfterError::Halve);
    assert_eq!(after_error(&of_a_row, 1, RowErrors::Skip), AfterError::LeaveOut);
    assert_eq!(after_error(&Error::unavailable("nobody answers"), 2, RowErrors::Skip), AfterError::Fail);
}
