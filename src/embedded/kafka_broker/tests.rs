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
use super::group_offset::GroupOffset;
use super::groups::Groups;
use super::log::{AppendError, Isolation, LogSettings, PartitionLog, ReadError};
use super::membership::{GroupState, JoinRequest};
use super::meta::{MetaChange, MetaStore};
use super::producers::{Producers, Verdict};
use super::topics::Topics;
use super::transaction_state::{Phase, Step};
use super::transactions::{Owner, Transactions};
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

const ALL: Isolation = Isolation::ReadUncommitted;

/// A batch of a transaction: one empty record.
fn transactional(producer: (i64, i16), sequence: i32) -> Vec<u8> {
    let mut bytes = batch((producer.0, producer.1, sequence), 1000, 1);
    bytes[22] |= 0x10;
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
            let slice = log.read(offset, 1_000_000, true, ALL).unwrap();
            assert_eq!(BatchHeader::read(&slice.records).unwrap().base_offset, offset / 3 * 3);
            let one = log.read(offset, 1, true, ALL).unwrap();
            assert_eq!(one.records.len(), plain(0, 3).len());
            assert!(log.read(offset, 1, false, ALL).unwrap().records.is_empty());
        }
        assert!(log.read(1500, 100, true, ALL).unwrap().records.is_empty());
        assert!(matches!(log.read(1501, 100, true, ALL), Err(ReadError::OutOfRange { log_start: 0 })));
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

fn offsets(group: &str, offset: i64) -> MetaChange {
    let offset = GroupOffset { offset, leader_epoch: -1, metadata: String::new() };
    MetaChange::OffsetsCommitted { group: group.to_owned(), offsets: vec![("orders".to_owned(), 0, offset)] }
}

#[test]
fn the_meta_log_keeps_whole_changes_and_forgets_the_torn_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = MetaStore::open(folder.path()).unwrap();
    let cluster_id = store.meta().cluster_id.clone();
    let topic = |name: &str| MetaChange::TopicCreated {
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
        MetaChange::TopicDeleted { name: "other".to_owned() },
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

/// A broker without its connections, and the one producer `job` with a transaction on partition 0 of topic `out`.
struct Coordinated {
    topics: Topics,
    transactions: Transactions,
    producer: (i64, i16),
}

impl Coordinated {
    const TIMEOUT_MS: i32 = 60_000;

    fn start(folder: &Path) -> Self {
        let topics = Topics::open(folder).unwrap();
        topics.create("out", 2, BTreeMap::new(), false).unwrap();
        let transactions = Transactions::open(&topics, 0).unwrap();
        let mut coordinated = Self { topics, transactions, producer: (-1, -1) };
        coordinated.producer = coordinated.initialise(None, 0).unwrap();
        coordinated
    }

    fn restart(self, folder: &Path) -> Self {
        let producer = self.producer;
        drop(self);
        let topics = Topics::open(folder).unwrap();
        let transactions = Transactions::open(&topics, 1000).unwrap();
        Self { topics, transactions, producer }
    }

    fn initialise(&self, claimed: Option<(i64, i16)>, now_ms: i64) -> Result<(i64, i16), ResponseError> {
        self.transactions.initialise(&self.topics, "job", Self::TIMEOUT_MS, claimed, || Ok(7), now_ms)
    }

    fn owner(&self) -> Owner<'static> {
        Owner { transactional_id: "job", producer_id: self.producer.0, epoch: self.producer.1 }
    }

    fn add(&self) -> Result<(), ResponseError> {
        self.transactions.add_partitions(&self.topics, self.owner(), vec![("out".to_owned(), 0)], 0)
    }

    fn add_offset(&self, offset: i64) {
        self.transactions.add_group(&self.topics, self.owner(), "g", 0).unwrap();
        let offset = GroupOffset { offset, leader_epoch: -1, metadata: String::new() };
        let offsets = vec![("in".to_owned(), 0, offset)];
        self.transactions.add_offsets(&self.topics, self.owner(), "g", offsets).unwrap();
    }

    fn produce(&self, sequence: i32) -> Result<i64, ResponseError> {
        let topic = self.topics.get("out").unwrap();
        let write = || topic.partitions[0].append(&transactional(self.producer, sequence), &topic.settings);
        let appended = self.transactions.append(&self.topics, "job", self.producer, &topic, 0, write)?;
        Ok(appended.unwrap().base_offset)
    }

    fn end(&self, commit: bool) -> Result<(), ResponseError> {
        self.transactions.end(&self.topics, self.owner(), commit, 0)
    }

    /// Offset behind the last record of partition 0, the last stable offset, and the first offsets of aborted transactions.
    fn log(&self) -> (i64, i64, Vec<i64>) {
        let partition = self.topics.get("out").unwrap().partitions[0].clone();
        let slice = partition.read(0, usize::MAX >> 1, true, Isolation::ReadCommitted);
        let aborted = slice.unwrap().aborted.iter().map(|aborted| aborted.first_offset).collect();
        (partition.bounds().1, partition.last_stable_offset(), aborted)
    }

    fn phase(&self) -> Phase {
        self.topics.meta().meta().transactions["job"].phase
    }

    fn committed_offset(&self) -> Option<i64> {
        self.topics.meta().meta().group_offsets.get("g")?.get(&("in".to_owned(), 0)).map(|offset| offset.offset)
    }
}

