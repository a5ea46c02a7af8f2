use super::*;

const MODE: OptionEntry = OptionEntry::choice("scan.startup.mode", &["earliest", "latest-one"], "Where.")
    .refusing(&["GROUP_OFFSETS"])
    .or("latest-one");
const COUNT: OptionEntry = OptionEntry::new("count", OptionKind::Whole(1, 300), "How many.").or("7");

fn reader(pairs: &[(&str, &str)]) -> OptionReader {
    let options =
        pairs.iter().map(|(name, value)| ((*name).to_owned(), OptionValue::Plain((*value).to_owned()))).collect();
    OptionReader::new(&options, &|_| unreachable!("no secrets here")).unwrap()
}

#[test]
fn a_misspelt_option_is_refused_with_the_nearest_known_one() {
    let mut options = reader(&[("scan.startup.mod", "x")]);
    assert_eq!(options.take(&MODE), None);
    let error = options.finish().unwrap_err();
    assert_eq!(error.message(), "unknown option \"scan.startup.mod\" (did you mean \"scan.startup.mode\"?)");
}

#[test]
fn durations_read_as_flink_writes_them() {
    for (text, millis) in [("500 ms", 500), ("5min", 300_000), ("1 h", 3_600_000), ("30 d", 2_592_000_000), ("7", 7)] {
        assert_eq!(parse_duration(text).unwrap(), Duration::from_millis(millis), "{text}");
    }
    assert!(parse_duration("soon").is_err());
}

#[test]
fn an_option_not_there_yet_is_refused_unless_it_states_the_default() {
    const CACHE: OptionEntry = OptionEntry::refused("a", "A cache.").or("none");
    reader(&[("a", "NONE")]).refuse(&[&CACHE]).unwrap();
    assert_eq!(reader(&[("a", "FULL")]).refuse(&[&CACHE]).unwrap_err().sqlstate().code(), "0A000");
}

#[test]
fn sizes_are_read_as_flink_writes_them() {
    let read = |text: &str| parse_memory_size(text).ok();
    for (text, bytes) in [("512 mb", 512 << 20), ("1g", 1 << 30), ("65536", 65536), (" 3 KB ", 3072), ("7 bytes", 7)] {
        assert_eq!(read(text), Some(bytes), "{text}");
    }
    for text in ["", "mb", "-1 mb", "0", "1.5 gb", "5 pb", "99999999999 tb"] {
        assert_eq!(read(text), None, "{text}");
    }
}

#[test]
fn values_are_read_as_their_entry_says() {
    let choice = |value: &str| reader(&[("scan.startup.mode", value)]).take_choice_or(&MODE);
    assert_eq!(reader(&[]).take_choice_or(&MODE).unwrap(), "latest-one");
    for (given, word) in [(" ", "latest-one"), ("EARLIEST", "earliest"), ("Latest_One", "latest-one")] {
        assert_eq!(choice(given).unwrap(), word, "{given}");
    }
    let refused = choice("group-offsets").unwrap_err();
    assert_eq!(
        (refused.sqlstate().code(), refused.message()),
        ("0A000", "option \"scan.startup.mode\" = 'GROUP_OFFSETS' is not supported yet")
    );
    let unknown = choice("never").unwrap_err();
    assert_eq!(unknown.message(), "option \"scan.startup.mode\" cannot be 'never'");
    assert_eq!(unknown.hint_text(), Some("Known values: earliest, latest-one."));

    let count = |value: &str| reader(&[("count", value)]).take_whole_or::<u16>(&COUNT).ok();
    assert_eq!(reader(&[]).take_whole_or::<u16>(&COUNT).unwrap(), 7);
    for (given, number) in [(" 300 ", Some(300)), ("301", None), ("0", None), ("1.5", None), ("", None)] {
        assert_eq!(count(given), number, "{given}");
    }
    // A bound that is wider than the type is no way around the type.
    assert!(reader(&[("count", "300")]).take_whole_or::<u8>(&COUNT).is_err());
    let flag = OptionEntry::flag("on", "false", "Whether.");
    assert!(reader(&[("on", "TRUE ")]).take_flag_or(&flag).unwrap());
    assert!(!reader(&[]).take_flag_or(&flag).unwrap());
    assert!(reader(&[("on", "yes")]).take_flag_or(&flag).is_err());
}

#[test]
fn an_option_is_taken_by_any_of_its_names_and_by_one_of_them_only() {
    const TABLE: OptionEntry = OptionEntry::new("table-name", OptionKind::Text, "Which.").also(&["table_name"]);
    for name in ["table-name", "table_name"] {
        assert_eq!(reader(&[(name, "t")]).take_alias(&TABLE).unwrap().as_deref(), Some("t"));
    }
    assert!(reader(&[("table-name", "t"), ("table_name", "t")]).take_alias(&TABLE).is_err());
}

#[test]
fn an_entry_covers_the_names_that_it_stands_for() {
    let covers = |entry: &'static str, name: &str| OptionEntry::refused(entry, "").covers(name);
    assert!(covers("fields.#.kind", "fields.a.b.kind") && !covers("fields.#.kind", "fields.a.min"));
    assert!(covers("properties.*", "properties.acks") && !covers("properties.*", "property.acks"));
    assert!(covers("Count", "cOUNT") && !covers("count", "counts"));
    assert_eq!(OptionEntry::refused("fields.#.kind", "").of("#x").name, "fields.#x.kind");
}
