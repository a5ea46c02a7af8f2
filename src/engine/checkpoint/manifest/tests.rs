use super::*;

fn manifest() -> Manifest {
    let file = StateFile { name: "a".to_owned(), epoch: 7, bytes: 10, rows: 1, index_bytes: 2, index_crc32c: 3 };
    let positions =
        Positions::from([("source-0".to_owned(), BTreeMap::from([("t/0".to_owned(), Position::Offset(42))]))]);
    Manifest::new("job", 7, positions, vec![file])
}

#[test]
fn a_manifest_reads_back_with_its_checksum() {
    let mut written = manifest();
    let bytes = written.encode().unwrap();
    assert_ne!(written.checksum(), 0);
    assert_eq!(Manifest::decode(Some("job"), 7, &bytes).unwrap(), written);
    assert_eq!(Manifest::decode(None, 7, &bytes).unwrap(), written);
}

#[test]
fn a_manifest_of_another_job_or_under_another_name_is_refused() {
    let bytes = manifest().encode().unwrap();
    assert_eq!(Manifest::decode(Some("other"), 7, &bytes).unwrap_err().message(), "checkpoint belongs to job job");
    let error = Manifest::decode(Some("job"), 8, &bytes).unwrap_err();
    assert_eq!(error.message(), "checkpoint is of epoch 7, its name says 8");
}

#[test]
fn no_flipped_bit_and_no_missing_end_gives_another_manifest() {
    let mut written = manifest();
    let bytes = written.encode().unwrap();
    for index in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[index / 8] ^= 1 << (index % 8);
        if let Ok(read) = Manifest::decode(Some("job"), 7, &damaged) {
            assert_eq!(read, written, "bit {index}");
        }
    }
    for length in 0..bytes.len() {
        Manifest::decode(Some("job"), 7, &bytes[..length]).unwrap_err();
    }
}

#[test]
fn a_checkpoint_of_version_1_is_positions_without_state() {
    // As the first version wrote it.
    let text =
        r#"{"version":1,"job":"job","checkpoint":{"epoch":3,"positions":{"source-0":{"orders/0":5}}},"checksum":CRC}"#;
    let checked = r#"["job",{"epoch":3,"positions":{"source-0":{"orders/0":5}}}]"#;
    let text = text.replace("CRC", &crc32c::crc32c(checked.as_bytes()).to_string());
    let read = Manifest::decode(Some("job"), 3, text.as_bytes()).unwrap();
    assert_eq!((read.epoch, read.files.len(), &read.positions["source-0"]["orders/0"]), (3, 0, &Position::Offset(5)));
    let damaged = text.replace(":5}", ":6}");
    assert_eq!(
        Manifest::decode(Some("job"), 3, damaged.as_bytes()).unwrap_err().kind(),
        crate::error::ErrorKind::Corrupt
    );
}

#[test]
fn versions_that_this_build_does_not_know_and_other_hashes_are_refused() {
    let text = String::from_utf8(manifest().encode().unwrap()).unwrap().replace("\"version\":2", "\"version\":9");
    let error = Manifest::decode(Some("job"), 7, text.as_bytes()).unwrap_err();
    assert_eq!(error.message(), "checkpoint is of version 9, which this build cannot read");
    let mut other = manifest();
    other.hash_version += 1;
    let bytes = other.encode().unwrap();
    assert!(Manifest::decode(Some("job"), 7, &bytes).unwrap_err().message().contains("key hash"));
}

#[test]
fn a_checkpoint_from_before_logs_were_known_is_read_and_logs_are_kept() {
    let positions = Positions::from([("source".to_owned(), [("orders/0".to_owned(), Position::Offset(7))].into())]);
    let mut before = Manifest::new("j", 1, positions.clone(), Vec::new());
    let stored = before.encode().unwrap();
    // As it was stored before: without the field.
    assert!(!String::from_utf8_lossy(&stored).contains("logs"));
    assert!(!String::from_utf8_lossy(&stored).contains("enumerators"));
    assert_eq!(Manifest::decode(Some("j"), 1, &stored).unwrap().logs, Logs::new());

    let log = crate::connectors::LogIdentity { id: Some("a".to_owned()), ..Default::default() };
    let logs = Logs::from([("source".to_owned(), [("orders/0".to_owned(), log)].into())]);
    let mut now = Manifest::new("j", 2, Place { positions, logs: logs.clone(), ..Place::default() }, Vec::new());
    let stored = now.encode().unwrap();
    assert_eq!(Manifest::decode(Some("j"), 2, &stored).unwrap().logs, logs);
}

#[test]
fn positions_are_stored_as_the_numbers_of_former_versions_and_those_are_read() {
    let mut now = manifest();
    let stored = String::from_utf8(now.encode().unwrap()).unwrap();
    assert!(stored.contains(r#""positions":{"source-0":{"t/0":42}}"#), "{stored}");
    // Word for word as the version before positions were a type of their own wrote it.
    let text = r#"{"job":"j","epoch":4,"positions":{"source-0":{"orders/0":7,"orders/1":0}},"hash_version":HASH,"files":[],"origin":"barrier","writer":"w"}"#;
    let text = text.replace("HASH", &HASH_VERSION.to_string());
    let before = format!(r#"{{"version":2,"checksum":{},"manifest":{text}}}"#, crc32c::crc32c(text.as_bytes()));
    let read = Manifest::decode(Some("j"), 4, before.as_bytes()).unwrap();
    let expected = [("orders/0".to_owned(), Position::Offset(7)), ("orders/1".to_owned(), Position::Offset(0))];
    assert_eq!(read.positions["source-0"], expected.into());
    assert_eq!(read.enumerators, Enumerators::new());
}

#[test]
fn positions_of_any_kind_and_what_finds_splits_are_kept() {
    let number = crate::connectors::SequenceNumber::new("0123456789012345678901234567890123456789").unwrap();
    let splits = [
        ("shard-1".to_owned(), Position::Sequence(number)),
        ("folder".to_owned(), Position::in_file("2026/b.csv", 17)),
    ];
    let place = Place {
        positions: Positions::from([("source".to_owned(), splits.into())]),
        enumerators: Enumerators::from([("source".to_owned(), serde_json::json!({"over": ["shard-0"]}))]),
        logs: Logs::new(),
    };
    let mut written = Manifest::new("j", 1, place, Vec::new());
    let stored = written.encode().unwrap();
    assert_eq!(Manifest::decode(Some("j"), 1, &stored).unwrap(), written);
}

#[test]
fn a_position_that_is_none_is_a_damaged_checkpoint() {
    let text = r#"{"job":"j","epoch":4,"positions":{"s":{"orders/0":-3}},"hash_version":1,"files":[],"origin":"barrier","writer":"w"}"#;
    let stored = format!(r#"{{"version":2,"checksum":{},"manifest":{text}}}"#, crc32c::crc32c(text.as_bytes()));
    let error = Manifest::decode(Some("j"), 4, stored.as_bytes()).unwrap_err();
    assert_eq!(error.kind(), crate::error::ErrorKind::Corrupt);
    assert!(error.message().contains("offset -3 is below 0"), "{error}");
}
