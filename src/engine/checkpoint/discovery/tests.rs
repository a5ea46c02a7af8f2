//! Whole jobs over shards that end and are followed by others, as those of a stream of DynamoDB.

use std::time::Duration;

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch};
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::*;
use crate::changelog::ChangeBatch;
use crate::clock::SystemClock;
use crate::connectors::table_provider::ConnectorTable;
use crate::connectors::{
    FoundSplit, Restored, RowOffsets, SequenceNumber, Source, SourceBatch, SplitEnumerator, Table, TableDeclaration,
};
use crate::engine::build::{self, Start as BuildStart};
use crate::engine::checkpoint::ending::{Ended, Wanted};
use crate::engine::checkpoint::{CheckpointStore, Manifest, Origin};
use crate::engine::dataflow::JobSettings;
use crate::engine::job::{JobContext, Tables};
use crate::engine::metrics::JobMetrics;
use crate::engine::planner::{PlannedInsert, plan_job};
use crate::engine::progress::{ReadBehind, ReadBehindRegistry};
use crate::engine::run;
use crate::engine::testing::{Memory, declare, plan, session, text};
use crate::error::{Error, ErrorKind};

const PATIENCE: Duration = Duration::from_secs(30);

/// A shard: its rows are numbers.
#[derive(Clone, Default)]
struct Shard {
    rows: Vec<i64>,
    parents: Vec<&'static str>,
    is_closed: bool,
}

/// The stream, and what was done with it.
struct Stream {
    shards: watch::Sender<BTreeMap<&'static str, Shard>>,
    is_bounded: bool,
    /// `a from 000…3`
    opened: Mutex<Vec<String>>,
}

impl Stream {
    fn new(is_bounded: bool) -> Arc<Self> {
        Arc::new(Self { shards: watch::Sender::default(), is_bounded, opened: Mutex::default() })
    }

    /// Makes a shard, or adds to it: `c<a+b` is the child of two others, `c.` is closed.
    fn put(&self, shard: &'static str, rows: &[i64]) {
        let (name, is_closed) = shard.strip_suffix('.').map_or((shard, false), |name| (name, true));
        let (name, parents) = name.split_once('<').unwrap_or((name, ""));
        self.shards.send_modify(|shards| {
            let shard = shards.entry(name).or_default();
            shard.rows.extend(rows);
            shard.parents.extend(parents.split('+').filter(|parent| !parent.is_empty()));
            shard.is_closed |= is_closed;
        });
    }

    fn remove(&self, shard: &str) {
        self.shards.send_modify(|shards| drop(shards.remove(shard)));
    }

    fn opened(&self) -> Vec<String> {
        std::mem::take(&mut *self.opened.lock())
    }
}

/// Behind so many rows of a shard.
fn behind(rows: usize) -> Position {
    Position::Sequence(SequenceNumber::new(&format!("{}{rows:020}", "4".repeat(20))).unwrap())
}

struct StreamSource(Arc<Stream>);

#[async_trait]
impl Source for StreamSource {
    fn is_bounded(&self) -> bool {
        self.0.is_bounded
    }

    fn discovery_interval(&self) -> Option<Duration> {
        (!self.0.is_bounded).then_some(Duration::from_millis(20))
    }

    fn enumerator(&self, restored: Restored<'_>) -> Result<Box<dyn SplitEnumerator>> {
        let over = restored.state.map(|state| serde_json::from_value(state["over"].clone()).unwrap());
        Ok(Box::new(Shards { stream: Arc::clone(&self.0), over: over.unwrap_or_default() }))
    }

    async fn open(&self, request: SplitRequest<'_>) -> Result<Box<dyn SplitReader>> {
        let SplitRequest { split, start, end, .. } = request;
        let (start, next) = match start {
            Start::AsDeclared => ("declared", 0),
            Start::Beginning => ("beginning", 0),
            Start::At(Position::Sequence(number)) => ("restored", number.as_str()[20..].parse().unwrap()),
            Start::At(other) => return Err(Error::corrupt(format!("{} is of no shard", other.described()))),
        };
        self.0.opened.lock().push(format!("{} {start} {next}", split.id));
        let stream = Arc::clone(&self.0);
        let seen = self.0.shards.subscribe();
        let end = end.as_ref().map_or(usize::MAX, tail);
        Ok(Box::new(ShardReader { stream, shard: split.id.clone(), seen, next, end, is_over: false }))
    }
}

struct Shards {
    stream: Arc<Stream>,
    over: BTreeSet<String>,
}

