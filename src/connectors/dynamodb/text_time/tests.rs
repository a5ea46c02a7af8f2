use super::*;
use proptest::prelude::*;

#[test]
fn all_forms_of_one_moment_are_read() {
    let expected = 1_704_103_200_500_000_000;
    for text in [
        "2024-01-01 10:00:00.5",
        "2024-01-01 10:00:00.500",
        "2024-01-01T10:00:00.5Z",
        "2024-01-01T12:00:00.500000+02:00",
        "2024-01-01T05:00:00.5-0500",
    ] {
        assert_eq!(parse_timestamp(text), Some(expected), "{text}");
    }
    assert_eq!(parse_timestamp("2024-01-01"), Some(1_704_067_200_000_000_000));
    assert_eq!(parse_timestamp("2024-01-01 10:00"), Some(1_704_103_200_000_000_000));
    for text in
        ["", "abc", "2024-13-01 00:00:00", "2024-01-01 25:00:00", "2024-01-01x10:00:00", "2024-01-01T10:00:00+x"]
    {
        assert_eq!(parse_timestamp(text), None, "{text}");
    }
}

#[test]
fn fractions_come_in_groups_of_three() {
    assert_eq!(timestamp_text(0).as_deref(), Some("1970-01-01 00:00:00"));
    assert_eq!(timestamp_text(-1_000_000).as_deref(), Some("1969-12-31 23:59:59.999"));
    assert_eq!(timestamp_text(1_500).as_deref(), Some("1970-01-01 00:00:00.000001500"));
    assert_eq!(time_text(3_661_000_000_000).as_deref(), Some("01:01:01"));
    assert_eq!(date_text(19_723).as_deref(), Some("2024-01-01"));
    assert_eq!(date_text(-800_000), None, "a year before 0");
}

proptest! {
    #[test]
    fn timestamps_come_back(nanos in -62_135_596_800_000_000_000i128..253_402_300_800_000_000_000) {
        prop_assert_eq!(parse_timestamp(&timestamp_text(nanos).unwrap()), Some(nanos));
    }

    #[test]
    fn texts_sort_as_times_do(a in any::<i64>(), b in any::<i64>()) {
        let (a, b) = (i128::from(a), i128::from(b));
        prop_assert_eq!(a.cmp(&b), timestamp_text(a).unwrap().cmp(&timestamp_text(b).unwrap()));
    }
}
