use datafusion::arrow::array::{ArrayRef, Float64Array, StringArray};

use super::*;

#[test]
fn only_errors_of_a_row_are_left_out_and_only_where_rows_may_be() {
    let left_out = Arc::new(LeftOut::default());
    let log = BadRows::leave_out("job", Arc::clone(&left_out));
    log.take(Error::row("no number").code(crate::error::SqlState::InvalidTextRepresentation)).unwrap();
    log.take(Error::row("null value").code(crate::error::SqlState::NotNullViolation)).unwrap();
    assert_eq!((left_out.rows(), left_out.last().as_deref()), (2, Some("null value")));
    // The code says nothing: 22023 is what every wrong option has.
    for of_all_rows in [
        Error::invalid("no such option"),
        Error::invalid("out of range").code(crate::error::SqlState::NumericValueOutOfRange),
        Error::denied("may not read"),
        Error::not_found("no such table"),
        Error::unavailable("no answer"),
        Error::row("no pattern").of_every_row(),
    ] {
        let message = of_all_rows.message().to_owned();
        assert_eq!(log.take(of_all_rows).unwrap_err().message(), message);
    }
    assert_eq!(left_out.rows(), 2);
    assert_eq!(BadRows::fail().take(Error::row("no number")).unwrap_err().message(), "no number");
}

#[test]
fn a_row_is_shown_with_its_columns_and_shortened() {
    let column = |array: ArrayRef| array;
    let rows = RecordBatch::try_from_iter([
        ("#0", column(Arc::new(StringArray::from(vec![Some("x".repeat(100)), None])))),
        ("amount", column(Arc::new(Float64Array::from(vec![f64::NAN, 1.5])))),
    ])
    .unwrap();
    assert_eq!(row_text(&rows, 0), format!("({}…, amount = NaN)", "x".repeat(60)));
    assert_eq!(row_text(&rows, 1), "(NULL, amount = 1.5)");
}