#[async_trait]
impl SplitEnumerator for Shards {
    async fn discover(&mut self) -> Result<Discovery> {
        let found = |(name, shard): (&&str, &Shard)| FoundSplit {
            split: Split { id: (*name).to_owned(), resource: format!("stream://s/{name}"), group: None },
            parents: shard.parents.iter().map(|parent| (*parent).to_owned()).collect(),
        };
        Ok(Discovery { splits: self.stream.shards.borrow().iter().map(found).collect(), awaited: Vec::new() })
    }

    fn is_over(&self, split: &str) -> bool {
        self.over.contains(split)
    }

    fn end(&mut self, split: &Split) -> Result<()> {
        assert!(self.over.insert(split.id.clone()));
        Ok(())
    }

    fn state(&self) -> Option<serde_json::Value> {
        Some(json!({ "over": self.over }))
    }
}

struct ShardReader {
    stream: Arc<Stream>,
    shard: String,
    seen: watch::Receiver<BTreeMap<&'static str, Shard>>,
    next: usize,
    end: usize,
    is_over: bool,
}

#[async_trait]
impl SplitReader for ShardReader {
    fn position(&self) -> Position {
        behind(self.next)
    }

    async fn next(&mut self) -> Result<Option<SourceBatch>> {
        let (name, next) = (self.shard.as_str(), self.next);
        if next >= self.end {
            return Ok(None);
        }
        let has_more = |shards: &BTreeMap<&'static str, Shard>| {
            shards.get(name).is_none_or(|shard| shard.is_closed || shard.rows.len() > next)
        };
        self.seen.wait_for(has_more).await.unwrap();
        let shard = self.stream.shards.borrow().get(name).cloned();
        let Some(shard) = shard else { return std::future::pending().await };
        let Some(row) = shard.rows.get(next) else {
            self.is_over = true;
            return Ok(None);
        };
        self.next += 1;
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![*row]));
        Ok(Some(SourceBatch {
            changes: ChangeBatch::inserts(RecordBatch::try_from_iter([("n", numbers)]).unwrap()),
            position: self.position(),
            bytes: 0,
            offsets: RowOffsets::default(),
        }))
    }

    fn is_over(&self) -> bool {
        self.is_over
    }
}

/// A job over the stream, and where its rows go.
struct World {
    context: JobContext,
    sink: Arc<Memory>,
    registry: Arc<ReadBehindRegistry>,
    _folder: tempfile::TempDir,
}

/// A run of the job.
struct Running {
    want: watch::Sender<Wanted>,
    task: JoinHandle<Result<Ended>>,
}

async fn world(stream: &Arc<Stream>, parallelism: &str) -> World {
    let declaration = declare("stream", "n BIGINT", 0);
    let sink = Memory::new(declare("out", "n BIGINT", 0), "");
    let table = Table { source: Some(Arc::new(StreamSource(Arc::clone(stream)))), ..Table::default() };
    let context = session(&[&sink]);
    let provider = ConnectorTable::new(Arc::new(declaration), table.clone()).unwrap();
    context.register_table("stream", Arc::new(provider)).unwrap();
    let query = plan(&context, "SELECT n FROM stream").await;
    let options = [("parallelism.default", parallelism), ("execution.checkpointing.interval", "10 ms")];
    let settings = JobSettings::new("UTC", options).unwrap();
    let dataflow =
        plan_job(&[PlannedInsert { query: &query, sink: sink.provider(), columns: None }], settings).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let registry = Arc::new(ReadBehindRegistry::default());
    let out = Arc::clone(&sink);
    let context = JobContext {
        job: "job".to_owned(),
        id: "id".to_owned(),
        spill_folder: folder.path().join("spill"),
        open_table: Arc::new(move |declared: &TableDeclaration| {
            Ok(if declared.name == "stream" { table.clone() } else { out.table() })
        }),
        checkpoints: CheckpointStore::new(folder.path(), "id"),
        progress: registry.register("job", vec!["out".to_owned()]),
        read_behind: ReadBehind::new(registry.clone(), "job", Vec::new()),
        metrics: Arc::new(JobMetrics::new(dataflow.descriptions())),
        skips: Arc::default(),
        dataflow: Arc::new(dataflow),
        clock: Arc::new(SystemClock),
    };
    World { context, sink, registry, _folder: folder }
}

impl World {
    fn start(&self) -> Running {
        let (want, wanted) = watch::channel(Wanted::Run);
        Running { want, task: tokio::spawn(run::run(self.context.clone(), wanted)) }
    }

    /// Rows that were written since the last call, in their order.
    async fn written(&self, count: usize) -> Vec<String> {
        let all = || self.sink.written.lock().iter().map(RecordBatch::num_rows).sum::<usize>();
        until(|| (all() >= count).then_some(()), || format!("{} of {count} rows", all())).await;
        let batches = std::mem::take(&mut *self.sink.written.lock());
        batches.iter().flat_map(|batch| (0..batch.num_rows()).flat_map(|row| text(&[batch.slice(row, 1)]))).collect()
    }

