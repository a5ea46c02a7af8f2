//! The parts of the broker without a client: batches, sequences, logs, the meta log, layouts, groups.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use proptest::prelude::*;

use super::batch::{self, BatchHeader, HEADER_BYTES};
use super::groups::{GroupState, Groups, JoinRequest};
use super::log::{AppendError, LogSettings, PartitionLog, ReadError};
use super::meta::{Change, GroupOffset, MetaStore};
use super::producers::{Producers, Verdict};
use super::{KafkaBroker, KafkaBrokerOptions, configs, protocol, shape, topics};

/// A batch as a producer sends it: `records` empty records, each a millisecond after the one before.
fn batch(producer: (i64, i16, i32), first_timestamp: i64, records: i32) -> Vec<u8> {
    let mut body = Vec::new();
    for index in 0..records as u8 {
        // Length, attributes, timestamp delta, offset delta, null key, null value, no headers; all but one zig-zag.
        body.extend([12, 0, index * 2, index * 2, 1, 1, 0]);
    }
    let mut bytes = vec![0; HEADER_BYTES];
    bytes[8..12].copy_from_slice(&((HEADER_BYTES + body.len() - 12) as i32).to_be_bytes());
    bytes[16] = 2;
    bytes[23..27].copy_from_slice(&(records - 1).to_be_bytes());
    bytes[27..35].copy_from_slice(&first_timestamp.to_be_bytes());
    bytes[35..43].copy_from_slice(&(first_timestamp + i64::from(records) - 1).to_be_bytes());
    bytes[43..51].copy_from_slice(&producer.0.to_be_bytes());
    bytes[51..53].copy_from_slice(&producer.1.to_be_bytes());
    bytes[53..57].copy_from_slice(&producer.2.to_be_bytes());
    bytes[57..61].copy_from_slice(&records.to_be_bytes());
    bytes.extend(body);
    let checksum = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&checksum.to_be_bytes());
    bytes
}

fn plain(first_timestamp: i64, records: i32) -> Vec<u8> {
    batch((-1, -1, -1), first_timestamp, records)
}

fn settings(changes: &[(&str, &str)]) -> LogSettings {
    let own: BTreeMap<String, String> = changes.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    configs::settings(&own).unwrap()
}