#[test]
fn a_marker_is_a_batch_that_says_what_was_decided() {
    for commit in [true, false] {
        let bytes = batch::marker((7, 3), commit, 1234);
        let header = BatchHeader::read(&bytes).unwrap();
        assert!(batch::checksum_is_right(&header, &bytes) && header.is_control() && header.is_transactional());
        assert_eq!((header.bytes, header.producer_id, header.producer_epoch), (bytes.len(), 7, 3));
        assert_eq!(batch::commits(&bytes), Some(commit));
        assert!(batch::check(&bytes).is_err(), "only the broker writes markers");
    }
}

#[test]
fn an_open_transaction_is_open_after_a_restart_and_can_be_committed() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Coordinated::start(folder.path());
    broker.add().unwrap();
    assert_eq!(broker.produce(0), Ok(0));
    broker.add_offset(5);
    let broker = broker.restart(folder.path());
    assert_eq!((broker.log(), broker.phase()), ((1, 0, vec![]), Phase::Ongoing));
    assert_eq!(broker.committed_offset(), None);
    assert_eq!(broker.produce(1), Ok(1));
    assert_eq!(broker.end(true), Ok(()));
    assert_eq!(broker.end(true), Ok(()), "asked again because the answer got lost");
    assert_eq!(broker.end(false), Err(ResponseError::InvalidTxnState));
    assert_eq!(broker.log(), (3, 3, vec![]));
    let broker = broker.restart(folder.path());
    assert_eq!((broker.log(), broker.committed_offset()), ((3, 3, vec![]), Some(5)));
    assert_eq!(broker.phase(), Phase::Ended { commit: true });
    assert_eq!(broker.produce(2), Err(ResponseError::InvalidTxnState), "not in a transaction");
}

#[test]
fn what_was_decided_before_a_kill_is_completed_once() {
    for (commit, aborted) in [(true, vec![]), (false, vec![0])] {
        let folder = tempfile::tempdir().unwrap();
        let broker = Coordinated::start(folder.path());
        broker.add().unwrap();
        broker.produce(0).unwrap();
        broker.add_offset(5);
        let step = Step::Decided { commit, epoch: broker.producer.1, at_ms: 0 };
        broker.topics.meta().commit(MetaChange::Transaction { id: "job".to_owned(), step }).unwrap();
        let mut broker = broker.restart(folder.path());
        for _ in 0..2 {
            assert_eq!(broker.log(), (2, 2, aborted.clone()));
            assert_eq!(broker.committed_offset(), commit.then_some(5));
            assert_eq!(broker.phase(), Phase::Ended { commit });
            broker = broker.restart(folder.path());
        }
        broker.add().unwrap();
        assert_eq!(broker.produce(1), Ok(2));
        assert_eq!(broker.log().1, 2);
    }
}

#[test]
fn a_new_owner_aborts_and_fences_the_old_one_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let old = Coordinated::start(folder.path());
    old.add().unwrap();
    old.produce(0).unwrap();
    let zombie = old.producer;
    let mut broker = old.restart(folder.path());
    broker.producer = broker.initialise(None, 0).unwrap();
    assert_eq!(broker.producer.0, zombie.0);
    assert!(broker.producer.1 > zombie.1);
    assert_eq!(broker.log(), (2, 2, vec![0]));
    let broker = broker.restart(folder.path());
    let zombie = Coordinated { producer: zombie, ..broker };
    assert_eq!(zombie.produce(1), Err(ResponseError::InvalidProducerEpoch));
    assert_eq!(zombie.add(), Err(ResponseError::ProducerFenced));
    assert_eq!(zombie.end(true), Err(ResponseError::ProducerFenced));
    assert_eq!(zombie.initialise(Some(zombie.producer), 0), Err(ResponseError::ProducerFenced));
    assert_eq!(zombie.log(), (2, 2, vec![0]));
}