    /// `a at …3` for each split that is shown.
    fn shown(&self) -> Vec<String> {
        let splits = self.context.metrics.splits.lock();
        let shown = |(id, progress): (&String, &SplitProgress)| format!("{id} {}", tail(&progress.acknowledged));
        splits.iter().map(shown).collect()
    }

    /// Positions of the newest checkpoint, and what is over.
    async fn stored(&self) -> (Vec<String>, serde_json::Value) {
        let Manifest { positions, enumerators, .. } =
            self.context.checkpoints.load().await.unwrap().manifests.pop().unwrap();
        let stored = |(id, position): (&String, &Position)| format!("{id} {}", tail(position));
        (positions["source-0"].iter().map(stored).collect(), enumerators["source-0"]["over"].clone())
    }
}

/// How many rows lie before a position.
fn tail(position: &Position) -> usize {
    position.to_string()[20..].parse().unwrap()
}

async fn until<T>(ask: impl Fn() -> Option<T>, what: impl Fn() -> String) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "{}", what());
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
}

impl Running {
    async fn stop(self) {
        self.want.send_replace(Wanted::Stop);
        assert_eq!(self.task.await.unwrap().unwrap(), Ended::Stopped(None));
    }
}

async fn ends_and_children(parallelism: &str) {
    let stream = Stream::new(false);
    stream.put("a.", &[1, 2, 3]);
    stream.put("b", &[10]);
    stream.put("c<a", &[4, 5]);
    let world = world(&stream, parallelism).await;
    let job = world.start();
    let rows = world.written(6).await;
    let of_a: Vec<&String> = rows.iter().filter(|row| *row != "10").collect();
    assert_eq!(of_a, ["1", "2", "3", "4", "5"], "a child is read after its parent");
    assert_eq!(stream.opened(), ["a declared 0", "b declared 0", "c beginning 0"]);
    until(|| (world.shown() == ["b 1", "c 2"]).then_some(()), || format!("{:?}", world.shown())).await;
    assert_eq!(world.context.metrics.sources.all()[0].1.len(), 2, "nobody asks for the end of a split that has ended");
    job.stop().await;
    assert_eq!(world.stored().await, (vec!["b 1".to_owned(), "c 2".to_owned()], json!(["a"])));

    // A restart goes on with what is live. What has ended and is not there any more is not missed.
    stream.remove("a");
    stream.put("d<c", &[6]);
    // As if the process had been killed between the decision and what comes of it.
    let progress = SplitProgress { read: behind(3), acknowledged: behind(3) };
    world.context.metrics.splits.lock().insert("a".to_owned(), progress);
    let job = world.start();
    until(|| (stream.opened.lock().len() == 2).then_some(()), || "nothing is opened".to_owned()).await;
    assert_eq!(stream.opened(), ["b restored 1", "c restored 2"]);
    stream.put("c.", &[7]);
    assert_eq!(world.written(2).await, ["7", "6"]);
    assert_eq!(stream.opened(), ["d beginning 0"]);
    until(|| (world.shown() == ["b 1", "d 1"]).then_some(()), || format!("{:?}", world.shown())).await;
    // Two that become one, with their parents on one task or on two.
    stream.put("e<b+d", &[8]);
    stream.put("b.", &[]);
    stream.put("d.", &[]);
    assert_eq!(world.written(1).await, ["8"]);
    until(|| (world.shown() == ["e 1"]).then_some(()), || format!("{:?}", world.shown())).await;
    job.stop().await;
    assert_eq!(world.stored().await, (vec!["e 1".to_owned()], json!(["a", "b", "c", "d"])));

    // One that has not ended is missed.
    stream.opened();
    stream.remove("e");
    let error = world.start().task.await.unwrap().unwrap_err();
    let text = "e does not exist any more: it was deleted after this job had read it";
    assert_eq!((error.kind(), error.message()), (ErrorKind::Corrupt, text));
    assert_eq!(stream.opened(), [""; 0]);
}

#[tokio::test]
async fn splits_end_and_their_children_follow_in_one_task() {
    ends_and_children("1").await;
}

#[tokio::test]
async fn splits_end_and_their_children_follow_in_several_tasks() {
    ends_and_children("3").await;
}

