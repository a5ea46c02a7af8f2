//! One partition: record batches as the producers sent them, in append-only segment files named after their first offset.
//! Knows nothing of topics and the protocol. A batch is in the log once its bytes are written (nothing is synced, as in Kafka: it survives
//! a killed process, not a power failure); opening cuts off what a kill left half written at the end of the last segment.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Instant;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};

use super::batch::{self, BatchHeader, HEADER_BYTES, Refused};
use super::partition_transactions::{Aborted, PartitionTransactions};
use super::producers::{Producers, Verdict};

/// One node, so leadership never changes.
pub const LEADER_EPOCH: i32 = 0;

const INDEX_INTERVAL_BYTES: u64 = 4096;
const READ_BUFFER_BYTES: usize = 1024 * 1024;
const PRODUCER_IDLE_MS_MAX: i64 = 24 * 60 * 60 * 1000;

/// A topic's settings as its partitions need them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    pub segment_bytes: u64,
    pub batch_bytes_max: usize,
    pub retention_ms: Option<i64>,
    pub retention_bytes: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    pub base_offset: i64,
    pub log_start: i64,
}

#[derive(Debug)]
pub enum AppendError {
    Refused(Refused),
    TooLarge {
        bytes: usize,
        bytes_max: usize,
    },
    FencedEpoch,
    OutOfOrder,
    /// The topic was deleted meanwhile.
    Deleted,
    Storage(io::Error),
}

#[derive(Debug)]
pub enum ReadError {
    OutOfRange { log_start: i64 },
    Storage(io::Error),
}

#[derive(Debug)]
pub struct Slice {
    pub records: Bytes,
    pub log_start: i64,
    pub high_watermark: i64,
    pub last_stable_offset: i64,
    /// For committed reads: the aborted transactions with records among these.
    pub aborted: Vec<Aborted>,
    /// More records follow these at once.
    pub more: bool,
}

/// An offset that answers a question about timestamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampedOffset {
    pub offset: i64,
    pub timestamp: i64,
}

/// Which records a reader wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// All that are there.
    ReadUncommitted,
    /// Those before the last stable offset; the reader leaves out the aborted ones.
    ReadCommitted,
}

/// Someone who waits for records in any of several partitions.
#[derive(Default)]
pub struct Waiter {
    woken: Mutex<bool>,
    condition: Condvar,
}

impl Waiter {
    /// Returns whether it was woken before the deadline, and is ready to be woken again.
    pub fn wait_until(&self, deadline: Instant) -> bool {
        let mut woken = self.woken.lock();
        while !*woken {
            if self.condition.wait_until(&mut woken, deadline).timed_out() {
                break;
            }
        }
        std::mem::take(&mut *woken)
    }

    pub fn wake(&self) {
        *self.woken.lock() = true;
        self.condition.notify_all();
    }
}

pub struct PartitionLog {
    folder: PathBuf,
    state: Mutex<State>,
    waiters: Mutex<Vec<Weak<Waiter>>>,
}

struct State {
    /// In the order of their offsets, never empty; the last one is appended to.
    segments: Vec<Segment>,
    log_start: i64,
    next_offset: i64,
    producers: Producers,
    transactions: PartitionTransactions,
    deleted: bool,
    /// A failed append could not be undone: nothing may be appended behind it.
    broken: bool,
}

struct Segment {
    base_offset: i64,
    path: PathBuf,
    file: Arc<File>,
    bytes: u64,
    max_timestamp: i64,
    index: Vec<IndexEntry>,
}

/// Where a batch starts, for one batch every few kilobytes.
#[derive(Debug, Clone, Copy)]
struct IndexEntry {
    offset: i64,
    position: u64,
    /// The greatest timestamp in the segment before this batch.
    max_timestamp_before: i64,
}