fn segments(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_batch_changed_on_the_way_is_refused() {
    let good = plain(0, 3);
    assert!(batch::check(&good).is_ok());
    for at in (12..good.len()).filter(|at| !(12..16).contains(at)) {
        let mut bad = good.clone();
        bad[at] ^= 0x40;
        assert!(batch::check(&bad).is_err(), "byte {at}");
    }
    assert!(batch::check(&good[..good.len() - 1]).is_err());
    assert!(batch::check(&[good.clone(), good.clone()].concat()).is_err());
    assert!(batch::check(&[]).is_err());
}

#[test]
fn sequences_decide_what_is_appended() {
    let mut producers = Producers::default();
    let header = |epoch, sequence, base_offset| {
        let mut header = BatchHeader::read(&batch((7, epoch, sequence), 0, 10)).unwrap();
        header.base_offset = base_offset;
        header
    };
    for (index, sequence) in [0, 10, 20, 30, 40, 50].into_iter().enumerate() {
        assert_eq!(producers.judge(&header(0, sequence, 0)), Verdict::Append);
        producers.appended(&header(0, sequence, index as i64 * 10));
    }
    assert_eq!(producers.judge(&header(0, 50, 0)), Verdict::Duplicate { base_offset: 50 });
    assert_eq!(producers.judge(&header(0, 10, 0)), Verdict::Duplicate { base_offset: 10 });
    assert_eq!(producers.judge(&header(0, 0, 0)), Verdict::OutOfOrder);
    assert_eq!(producers.judge(&header(0, 70, 0)), Verdict::OutOfOrder);
    assert_eq!(producers.judge(&header(1, 5, 0)), Verdict::OutOfOrder);
    assert_eq!(producers.judge(&header(1, 0, 0)), Verdict::Append);
    producers.appended(&header(1, 0, 60));
    assert_eq!(producers.judge(&header(0, 60, 0)), Verdict::FencedEpoch);
}

#[test]
fn sequences_go_round_at_their_end() {
    let mut producers = Producers::default();
    producers.appended(&BatchHeader::read(&batch((7, 0, i32::MAX - 4), 0, 10)).unwrap());
    let next = BatchHeader::read(&batch((7, 0, 5), 0, 10)).unwrap();
    assert_eq!(producers.judge(&next), Verdict::Append);
}

#[test]
fn a_log_reopens_without_the_batch_that_was_not_written_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(&[]);
    let log = PartitionLog::open(folder.path(), 0).unwrap();
    for sequence in [0, 3] {
        log.append(&batch((7, 0, sequence), 1000, 3), &settings).unwrap();
    }
    drop(log);
    let path = folder.path().join("00000000000000000000.log");
    let whole = fs::metadata(&path).unwrap().len();
    for torn in [vec![0; 5], plain(0, 3)[..70].to_vec(), vec![0xff; 200]] {
        OpenOptions::new().append(true).open(&path).unwrap().write_all(&torn).unwrap();
        let log = PartitionLog::open(folder.path(), 0).unwrap();
        assert_eq!(log.bounds(), (0, 6));
        assert_eq!(fs::metadata(&path).unwrap().len(), whole);
        // What it knows of producers is in the batches.
        assert_eq!(log.append(&batch((7, 0, 3), 1000, 3), &settings).unwrap().base_offset, 3);
        assert!(matches!(log.append(&batch((7, 0, 9), 1000, 3), &settings), Err(AppendError::OutOfOrder)));
    }
}

#[test]
fn reading_starts_at_the_batch_of_the_offset_in_any_segment() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(&[("segment.bytes", "10000")]);
    let log = PartitionLog::open(folder.path(), 0).unwrap();
    for index in 0..500 {
        log.append(&plain(index * 10, 3), &settings).unwrap();
    }
    for log in [log, PartitionLog::open(folder.path(), 0).unwrap()] {
        assert!(segments(folder.path()).len() > 3);
        for offset in [0, 1, 2, 3, 700, 701, 1498, 1499] {
            let slice = log.read(offset, 1_000_000, true).unwrap();
            assert_eq!(BatchHeader::read(&slice.records).unwrap().base_offset, offset / 3 * 3);
            let one = log.read(offset, 1, true).unwrap();
            assert_eq!(one.records.len(), plain(0, 3).len());
            assert!(log.read(offset, 1, false).unwrap().records.is_empty());
        }
        assert!(log.read(1500, 100, true).unwrap().records.is_empty());
        assert!(matches!(log.read(1501, 100, true), Err(ReadError::OutOfRange { log_start: 0 })));
        assert_eq!(log.offset_at(3331).unwrap().map(|found| found.offset), Some(1000));
        assert_eq!(log.offset_at(3335).unwrap().map(|found| found.offset), Some(1002));
        assert_eq!(log.offset_at(4993).unwrap(), None);
        assert_eq!(
            log.offset_of_max_timestamp().unwrap().map(|found| (found.offset, found.timestamp)),
            Some((1499, 4992))
        );
    }
}

