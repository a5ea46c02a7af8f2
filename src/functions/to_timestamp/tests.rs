use super::super::date_format::parse_pattern;
use super::by_pattern;

fn read(text: &str, pattern: &str) -> Option<String> {
    by_pattern(text, &parse_pattern(pattern).unwrap()).map(|time| time.to_string())
}

#[test]
fn a_pattern_reads_what_it_would_write() {
    assert_eq!(read("2024-05-16 07:08:09", "yyyy-MM-dd HH:mm:ss").unwrap(), "2024-05-16 07:08:09");
    assert_eq!(read("20240516070809123", "yyyyMMddHHmmssSSS").unwrap(), "2024-05-16 07:08:09.123");
    assert_eq!(read("16 May 2024, 1 PM", "d MMM yyyy, h a").unwrap(), "2024-05-16 13:00:00");
    assert_eq!(read("12/31/9999", "MM/dd/yyyy").unwrap(), "9999-12-31 00:00:00");
    assert_eq!(read("2024-366", "yyyy-DDD").unwrap(), "2024-12-31 00:00:00");
    assert_eq!(read("day 5 of 2 in 24", "'day' d 'of' M 'in' yy").unwrap(), "2024-02-05 00:00:00");
}

#[test]
fn what_is_not_of_the_form_or_no_time_is_none() {
    assert_eq!(read("2024-05-16", "yyyy-MM-dd HH:mm:ss"), None);
    assert_eq!(read("2024-13-01", "yyyy-MM-dd"), None);
    assert_eq!(read("2024-02-30", "yyyy-MM-dd"), None);
    assert_eq!(read("2024-05-16x", "yyyy-MM-dd"), None);
    assert_eq!(read("x", "yyyy"), None);
    assert_eq!(read("ü", "a"), None);
}