#[test]
fn a_producer_that_asks_twice_for_its_next_epoch_gets_one() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Coordinated::start(folder.path());
    let next = broker.initialise(Some(broker.producer), 0).unwrap();
    assert_eq!(next, (broker.producer.0, broker.producer.1 + 1));
    assert_eq!(broker.initialise(Some(broker.producer), 0), Ok(next));
    let broker = broker.restart(folder.path());
    assert_eq!(broker.initialise(Some(broker.producer), 0), Ok(next));
}

#[test]
fn a_transaction_that_is_open_for_too_long_is_aborted_and_its_producer_fenced() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Coordinated::start(folder.path());
    broker.add().unwrap();
    broker.produce(0).unwrap();
    let broker = broker.restart(folder.path());
    broker.transactions.expire(&broker.topics, i64::from(Coordinated::TIMEOUT_MS) - 1);
    assert_eq!(broker.phase(), Phase::Ongoing);
    broker.transactions.expire(&broker.topics, i64::from(Coordinated::TIMEOUT_MS));
    assert_eq!(broker.log(), (2, 2, vec![0]));
    assert_eq!(broker.end(true), Err(ResponseError::ProducerFenced));
    let week_ms = 8 * 24 * 60 * 60 * 1000;
    broker.transactions.expire(&broker.topics, week_ms);
    assert!(broker.topics.meta().meta().transactions.is_empty());
}

#[test]
fn a_deleted_topic_leaves_open_transactions() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Coordinated::start(folder.path());
    broker.add().unwrap();
    broker.produce(0).unwrap();
    broker.topics.delete("out").unwrap();
    let broker = broker.restart(folder.path());
    assert_eq!((broker.phase(), broker.end(true)), (Phase::Ongoing, Ok(())));
}

#[test]
fn committed_reads_end_at_the_last_stable_offset() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(&[("segment.bytes", "200")]);
    let log = PartitionLog::open(folder.path(), 0).unwrap();
    log.append(&plain(0, 1), &settings).unwrap();
    log.append(&transactional((7, 0), 0), &settings).unwrap();
    log.append(&plain(0, 1), &settings).unwrap();
    log.append(&transactional((8, 0), 0), &settings).unwrap();
    log.append_marker((8, 0), false, 0, &settings).unwrap();
    for log in [log, PartitionLog::open(folder.path(), 0).unwrap()] {
        assert_eq!(log.last_stable_offset(), 1);
        let slice = log.read(0, 1_000_000, true, Isolation::ReadCommitted).unwrap();
        assert_eq!((slice.records.len(), slice.more, slice.aborted.len()), (plain(0, 1).len(), false, 0));
        assert!(log.read(2, 1_000_000, true, Isolation::ReadCommitted).unwrap().records.is_empty());
        assert!(!log.read(4, 1_000_000, true, ALL).unwrap().records.is_empty());
    }
    let log = PartitionLog::open(folder.path(), 0).unwrap();
    log.append_marker((7, 0), true, 0, &settings).unwrap();
    log.append_marker((7, 0), true, 0, &settings).unwrap();
    assert_eq!((log.bounds(), log.last_stable_offset()), ((0, 6), 6));
    let slice = log.read(3, 1_000_000, true, Isolation::ReadCommitted).unwrap();
    assert_eq!(
        slice.aborted.iter().map(|aborted| (aborted.producer_id, aborted.first_offset)).collect::<Vec<_>>(),
        [(8, 3)]
    );
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

#[test]
fn a_topic_keeps_its_id_and_one_made_anew_has_another() {
    let folder = tempfile::tempdir().unwrap();
    let topics = Topics::open(folder.path()).unwrap();
    let made = || topics.create("orders", 1, BTreeMap::new(), false).unwrap().id;
    let first = made();
    topics.add_partitions("orders", 2, false).unwrap();
    assert_eq!(topics.get("orders").unwrap().id, first);
    topics.delete("orders").unwrap();
    assert!(topics.by_id(first).is_none());
    let second = made();
    assert_ne!(first, second);
    drop(topics);
    let topics = Topics::open(folder.path()).unwrap();
    assert_eq!(topics.by_id(second).unwrap().name, "orders");
}
