use super::*;

#[test]
fn the_row_at_fault_is_looked_for_where_it_is_one() {
    let of_a_row = Error::row("division by zero").code(crate::error::SqlState::DivisionByZero);
    let too_large = Error::from(crate::functions::memory::too_large("repeat", 2 << 30, 1 << 20));
    for error in [of_a_row, too_large] {
        assert_eq!(after_error(&error, 8192), AfterError::Halve);
        assert_eq!(after_error(&error, 2), AfterError::Halve);
        assert_eq!(after_error(&error, 1), AfterError::BlameTheRow);
    }
    for error in [Error::unavailable("nobody answers"), Error::invalid("no such function"), Error::internal("a defect")]
    {
        assert_eq!(after_error(&error, 8192), AfterError::Fail);
        assert_eq!(after_error(&error, 1), AfterError::Fail);
    }
}
