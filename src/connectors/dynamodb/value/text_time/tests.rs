use super::*;
use proptest::prelude::*;

fn text(write: impl FnOnce(&mut Vec<u8>) -> bool) -> Option<String> {
    let mut out = Vec::new();
    write(&mut out).then(|| String::from_utf8(out).unwrap())
}

fn timestamp_text(nanos: i128) -> Option<String> {
    let seconds = i64::try_from(nanos.div_euclid(NANOS)).unwrap();
    text(|out| write_timestamp(seconds, nanos.rem_euclid(NANOS) as u32, out))
}

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
    assert_eq!(timestamp_text(500_000_000).as_deref(), Some("1970-01-01 00:00:00.500"));
    assert_eq!(timestamp_text(1_500).as_deref(), Some("1970-01-01 00:00:00.000001500"));
    assert_eq!(text(|out| write_time(3_661, 0, out)).as_deref(), Some("01:01:01"));
    assert_eq!(text(|out| write_time(3_661, 120_000, out)).as_deref(), Some("01:01:01.000120"));
    assert_eq!(text(|out| write_time(86_400, 0, out)), None, "no time of day");
}

#[test]
fn years_have_four_digits() {
    assert_eq!(text(|out| write_date(19_723, out)).as_deref(), Some("2024-01-01"));
    assert_eq!(text(|out| write_date(-719_528, out)).as_deref(), Some("0000-01-01"));
    assert_eq!(text(|out| write_date(2_932_896, out)).as_deref(), Some("9999-12-31"));
    assert_eq!(text(|out| write_date(-719_529, out)), None);
    assert_eq!(text(|out| write_date(2_932_897, out)), None);
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
