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
    assert_eq!(Settings::default().set("statement_timeout", "1 year").unwrap_err().sqlstate().code(), "22023");
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
    settings.set("table.exec.source.idle-timeout", "0 ms").unwrap();
    assert_eq!(settings.set("table.exec.source.idle-timeout", "1 s").unwrap_err().sqlstate().code(), "0A000");
    assert_eq!(settings.set("server_version", "17").unwrap_err().sqlstate().code(), "55P02");
}

#[test]
fn settings_of_jobs_are_what_the_engine_reads() {
    let mut settings = Settings::default();
    for (name, value) in [
        ("parallelism.default", "4"),
        ("table.exec.resource.default-parallelism", "-1"),
        ("table.exec.mini-batch.enabled", "TRUE"),
        ("table.exec.mini-batch.allow-latency", "2 s"),
        ("table.exec.mini-batch.size", "5000"),
        ("table.exec.state.ttl", "1 d"),
        ("table.exec.sink.upsert-materialize", "force"),
        ("state.checkpoints.num-retained", "2"),
        ("execution.checkpointing.dir", "/tmp/checkpoints"),
        ("execution.checkpointing.mode", "at_least_once"),
        ("execution.state-recovery.path", "/tmp/savepoints/1"),
        ("execution.savepoint.ignore-unclaimed-state", "on"),
        ("state.memory.budget", "64 mb"),
        ("error-handling.mode", "log"),
        ("lookup.read-behind", "off"),
    ] {
        settings.set(name, value).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let job = settings.of_jobs().unwrap();
    assert_eq!(job.parallelism(), 4);
    assert_eq!(job.mini_batch_latency(), Some(Duration::from_secs(2)));
    assert_eq!(job.state_ttl, Some(Duration::from_secs(86_400)));
    assert_eq!(job.checkpoints_retained, 2);
    assert_eq!(job.checkpoints_dir.as_deref(), Some("/tmp/checkpoints"));
    assert_eq!(job.memory_budget, 64 << 20);
    assert!(!job.read_behind);
    assert_eq!(job.savepoint_path.as_deref(), Some("/tmp/savepoints/1"));
    assert!(job.ignore_unclaimed_state);
    assert_eq!(job.upsert_materialize, crate::engine::dataflow::UpsertMaterialize::Force);
    settings.set("execution.savepoint.path", "").unwrap();
    assert_eq!(settings.of_jobs().unwrap().savepoint_path, None);
}

#[test]
fn values_that_jobs_cannot_use_are_refused() {
    for (name, value) in [
        ("parallelism.default", "0"),
        ("parallelism.default", "129"),
        ("table.exec.resource.default-parallelism", "0"),
        ("table.exec.mini-batch.enabled", "maybe"),
        ("table.exec.mini-batch.allow-latency", "soon"),
        ("table.exec.mini-batch.size", "0"),
        ("table.exec.state.ttl", "a day"),
        ("table.exec.sink.upsert-materialize", "SOMETIMES"),
        ("execution.checkpointing.interval", "0"),
        ("execution.checkpointing.mode", "AT_MOST_ONCE"),
        ("state.checkpoints.num-retained", "0"),
        ("state.memory.budget", "much"),
    ] {
        let error = Settings::default().set(name, value).unwrap_err();
        assert_eq!(error.sqlstate().code(), "22023", "{name} = {value}: {error}");
    }
}

#[test]
fn the_reference_page_tells_every_setting() {
    expect_test::expect_file!["../../../../docs/reference/settings.md"].assert_eq(&reference::page());
}