#[test]
fn the_oldest_segments_go_by_age_and_by_size() {
    let folder = tempfile::tempdir().unwrap();
    let small = [("segment.bytes", "1000")];
    let log = PartitionLog::open(folder.path(), 0).unwrap();
    for index in 0..100 {
        log.append(&plain(index * 1000, 3), &settings(&small)).unwrap();
    }
    let all = segments(folder.path()).len();
    log.retain(&settings(&[("retention.ms", "-1")]), i64::MAX / 2).unwrap();
    log.retain(&settings(&[("retention.ms", "1000"), ("cleanup.policy", "compact")]), 1_000_000).unwrap();
    assert_eq!(segments(folder.path()).len(), all);
    log.retain(&settings(&[("retention.bytes", "3000"), ("retention.ms", "-1")]), 0).unwrap();
    let (start, end) = log.bounds();
    assert!((180..300).contains(&start) && end == 300, "log is {start} to {end}");
    log.retain(&settings(&[("retention.ms", "10000")]), 200_000).unwrap();
    assert_eq!(log.bounds(), (300, 300));
    drop(log);
    let log = PartitionLog::open(folder.path(), 0).unwrap();
    assert_eq!(log.bounds(), (300, 300));
    assert_eq!(log.append(&plain(0, 1), &settings(&small)).unwrap().base_offset, 300);
}

fn offsets(group: &str, offset: i64) -> Change {
    let offset = GroupOffset { offset, leader_epoch: -1, metadata: String::new() };
    Change::OffsetsCommitted { group: group.to_owned(), offsets: vec![("orders".to_owned(), 0, offset)] }
}

#[test]
fn the_meta_log_keeps_whole_changes_and_forgets_the_torn_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = MetaStore::open(folder.path()).unwrap();
    let cluster_id = store.meta().cluster_id.clone();
    let topic = |name: &str| Change::TopicCreated {
        id: name.to_owned(),
        name: name.to_owned(),
        partitions: 2,
        config: BTreeMap::new(),
    };
    for change in [
        topic("orders"),
        topic("other"),
        offsets("a", 5),
        offsets("a", 6),
        Change::TopicDeleted { name: "other".to_owned() },
    ] {
        store.commit(change).unwrap();
    }
    drop(store);
    let path = folder.path().join("meta.log");
    OpenOptions::new().append(true).open(&path).unwrap().write_all(b"0badc0de {\"GroupDel").unwrap();
    for _ in 0..2 {
        let store = MetaStore::open(folder.path()).unwrap();
        assert_eq!(store.meta().cluster_id, cluster_id);
        assert_eq!(store.meta().topics.keys().collect::<Vec<_>>(), ["orders"]);
        assert_eq!(store.meta().group_offsets["a"][&("orders".to_owned(), 0)].offset, 6);
    }
    let mut bytes = fs::read(&path).unwrap();
    bytes[20] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert_eq!(MetaStore::open(folder.path()).err().unwrap().kind(), std::io::ErrorKind::InvalidData);
}

#[test]
fn arrays_longer_than_the_message_do_not_fit() {
    let layout = "2@3 { s [ 4 ] } 1@2-4";
    let good = [&[0, 9][..], &[0, 0, 0, 1], &[0, 1, b'a'], &[0, 0, 0, 1], &[0, 0, 0, 7], &[1]].concat();
    assert!(shape::fits(layout, &good, 3, false));
    assert!(!shape::fits(layout, &good[..good.len() - 1], 3, false));
    assert!(!shape::fits(layout, &[0, 9, 0x7f, 0xff, 0xff, 0xff], 3, false));
    let flexible = [&[0, 9][..], &[2, 2, b'a', 2, 0, 0, 0, 7, 0], &[1], &[0]].concat();
    assert!(shape::fits(layout, &flexible, 3, true));
    assert!(!shape::fits(layout, &[0, 9, 0xff, 0xff, 0xff, 0xff, 0x0f], 3, true));
}

fn join(member_id: &str) -> JoinRequest {
    JoinRequest {
        member_id: member_id.to_owned(),
        instance_id: None,
        client_id: "client".to_owned(),
        client_host: String::new(),
        session_timeout: Duration::from_secs(60),
        rebalance_timeout: Duration::from_secs(60),
        protocol_type: "consumer".to_owned(),
        protocols: vec![("range".to_owned(), Bytes::new())],
        id_required: true,
    }
}

