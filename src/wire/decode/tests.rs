//! Parameters: text and binary give the same values; wrong ones give their SQLSTATE.

use datafusion::arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};
use datafusion::scalar::ScalarValue;

use super::parameter;
use crate::wire::text::Zone;

fn text(value: &str, data_type: &DataType) -> Result<ScalarValue, &'static str> {
    let zone = Zone::parse("Asia/Shanghai");
    parameter(Some(value.as_bytes()), false, data_type, 0, zone).map_err(|error| error.sqlstate().code())
}

fn binary(bytes: &[u8], data_type: &DataType) -> Result<ScalarValue, &'static str> {
    parameter(Some(bytes), true, data_type, 0, Zone::Fixed(0)).map_err(|error| error.sqlstate().code())
}

fn micros(zone: Option<&str>) -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into))
}

#[test]
fn texts_are_read() {
    assert_eq!(text(" 42 ", &DataType::Int32), Ok(ScalarValue::Int32(Some(42))));
    assert_eq!(text("yes", &DataType::Boolean), Ok(ScalarValue::Boolean(Some(true))));
    assert_eq!(text("NaN", &DataType::Float64).map(|value| value.to_string()), Ok("NaN".into()));
    assert_eq!(text("\\x01ff", &DataType::Binary), Ok(ScalarValue::Binary(Some(vec![1, 255]))));
    assert_eq!(text("a\\\\\\001", &DataType::Binary), Ok(ScalarValue::Binary(Some(vec![b'a', b'\\', 1]))));
    assert_eq!(text("1970-01-02", &DataType::Date32), Ok(ScalarValue::Date32(Some(1))));
    assert_eq!(
        text("1970-01-01 08:00:00", &micros(Some("UTC"))),
        Ok(ScalarValue::TimestampMicrosecond(Some(0), Some("UTC".into())))
    );
    assert_eq!(
        text("1970-01-01T00:00:01.5Z", &micros(Some("UTC"))),
        Ok(ScalarValue::TimestampMicrosecond(Some(1_500_000), Some("UTC".into())))
    );
    assert_eq!(
        text("1970-01-01 00:00:01+05", &micros(None)),
        Ok(ScalarValue::TimestampMicrosecond(Some(1_000_000), None))
    );
    assert_eq!(text("-1.235", &DataType::Decimal128(10, 2)), Ok(ScalarValue::Decimal128(Some(-124), 10, 2)));
    assert_eq!(text("1e3", &DataType::Decimal128(10, 0)), Ok(ScalarValue::Decimal128(Some(1000), 10, 0)));
    let interval = text("1 day 02:00:00", &DataType::Interval(IntervalUnit::MonthDayNano)).unwrap();
    let ScalarValue::IntervalMonthDayNano(Some(interval)) = interval else { panic!() };
    assert_eq!((interval.months, interval.days, interval.nanoseconds), (0, 1, 7_200_000_000_000));
    let list = DataType::List(Field::new_list_field(DataType::Int32, true).into());
    assert_eq!(text("{1, NULL,3}", &list).unwrap().to_string(), "[1, , 3]");
    assert_eq!(text("{}", &list).unwrap().to_string(), "[]");
}

#[test]
fn wrong_texts_have_their_codes() {
    assert_eq!(text("x", &DataType::Int32), Err("22P02"));
    assert_eq!(text("3000000000", &DataType::Int32), Err("22003"));
    assert_eq!(text("maybe", &DataType::Boolean), Err("22P02"));
    assert_eq!(text("yesterday-ish", &DataType::Date32), Err("22007"));
    assert_eq!(text("12.3.4", &DataType::Decimal128(10, 2)), Err("22P02"));
    assert_eq!(text("123456789.5", &DataType::Decimal128(4, 2)), Err("22003"));
    let list = DataType::List(Field::new_list_field(DataType::Int32, true).into());
    assert_eq!(text("1,2", &list), Err("22P02"));
}

#[test]
fn binaries_are_read() {
    assert_eq!(binary(&7_i32.to_be_bytes(), &DataType::Int64), Ok(ScalarValue::Int64(Some(7))));
    assert_eq!(binary(&7_u32.to_be_bytes(), &DataType::UInt32), Ok(ScalarValue::UInt32(Some(7))));
    assert_eq!(binary(&1.5_f64.to_be_bytes(), &DataType::Float64), Ok(ScalarValue::Float64(Some(1.5))));
    let numeric = [0, 2, 0, 0, 0x40, 0, 0, 4, 4, 0xd2, 0x15, 0xe0];
    assert_eq!(binary(&numeric, &DataType::Decimal128(10, 4)), Ok(ScalarValue::Decimal128(Some(-12_345_600), 10, 4)));
    assert_eq!(binary(&[0; 8], &micros(None)), Ok(ScalarValue::TimestampMicrosecond(Some(946_684_800_000_000), None)));
    assert_eq!(binary(b"abc", &DataType::Utf8View), Ok(ScalarValue::Utf8View(Some("abc".into()))));
    let list = DataType::List(Field::new_list_field(DataType::Int32, true).into());
    let array = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 23, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 9];
    assert_eq!(binary(&array, &list).unwrap().to_string(), "[9]");
}

#[test]
fn wrong_binaries_are_22p03() {
    assert_eq!(binary(&[1, 2, 3], &DataType::Int32), Err("22P03"));
    assert_eq!(binary(&[0; 7], &micros(None)), Err("22P03"));
    assert_eq!(binary(&[0xff; 8], &DataType::Decimal128(10, 4)), Err("22P03"));
    assert_eq!(binary(b"\xff", &DataType::Utf8), Err("22021"));
    let list = DataType::List(Field::new_list_field(DataType::Int32, true).into());
    assert_eq!(binary(&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 23, 0x7f, 0, 0, 1, 0, 0, 0, 1], &list), Err("22P03"));
    assert_eq!(parameter(None, true, &DataType::Int32, 0, Zone::Fixed(0)).unwrap(), ScalarValue::Int32(None));
}