impl Segment {
    fn create(folder: &Path, base_offset: i64) -> io::Result<Self> {
        let path = folder.join(format!("{base_offset:020}.log"));
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path)?;
        Ok(Self { base_offset, path, file: Arc::new(file), bytes: 0, max_timestamp: i64::MIN, index: Vec::new() })
    }

    fn add(&mut self, batch: &BatchHeader) {
        let indexed_until = self.index.last().map(|entry| entry.position + INDEX_INTERVAL_BYTES);
        if indexed_until.is_none_or(|until| self.bytes >= until) {
            let max_timestamp_before = self.max_timestamp;
            self.index.push(IndexEntry { offset: batch.base_offset, position: self.bytes, max_timestamp_before });
        }
        self.max_timestamp = self.max_timestamp.max(batch.max_timestamp);
        self.bytes += batch.bytes as u64;
    }

    /// An indexed position at or before the batch that holds `offset`.
    fn position_before(&self, offset: i64) -> u64 {
        let after = self.index.partition_point(|entry| entry.offset <= offset);
        after.checked_sub(1).map_or(0, |index| self.index[index].position)
    }

    /// An indexed position at or before the first batch with a record at or after `timestamp`.
    fn position_before_timestamp(&self, timestamp: i64) -> u64 {
        let after = self.index.partition_point(|entry| entry.max_timestamp_before < timestamp);
        after.checked_sub(1).map_or(0, |index| self.index[index].position)
    }

    fn batches_from(&self, position: u64) -> Batches {
        Batches { file: self.file.clone(), position, end: self.bytes }
    }
}

/// Walks over batch headers; the file may grow or be unlinked meanwhile.
struct Batches {
    file: Arc<File>,
    position: u64,
    end: u64,
}

impl Batches {
    fn peek(&self) -> io::Result<Option<BatchHeader>> {
        if self.position >= self.end {
            return Ok(None);
        }
        let mut header = [0; HEADER_BYTES];
        self.file.read_exact_at(&mut header, self.position)?;
        BatchHeader::read(&header).map(Some).ok_or_else(damaged)
    }

    /// Goes on to the first batch that `wanted` accepts.
    fn find(&mut self, wanted: impl Fn(&BatchHeader) -> bool) -> io::Result<Option<BatchHeader>> {
        while let Some(batch) = self.peek()? {
            if wanted(&batch) {
                return Ok(Some(batch));
            }
            self.position += batch.bytes as u64;
        }
        Ok(None)
    }

    fn bytes(&self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, self.position)?;
        Ok(bytes)
    }

    /// As many whole batches as fit, or one that does not when `at_least_one`.
    /// None from `until` on.
    fn read(&self, first: &BatchHeader, bytes_max: usize, at_least_one: bool, until: i64) -> io::Result<Vec<u8>> {
        if first.bytes > bytes_max {
            return if at_least_one { self.bytes(first.bytes) } else { Ok(Vec::new()) };
        }
        let mut bytes = self.bytes(bytes_max.min((self.end - self.position) as usize))?;
        let mut whole = 0;
        while let Some(batch) = BatchHeader::read(&bytes[whole..])
            .filter(|batch| batch.bytes <= bytes.len() - whole && batch.base_offset < until)
        {
            whole += batch.bytes;
        }
        bytes.truncate(whole);
        Ok(bytes)
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "record log of the embedded broker is damaged")
}