#[tokio::test]
async fn a_bounded_job_ends_when_the_last_child_has() {
    for parallelism in ["1", "2"] {
        let stream = Stream::new(true);
        stream.put("a.", &[1, 2]);
        stream.put("b<a.", &[3]);
        stream.put("c<b.", &[]);
        stream.put("d<c.", &[4, 5]);
        let world = world(&stream, parallelism).await;
        assert_eq!(world.start().task.await.unwrap().unwrap(), Ended::Finished);
        assert_eq!(world.written(5).await, ["1", "2", "3", "4", "5"]);
        assert_eq!(world.stored().await, (Vec::new(), json!(["a", "b", "c", "d"])));
        // Once more, there is nothing to be read.
        stream.opened();
        assert_eq!(world.start().task.await.unwrap().unwrap(), Ended::Finished);
        assert_eq!(stream.opened(), [""; 0]);
    }
}

#[tokio::test]
async fn a_lost_epoch_is_computed_again_through_splits_that_ended_in_it() {
    for parallelism in ["1", "3"] {
        let stream = Stream::new(false);
        stream.put("a.", &[1, 2]);
        stream.put("b<a.", &[3]);
        stream.put("c<b", &[4, 5, 6]);
        stream.put("d", &[10, 11]);
        // It was found only after that epoch.
        stream.put("e", &[20]);
        let world = world(&stream, parallelism).await;
        let positions = [("c".to_owned(), behind(2)), ("d".to_owned(), behind(1))];
        let decision = Decision {
            epoch: 7,
            positions: Positions::from([("source-0".to_owned(), positions.into())]),
            checksum: 0,
            logs: BTreeMap::new(),
            enumerators: Enumerators::from([("source-0".to_owned(), json!({"over": ["a", "b"]}))]),
        };
        let tables = Tables::open(&world.context).unwrap();
        let start = BuildStart { at: None, rebuild: Some(&decision), transactions: None };
        let mut coordinator = build::build(&world.context, &tables, start).await.unwrap();
        let (_want, wanted) = watch::channel(Wanted::Run);
        let ended = tokio::time::timeout(PATIENCE, coordinator.run(wanted)).await.expect("it ends");
        assert_eq!(ended.unwrap(), Ended::Finished);
        assert_eq!(stream.opened(), ["a declared 0", "d declared 0", "b beginning 0", "c beginning 0"]);
        let rebuilt = world.context.checkpoints.load().await.unwrap().manifests.pop().unwrap();
        assert_eq!((rebuilt.epoch, rebuilt.origin), (7, Origin::Rebuilt));
        assert_eq!((rebuilt.positions, rebuilt.enumerators), (decision.positions, decision.enumerators));
        assert!(world.sink.written.lock().is_empty(), "its sinks are muted");

        let job = world.start();
        let mut rows = world.written(3).await;
        rows.sort();
        assert_eq!(rows, ["11", "20", "6"]);
        assert_eq!(stream.opened(), ["c restored 2", "d restored 1", "e beginning 0"]);
        job.stop().await;
    }
}

#[tokio::test]
async fn a_split_that_has_ended_holds_no_reader_back_not_even_after_a_restart() {
    let stream = Stream::new(false);
    stream.put("a.", &[1, 2]);
    stream.put("b<a", &[3]);
    let mut world = world(&stream, "1").await;
    let gate = ReadBehind::new(world.registry.clone(), "reader", vec!["out".to_owned()]);
    let split = |id: &str| Split { id: id.to_owned(), resource: format!("stream://s/{id}"), group: None };
    for _ in 0..2 {
        // As in a server that has just started.
        world.context.progress = world.registry.register("job", vec!["out".to_owned()]);
        let job = world.start();
        for (id, rows) in [("a", 2), ("b", 1)] {
            let (split, position) = (split(id), behind(rows));
            let waits = crate::waits::Waits::default();
            let passed = tokio::time::timeout(PATIENCE, gate.wait(&split, &position, &waits)).await;
            passed.expect("the writer is past it").unwrap();
        }
        until(|| (world.shown() == ["b 1"]).then_some(()), || format!("{:?}", world.shown())).await;
        // What the writer has not read yet is waited for.
        let beyond = (split("b"), behind(2));
        let waits = crate::waits::Waits::default();
        let waiting = tokio::time::timeout(Duration::from_millis(50), gate.wait(&beyond.0, &beyond.1, &waits)).await;
        assert!(waiting.is_err());
        job.stop().await;
    }
}

#[tokio::test]
async fn a_checkpoint_with_positions_of_another_kind_is_corrupt() {
    let stream = Stream::new(false);
    stream.put("a", &[1]);
    let world = world(&stream, "1").await;
    let positions = Positions::from([("source-0".to_owned(), [("a".to_owned(), Position::Offset(1))].into())]);
    world.context.checkpoints.write(1, positions, Vec::new()).await.unwrap();
    let error = world.start().task.await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Corrupt, "offset 1 is of no shard"));
}
