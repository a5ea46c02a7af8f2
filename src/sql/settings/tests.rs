use super::*;

#[test]
fn names_are_sorted_and_unique() {
    let mut names: Vec<String> = DEFINITIONS.iter().map(|definition| definition.name.to_lowercase()).collect();
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn durations_take_every_unit() {
    for (text, ms, shown) in [
        ("0", 0, "0"),
        ("1500", 1500, "1500ms"),
        ("90 s", 90_000, "90s"),
        ("1 min", 60_000, "1min"),
        ("1h", 3_600_000, "1h"),
        ("1d", 86_400_000, "1d"),
    ] {
        let mut settings = Settings::default();
        settings.set("statement_timeout", text).unwrap();
        assert_eq!(settings.get("statement_timeout").unwrap(), shown);
        assert_eq!(settings.timeout("statement_timeout").map_or(0, |timeout| timeout.as_millis()), ms);
    }
    assert_eq!(Settings::default().set("statement_timeout", "1 year").unwrap_err().sqlstate(), "22023");
}

#[test]
fn zones_have_one_spelling() {
    for (text, zone) in
        [("asia/shanghai", "Asia/Shanghai"), ("UTC+8", "Etc/GMT-8"), ("-05:00", "Etc/GMT+5"), ("GMT", "GMT")]
    {
        let mut settings = Settings::default();
        settings.set("table.local-time-zone", text).unwrap();
        assert_eq!(settings.get("timezone").unwrap(), zone);
    }
}

#[test]
fn defaults_that_have_no_effect_yet_are_taken() {
    let mut settings = Settings::default();
    settings.set("table.exec.mini-batch.enabled", "false").unwrap();
    settings.set("table.exec.state.ttl", "0 ms").unwrap();
    assert_eq!(settings.set("table.exec.state.ttl", "1 d").unwrap_err().sqlstate(), "0A000");
    assert_eq!(settings.set("server_version", "17").unwrap_err().sqlstate(), "55P02");
}