impl PartitionLog {
    /// Opens what is in the folder; an empty log is made when there is nothing. `log_start` is where DeleteRecords left off.
    pub fn open(folder: &Path, log_start: i64) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let mut bases = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "log")
                && let Some(base) = path.file_stem().and_then(|stem| stem.to_str()?.parse::<i64>().ok())
            {
                bases.push((base, path));
            }
        }
        bases.sort();
        let mut producers = Producers::default();
        let mut transactions = PartitionTransactions::default();
        let mut segments = Vec::new();
        let mut next_offset = bases.first().map_or(log_start, |(base, _)| *base);
        let count = bases.len();
        for (index, (base_offset, path)) in bases.into_iter().enumerate() {
            if base_offset < next_offset {
                return Err(damaged());
            }
            next_offset = base_offset;
            let last = index + 1 == count;
            let segment = open_segment(base_offset, path, last, &mut next_offset, &mut producers, &mut transactions)?;
            segments.push(segment);
        }
        if segments.is_empty() {
            segments.push(Segment::create(folder, next_offset)?);
        }
        let log_start = log_start.clamp(segments[0].base_offset, next_offset.max(segments[0].base_offset));
        transactions.forget_before(log_start);
        let (deleted, broken) = (false, false);
        let state = State { segments, log_start, next_offset, producers, transactions, deleted, broken };
        Ok(Self { folder: folder.to_owned(), state: Mutex::new(state), waiters: Mutex::new(Vec::new()) })
    }

    /// Offsets of the first record and behind the last one.
    pub fn bounds(&self) -> (i64, i64) {
        let state = self.state.lock();
        (state.log_start, state.next_offset)
    }

    /// Offset behind the last record whose transaction, if it has one, is ended, as are those of all before it.
    pub fn last_stable_offset(&self) -> i64 {
        self.state.lock().last_stable_offset()
    }

    /// Appends the one batch that a producer sent.
    pub fn append(&self, batch: &[u8], settings: &LogSettings) -> Result<Appended, AppendError> {
        if batch.len() > settings.batch_bytes_max {
            return Err(AppendError::TooLarge { bytes: batch.len(), bytes_max: settings.batch_bytes_max });
        }
        let mut header = batch::check(batch).map_err(AppendError::Refused)?;
        let mut bytes = batch.to_vec();
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if state.deleted {
            return Err(AppendError::Deleted);
        }
        if state.broken {
            return Err(AppendError::Storage(damaged()));
        }
        match state.producers.judge(&header) {
            Verdict::Append => {}
            Verdict::Duplicate { base_offset } => return Ok(Appended { base_offset, log_start: state.log_start }),
            Verdict::FencedEpoch => return Err(AppendError::FencedEpoch),
            Verdict::OutOfOrder => return Err(AppendError::OutOfOrder),
        }
        state.write(&self.folder, &mut bytes, &mut header, None, settings).map_err(AppendError::Storage)?;
        let appended = Appended { base_offset: header.base_offset, log_start: state.log_start };
        drop(guard);
        self.wake_waiters();
        Ok(appended)
    }

    /// Ends the producer's transaction, if it has one here: asking again changes nothing.
    pub fn append_marker(
        &self,
        producer: (i64, i16),
        commit: bool,
        now_ms: i64,
        settings: &LogSettings,
    ) -> io::Result<()> {
        let mut bytes = batch::marker(producer, commit, now_ms);
        let mut header = BatchHeader::read(&bytes).ok_or_else(damaged)?;
        let mut state = self.state.lock();
        if state.deleted || !state.transactions.is_open(producer.0) {
            return Ok(());
        }
        if state.broken {
            return Err(damaged());
        }
        state.write(&self.folder, &mut bytes, &mut header, Some(commit), settings)?;
        drop(state);
        self.wake_waiters();
        Ok(())
    }

    /// Reads whole batches from the one that holds `offset` on.
    pub fn read(
        &self,
        offset: i64,
        bytes_max: usize,
        at_least_one: bool,
        isolation: Isolation,
    ) -> Result<Slice, ReadError> {
        let (mut batches, mut slice) = {
            let state = self.state.lock();
            if offset < state.log_start || offset > state.next_offset {
                return Err(ReadError::OutOfRange { log_start: state.log_start });
            }
            let segment = &state.segments[state.segment_of(offset)];
            let slice = Slice {
                records: Bytes::new(),
                log_start: state.log_start,
                high_watermark: state.next_offset,
                last_stable_offset: state.last_stable_offset(),
                aborted: Vec::new(),
                more: false,
            };
            (segment.batches_from(segment.position_before(offset)), slice)
        };
        let until = match isolation {
            Isolation::ReadUncommitted => slice.high_watermark,
            Isolation::ReadCommitted => slice.last_stable_offset,
        };
        if offset >= until {
            return Ok(slice);
        }
        let first = batches.find(|batch| batch.last_offset() >= offset).map_err(ReadError::Storage)?;
        let first = first.ok_or_else(|| ReadError::Storage(damaged()))?;
        slice.records = Bytes::from(batches.read(&first, bytes_max, at_least_one, until).map_err(ReadError::Storage)?);
        batches.position += slice.records.len() as u64;
        let next = batches.peek().map_err(ReadError::Storage)?;
        slice.more = slice.records.is_empty() || next.is_some_and(|next| next.base_offset < until);
        if isolation == Isolation::ReadCommitted && !slice.records.is_empty() {
            let end = next.map_or(until, |next| next.base_offset.min(until));
            slice.aborted = self.state.lock().transactions.aborted_between(offset, end);
        }
        Ok(slice)
    }

    /// The first record at or after `timestamp`.
    pub fn offset_at(&self, timestamp: i64) -> io::Result<Option<TimestampedOffset>> {
        Ok(self.batch_and_offset_at(timestamp)?.map(|(_, found)| found))
    }

    fn batch_and_offset_at(&self, timestamp: i64) -> io::Result<Option<(BatchHeader, TimestampedOffset)>> {
        let (candidates, log_start) = {
            let state = self.state.lock();
            let candidates: Vec<Batches> = state
                .segments
                .iter()
                .filter(|segment| segment.max_timestamp >= timestamp)
                .map(|segment| segment.batches_from(segment.position_before_timestamp(timestamp)))
                .collect();
            (candidates, state.log_start)
        };
        for mut batches in candidates {
            let found = batches.find(|batch| batch.max_timestamp >= timestamp && batch.last_offset() >= log_start)?;
            if let Some(header) = found {
                let (offset, timestamp) = batch::first_record_at(&header, &batches.bytes(header.bytes)?, timestamp);
                return Ok(Some((header, TimestampedOffset { offset: offset.max(log_start), timestamp })));
            }
        }
        Ok(None)
    }

    /// A record with the greatest timestamp.
    pub fn offset_of_max_timestamp(&self) -> io::Result<Option<TimestampedOffset>> {
        let max_timestamp = self.state.lock().segments.iter().map(|segment| segment.max_timestamp).max();
        let Some(timestamp) = max_timestamp.filter(|timestamp| *timestamp > i64::MIN) else {
            return Ok(None);
        };
        let found = self.batch_and_offset_at(timestamp)?;
        Ok(found.map(|(batch, found)| match found.timestamp {
            // Within a compressed batch: times rarely go backwards, so it is the last record most likely.
            earlier if earlier < timestamp => TimestampedOffset { offset: batch.last_offset(), timestamp },
            _ => found,
        }))
    }

    /// Wakes `waiter` at the next append. Register before looking for records, so that none comes unnoticed in between.
    pub fn watch(&self, waiter: &Arc<Waiter>) {
        let mut waiters = self.waiters.lock();
        waiters.retain(|waiter| waiter.strong_count() > 0);
        waiters.push(Arc::downgrade(waiter));
    }

    pub fn wake_waiters(&self) {
        for waiter in std::mem::take(&mut *self.waiters.lock()) {
            if let Some(waiter) = waiter.upgrade() {
                waiter.wake();
            }
        }
    }

    /// Where the log starts when everything before `offset` is deleted (-1: everything); `None` when that is out of range.
    pub fn start_after_deleting(&self, offset: i64) -> Option<i64> {
        let state = self.state.lock();
        let offset = if offset == -1 { state.next_offset } else { offset };
        (0..=state.next_offset).contains(&offset).then(|| offset.max(state.log_start))
    }

    /// Deletes the records before `offset`: the segments now, the rest of one when it is whole.
    pub fn delete_before(&self, offset: i64) -> io::Result<()> {
        let mut state = self.state.lock();
        state.log_start = offset.clamp(state.log_start, state.next_offset);
        while state.segments.len() > 1 && state.segments[1].base_offset <= state.log_start {
            state.drop_first_segment()?;
        }
        Ok(())
    }

    /// Deletes the oldest segments that the settings no longer keep.
    pub fn retain(&self, settings: &LogSettings, now_ms: i64) -> io::Result<()> {
        let mut state = self.state.lock();
        if state.deleted {
            return Ok(());
        }
        if let Some(retention_ms) = settings.retention_ms {
            let oldest = now_ms - retention_ms;
            while state.segments[0].bytes > 0 && state.segments[0].max_timestamp < oldest {
                if state.segments.len() == 1 {
                    let segment = Segment::create(&self.folder, state.next_offset)?;
                    state.segments.push(segment);
                }
                state.drop_first_segment()?;
            }
        }
        if let Some(retention_bytes) = settings.retention_bytes {
            let mut bytes: u64 = state.segments.iter().map(|segment| segment.bytes).sum();
            while state.segments.len() > 1 && bytes - state.segments[0].bytes >= retention_bytes {
                bytes -= state.segments[0].bytes;
                state.drop_first_segment()?;
            }
        }
        state.producers.forget_before(now_ms - PRODUCER_IDLE_MS_MAX);
        Ok(())
    }

    /// Refuses appends from now on; the files are the caller's to remove.
    pub fn mark_deleted(&self) {
        self.state.lock().deleted = true;
        self.wake_waiters();
    }
}

