use chrono::NaiveDate;

use super::*;

#[test]
fn patterns_mean_what_java_means() {
    let time = NaiveDate::from_ymd_opt(2026, 3, 7).unwrap().and_hms_milli_opt(15, 4, 9, 78).unwrap();
    for (pattern, expected) in [
        ("yyyy-MM", "2026-03"),
        ("yyyy-MM-dd HH:mm:ss.SSS", "2026-03-07 15:04:09.078"),
        ("yy/M/d h:m:s a", "26/3/7 3:4:9 PM"),
        ("yyyyMMdd'T'HHmmss", "20260307T150409"),
        ("'it''s' EEE, MMM Q", "it's Sat, Mar 1"),
        ("SSSSSS", "078000"),
    ] {
        let mut text = String::new();
        Pattern::parse(pattern).unwrap().write(time, &mut text);
        assert_eq!(text, expected, "{pattern}");
    }
    assert!(Pattern::parse("'open").is_err());
    assert_eq!(Pattern::parse("zzz").unwrap_err().sqlstate(), "0A000");
}
