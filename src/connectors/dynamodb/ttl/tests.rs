use super::*;
use datafusion::arrow::array::TimestampMillisecondArray;

#[test]
fn only_numbers_of_the_past_expire() {
    let item = |value| Item::from([("e".to_owned(), value)]);
    assert!(is_expired(&item(AttributeValue::N("100".into())), "e", 100_000));
    assert!(!is_expired(&item(AttributeValue::N("101".into())), "e", 100_999));
    assert!(!is_expired(&item(AttributeValue::S("1".into())), "e", 100_000));
    assert!(!is_expired(&item(AttributeValue::Null(true)), "e", 100_000));
    assert!(!is_expired(&Item::new(), "e", 100_000));
}

#[test]
fn a_timestamp_without_a_zone_is_one_of_the_job() {
    let array = TimestampMillisecondArray::from(vec![Some(1_704_067_200_999), None]);
    assert_eq!(epoch_seconds(&array, 0, Tz::UTC), Some(1_704_067_200));
    assert_eq!(epoch_seconds(&array, 0, Tz::Asia__Shanghai), Some(1_704_067_200 - 8 * 3600));
    assert_eq!(epoch_seconds(&array, 1, Tz::UTC), None);
    let array = array.with_timezone("UTC");
    assert_eq!(epoch_seconds(&array, 0, Tz::Asia__Shanghai), Some(1_704_067_200));
}