impl State {
    fn active(&mut self) -> &mut Segment {
        self.segments.last_mut().expect("a log has a segment")
    }

    fn last_stable_offset(&self) -> i64 {
        self.transactions.last_stable_offset(self.log_start, self.next_offset)
    }

    /// Writes a batch at the end, in a new segment when the active one is full.
    fn write(
        &mut self,
        folder: &Path,
        bytes: &mut [u8],
        header: &mut BatchHeader,
        marker: Option<bool>,
        settings: &LogSettings,
    ) -> io::Result<()> {
        header.base_offset = self.next_offset;
        batch::place(bytes, header.base_offset, LEADER_EPOCH);
        let active_bytes = self.active().bytes;
        if active_bytes > 0 && active_bytes + bytes.len() as u64 > settings.segment_bytes {
            let segment = Segment::create(folder, self.next_offset)?;
            self.segments.push(segment);
        }
        let segment = self.active();
        if let Err(error) = segment.file.write_all_at(bytes, segment.bytes) {
            self.broken = segment.file.set_len(segment.bytes).is_err();
            return Err(error);
        }
        segment.add(header);
        self.next_offset = header.last_offset() + 1;
        self.producers.appended(header);
        self.transactions.appended(header, marker);
        Ok(())
    }

    fn segment_of(&self, offset: i64) -> usize {
        self.segments.partition_point(|segment| segment.base_offset <= offset).saturating_sub(1)
    }

