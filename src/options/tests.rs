use super::*;

fn reader(pairs: &[(&str, &str)]) -> OptionReader {
    let options =
        pairs.iter().map(|(name, value)| ((*name).to_owned(), OptionValue::Plain((*value).to_owned()))).collect();
    OptionReader::new(&options, &|_| unreachable!("no secrets here")).unwrap()
}

#[test]
fn a_misspelt_option_is_refused_with_the_nearest_known_one() {
    let mut options = reader(&[("scan.startup.mod", "x")]);
    assert_eq!(options.take("scan.startup.mode"), None);
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
    reader(&[("a", "NONE")]).refuse(&[("a", "none")]).unwrap();
    assert_eq!(reader(&[("a", "FULL")]).refuse(&[("a", "none")]).unwrap_err().sqlstate().code(), "0A000");
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