#[test]
fn a_member_learns_its_id_joins_syncs_and_leaves() {
    let groups = Groups::default();
    let refused = groups.join("g", join("")).unwrap_err();
    assert_eq!(refused.error, ResponseError::MemberIdRequired);
    let id = refused.member_id;
    let joined = groups.join("g", join(&id)).unwrap();
    assert_eq!((joined.leader.as_str(), joined.members.len(), joined.protocol.as_str()), (id.as_str(), 1, "range"));
    assert_eq!(groups.check_commit("g", joined.generation, &id, None), Err(ResponseError::RebalanceInProgress));
    let assigned = vec![(id.clone(), Bytes::from_static(b"all"))];
    assert_eq!(groups.sync("g", joined.generation, &id, None, assigned).unwrap().assignment, "all");
    assert_eq!(groups.heartbeat("g", joined.generation, &id, None), Ok(()));
    assert_eq!(groups.heartbeat("g", joined.generation + 1, &id, None), Err(ResponseError::IllegalGeneration));
    assert_eq!(groups.check_commit("g", -1, "", None), Err(ResponseError::UnknownMemberId));
    assert_eq!(groups.delete("g"), Err(ResponseError::NonEmptyGroup));
    groups.leave("g", &id, None).unwrap();
    assert_eq!(groups.describe("g").unwrap().state, GroupState::Empty);
    assert_eq!(groups.check_commit("g", -1, "", None), Ok(()));
    assert_eq!(groups.heartbeat("g", joined.generation, &id, None), Err(ResponseError::UnknownMemberId));
    assert_eq!(groups.delete("g"), Ok(true));
}

#[test]
fn a_restarted_static_member_takes_its_place_and_fences_the_old_one() {
    let groups = Groups::default();
    let start = || groups.join("g", JoinRequest { instance_id: Some("one".to_owned()), ..join("") }).unwrap();
    let (old, new) = (start(), start());
    assert_ne!(old.member_id, new.member_id);
    assert_eq!(groups.describe("g").unwrap().members.len(), 1);
    assert_eq!(
        groups.heartbeat("g", old.generation, &old.member_id, Some("one")),
        Err(ResponseError::FencedInstanceId)
    );
}

#[test]
fn a_silent_member_is_dropped_when_the_next_one_asks() {
    let groups = Groups::default();
    let silent = groups
        .join("g", JoinRequest { session_timeout: Duration::from_nanos(1), id_required: false, ..join("") })
        .unwrap();
    let next = groups.join("g", JoinRequest { id_required: false, ..join("") }).unwrap();
    assert_eq!(next.members.len(), 1);
    assert_ne!(next.member_id, silent.member_id);
}

#[test]
fn names_of_topics_are_no_paths() {
    for good in ["a", "a.b-c_D9", "...", &"x".repeat(249)] {
        assert!(topics::is_valid_name(good), "{good}");
    }
    for bad in ["", ".", "..", "a/b", "a b", "ä", "a\0", &"x".repeat(250)] {
        assert!(!topics::is_valid_name(bad), "{bad}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]
    #[test]
    fn no_bytes_end_the_process(key in 0i16..48, version in 0i16..10, body in proptest::collection::vec(prop_oneof![Just(0u8), Just(1), Just(2), Just(0xff), any::<u8>()], 0..80)) {
        static BROKER: std::sync::OnceLock<(tempfile::TempDir, KafkaBroker)> = std::sync::OnceLock::new();
        let (_, broker) = BROKER.get_or_init(|| {
            let folder = tempfile::tempdir().unwrap();
            let broker = KafkaBroker::start(KafkaBrokerOptions::new(folder.path())).unwrap();
            (folder, broker)
        });
        // A fetch or a join that happens to be well formed could wait; others answer at once.
        if key != 1 && key != 11 && key != 14 {
            let frame = [&key.to_be_bytes()[..], &version.to_be_bytes(), &[0, 0, 0, 1, 0xff, 0xff], &body].concat();
            protocol::answer(&broker.broker, "127.0.0.1", Bytes::from(frame)).ok();
        }
    }
}