    fn drop_first_segment(&mut self) -> io::Result<()> {
        match fs::remove_file(&self.segments[0].path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.segments.remove(0);
        self.log_start = self.log_start.max(self.segments[0].base_offset);
        self.transactions.forget_before(self.log_start);
        Ok(())
    }
}

/// Reads through a segment. The last one is checked batch by batch and cut behind the last whole one.
fn open_segment(
    base_offset: i64,
    path: PathBuf,
    last: bool,
    next_offset: &mut i64,
    producers: &mut Producers,
    transactions: &mut PartitionTransactions,
) -> io::Result<Segment> {
    let file = OpenOptions::new().read(true).write(true).open(&path)?;
    let file_bytes = file.metadata()?.len();
    let mut segment = Segment {
        base_offset,
        path,
        file: Arc::new(file.try_clone()?),
        bytes: 0,
        max_timestamp: i64::MIN,
        index: Vec::new(),
    };
    let mut reader = BufReader::with_capacity(READ_BUFFER_BYTES, file);
    let mut bytes = Vec::new();
    while segment.bytes < file_bytes {
        let left = (file_bytes - segment.bytes) as usize;
        bytes.resize(HEADER_BYTES.min(left), 0);
        reader.read_exact(&mut bytes)?;
        let header = BatchHeader::read(&bytes).filter(|batch| batch.base_offset == *next_offset && batch.bytes <= left);
        let whole = match &header {
            Some(header) if last || header.is_control() => {
                bytes.resize(header.bytes, 0);
                reader.read_exact(&mut bytes[HEADER_BYTES..])?;
                batch::checksum_is_right(header, &bytes)
            }
            Some(header) => {
                reader.seek_relative((header.bytes - HEADER_BYTES) as i64)?;
                true
            }
            None => false,
        };
        let Some(header) = header.filter(|_| whole) else {
            if !last {
                return Err(damaged());
            }
            tracing::warn!(
                segment = %segment.path.display(), from = segment.bytes, to = file_bytes,
                "cut off a batch that was not written to its end"
            );
            segment.file.set_len(segment.bytes)?;
            break;
        };
        segment.add(&header);
        producers.appended(&header);
        transactions.appended(&header, header.is_control().then(|| batch::commits(&bytes)).flatten());
        *next_offset = header.last_offset() + 1;
    }
    Ok(segment)
}
