//! The supervisor over tables in memory whose parts fail as told.

use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use datafusion::arrow::datatypes::Int64Type;
use tempfile::TempDir;
use tokio::runtime::Handle;

use super::*;
use crate::catalog::{Catalog, Change, DesiredState, JobEntry};
use crate::changelog::ChangeBatch;
use crate::changelog::Changelog;
use crate::clock::SystemClock;
use crate::connectors::*;
use crate::engine::dataflow::{Dataflow, FORMAT_VERSION, Input, JobSettings, Node, NodeKind, SinkNode, SourceNode};
use crate::engine::testing::{declare, row_at};
use crate::error::{Error, Result};
use crate::options::{OptionGroups, OptionReader};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;

const PATIENCE: Duration = Duration::from_secs(30);

/// What a part does instead of its work, once.
enum Fault {
    Panic,
    Fail(Error),
}

impl Fault {
    fn strike(self) -> Result<()> {
        match self {
            Fault::Panic => panic!("told to"),
            Fault::Fail(error) => Err(error),
        }
    }
}

/// A table of the world: rows are the numbers from 0 on.
#[derive(Default)]
struct State {
    /// How many rows there are to read; more may come.
    available: watch::Sender<i64>,
    read_faults: Mutex<VecDeque<Fault>>,
    write_faults: Mutex<VecDeque<Fault>>,
    written: Mutex<Vec<i64>>,
    /// Writers that are open now, and the most there ever were.
    writers: Mutex<(usize, usize)>,
}

/// All tables by name.
#[derive(Default)]
struct World {
    tables: Mutex<BTreeMap<String, Arc<State>>>,
}

impl World {
    fn table(&self, name: &str) -> Arc<State> {
        Arc::clone(self.tables.lock().entry(name.to_owned()).or_default())
    }
}

struct WorldConnector(Arc<World>);

impl Connector for WorldConnector {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn options(&self) -> OptionGroups {
        &[]
    }

    fn open(&self, _options: &mut OptionReader, table: &TableDeclaration) -> Result<Table> {
        let part = Arc::new(Part { name: table.name.clone(), state: self.0.table(&table.name) });
        Ok(Table { source: Some(part.clone()), scan: None, lookup: None, sink: Some(part) })
    }
}

struct Part {
    name: String,
    state: Arc<State>,
}

#[async_trait]
impl Source for Part {
    fn is_bounded(&self) -> bool {
        false
    }

    fn enumerator(&self, _restored: Restored<'_>) -> Result<Box<dyn SplitEnumerator>> {
        let (id, resource) = (format!("{}/0", self.name), format!("memory://{}/0", self.name));
        Ok(Box::new(FixedSplits(vec![Split { id, resource, group: None }])))
    }

    async fn open(&self, request: SplitRequest<'_>) -> Result<Box<dyn SplitReader>> {
        let available = self.state.available.subscribe();
        Ok(Box::new(Reader {
            state: Arc::clone(&self.state),
            available,
            next: row_at(&request.start, &request.split.id),
        }))
    }
}

struct Reader {
    state: Arc<State>,
    available: watch::Receiver<i64>,
    next: i64,
}

#[async_trait]
impl SplitReader for Reader {
    fn position(&self) -> Position {
        Position::Offset(self.next)
    }

    async fn next(&mut self) -> Result<Option<SourceBatch>> {
        let next = self.next;
        if self.available.wait_for(|available| *available > next).await.is_err() {
            return Ok(None);
        }
        if let Some(fault) = self.state.read_faults.lock().pop_front() {
            fault.strike()?;
        }
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![next]));
        self.next += 1;
        Ok(Some(SourceBatch {
            changes: ChangeBatch::inserts(RecordBatch::try_from_iter([("n", numbers)]).unwrap()),
            position: self.position(),
            bytes: 0,
            offsets: crate::connectors::RowOffsets::default(),
        }))
    }
}

#[async_trait]
impl Sink for Part {
    async fn kind(&self) -> Result<SinkKind> {
        Ok(SinkKind::Append)
    }

    async fn open(&self, _context: SinkContext) -> Result<Box<dyn SinkWriter>> {
        let mut writers = self.state.writers.lock();
        writers.0 += 1;
        writers.1 = writers.1.max(writers.0);
        drop(writers);
        Ok(Box::new(Writer { state: Arc::clone(&self.state), sequences: 0, acknowledged: watch::Sender::new(0) }))
    }

    fn resource(&self) -> String {
        format!("memory://{}", self.name)
    }
}

struct Writer {
    state: Arc<State>,
    sequences: u64,
    acknowledged: watch::Sender<u64>,
}

#[async_trait]
impl SinkWriter for Writer {
    async fn write(&mut self, batch: ChangeBatch) -> Result<u64> {
        if let Some(fault) = self.state.write_faults.lock().pop_front() {
            fault.strike()?;
        }
        self.state.written.lock().extend(batch.rows().column(0).as_primitive::<Int64Type>().values());
        self.sequences += 1;
        self.acknowledged.send_replace(self.sequences);
        Ok(self.sequences)
    }

    fn acknowledged(&self) -> watch::Receiver<u64> {
        self.acknowledged.subscribe()
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.state.writers.lock().0 -= 1;
    }
}

// ------------------------------------------------------------------------------------------------------------ the server

/// Jobs over a catalog and a folder; each job `x` copies table `x-in` to `x-out`.
struct Server {
    world: Arc<World>,
    catalog: Catalog,
    jobs: Jobs,
}

impl Server {
    fn start(folder: &Path, world: &Arc<World>) -> Self {
        let catalog = Catalog::open(&folder.join("catalog")).unwrap();
        let clock = Arc::new(SystemClock);
        let defaults = ConnectorDefaults {
            kafka_bootstrap_servers: None,
            kafka_properties: BTreeMap::new(),
            kafka_is_embedded: false,
            dynamodb_endpoint: None,
            aws_region: None,
            aws_credentials: None,
            dynamodb_is_embedded: false,
            places: Arc::new(crate::places::Places::anywhere()),
            clock: clock.clone(),
        };
        let connectors = Registry::new(&defaults).with(Arc::new(WorldConnector(Arc::clone(world))));
        let jobs = Jobs::new(Handle::current(), catalog.clone(), connectors, clock, folder.join("jobs"));
        jobs.reconcile(&[]);
        Self { world: Arc::clone(world), catalog, jobs }
    }

    fn change(&self, changes: &[Change]) {
        self.catalog.commit(changes).unwrap();
        self.jobs.reconcile(&[]);
    }

    fn submit(&self, name: &str) {
        self.change(&[create(name, name)]);
    }

    fn set(&self, name: &str, desired: DesiredState) {
        self.catalog.commit(&[Change::SetJobState { name: name.to_owned(), desired }]).unwrap();
        let resumed: &[String] = if desired == DesiredState::Running { &[name.to_owned()] } else { &[] };
        self.jobs.reconcile(resumed);
    }

    fn offer(&self, job: &str, rows: i64) {
        self.world.table(&format!("{job}-in")).available.send_replace(rows);
    }

    fn input(&self, job: &str) -> Arc<State> {
        self.world.table(&format!("{job}-in"))
    }

    fn output(&self, job: &str) -> Arc<State> {
        self.world.table(&format!("{job}-out"))
    }

    fn status(&self, name: &str) -> Option<JobStatus> {
        self.jobs.status().into_iter().find(|status| status.name == name)
    }

    async fn until_state(&self, name: &str, state: &str) -> JobStatus {
        let what = format!("{name} is {state}");
        until(&what, || self.status(name).filter(|status| status.state == state)).await
    }

    /// Waits until the job has written the rows up to `count` and has had them acknowledged.
    async fn until_written(&self, name: &str, count: i64) {
        let what = format!("{name} has written {count} rows");
        until(&what, || {
            let status = self.status(name)?;
            (status.splits.first()?.acknowledged == Position::Offset(count)).then_some(())
        })
        .await;
        let mut written = self.output(name).written.lock().clone();
        written.sort_unstable();
        written.dedup();
        assert_eq!(written, (0..count).collect::<Vec<_>>());
    }
}

fn create(name: &str, id: &str) -> Change {
    let declared = |part: &str| declare(&format!("{name}-{part}"), "n BIGINT", 0);
    let node = |id: &str, kind: NodeKind, inputs: Vec<Input>| Node {
        id: id.to_owned(),
        kind,
        inputs,
        schema: declared("in").schema().unwrap(),
        side_outputs: Vec::new(),
        changelog: Changelog::Append,
    };
    let dataflow = Dataflow {
        version: FORMAT_VERSION,
        settings: JobSettings::new("UTC", [("execution.checkpointing.interval", "10 ms")]).unwrap(),
        nodes: vec![
            node(
                "source-0",
                NodeKind::Source(SourceNode { table: declared("in"), projection: vec![0], watermark: None }),
                Vec::new(),
            ),
            node(
                "sink-0",
                NodeKind::Sink(SinkNode { table: declared("out"), key: None, deferred: false, columns: None }),
                vec![Input::of(&[0], None)],
            ),
        ],
    };
    let entry = JobEntry {
        name: name.to_owned(),
        id: id.to_owned(),
        statement: "INSERT".to_owned(),
        dataflow: dataflow.to_json().unwrap(),
        desired: DesiredState::Running,
        created_ms: 0,
        skips: Vec::new(),
        access: Default::default(),
        needs: Vec::new(),
    };
    Change::CreateJob { entry: Box::new(entry) }
}

async fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(tokio::time::Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

// ------------------------------------------------------------------------------------------------------------- the tests

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_restarts_its_job_and_the_others_go_on() {
    let (folder, world) = (TempDir::new().unwrap(), Arc::default());
    let server = Server::start(folder.path(), &world);
    server.output("sink").write_faults.lock().push_back(Fault::Panic);
    server.input("source").read_faults.lock().push_back(Fault::Panic);
    for job in ["sink", "source", "calm"] {
        server.submit(job);
        server.offer(job, 5);
    }
    for job in ["sink", "source", "calm"] {
        server.until_written(job, 5).await;
        let status = server.until_state(job, "RUNNING").await;
        if job == "calm" {
            assert_eq!((status.restarts, status.last_error), (0, None));
        } else {
            assert_eq!(status.restarts, 1);
            assert!(status.last_error.unwrap().contains("panicked: told to"));
        }
    }
    server.offer("calm", 9);
    server.until_written("calm", 9).await;
    assert_eq!(server.output("calm").written.lock().len(), 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_waited_out_and_its_error_is_kept() {
    let (folder, world) = (TempDir::new().unwrap(), Arc::default());
    let server = Server::start(folder.path(), &world);
    server.output("a").write_faults.lock().push_back(Fault::Fail(Error::unavailable("nobody answers")));
    server.submit("a");
    server.offer("a", 3);
    let status = server.until_state("a", "RETRYING").await;
    assert!(status.last_error.unwrap().contains("nobody answers"));
    server.until_written("a", 3).await;
    let status = server.until_state("a", "RUNNING").await;
    assert_eq!(status.restarts, 1);
    assert!(status.last_error.unwrap().contains("nobody answers"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_trying_again_cannot_mend_fails_the_job_until_it_is_resumed() {
    let (folder, world) = (TempDir::new().unwrap(), Arc::default());
    let server = Server::start(folder.path(), &world);
    server.input("a").read_faults.lock().push_back(Fault::Fail(Error::invalid("no JSON")));
    for job in ["a", "calm"] {
        server.submit(job);
        server.offer(job, 4);
    }
    let status = server.until_state("a", "FAILED").await;
    assert!(status.last_error.unwrap().contains("source a-in/0: no JSON"));
    server.until_written("calm", 4).await;
    // Other statements leave it failed.
    server.submit("other");
    assert_eq!(server.status("a").unwrap().state, "FAILED");
    server.set("a", DesiredState::Running);
    server.until_written("a", 4).await;
    server.until_state("a", "RUNNING").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_defect_that_stays_sets_the_job_aside() {
    let (folder, world) = (TempDir::new().unwrap(), Arc::default());
    let server = Server::start(folder.path(), &world);
    server.output("a").write_faults.lock().extend((0..lifecycle::DEFECTS_IN_A_ROW).map(|_| Fault::Panic));
    server.submit("a");
    server.offer("a", 1);
    let status = server.until_state("a", "QUARANTINED").await;
    assert_eq!(status.restarts, u64::from(lifecycle::DEFECTS_IN_A_ROW) - 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_job_goes_on_where_it_was_and_a_stopped_and_dropped_one_leaves_nothing() {
    let (folder, world) = (TempDir::new().unwrap(), Arc::default());
    let server = Server::start(folder.path(), &world);
    server.submit("a");
    server.offer("a", 6);
    server.until_written("a", 6).await;
    server.set("a", DesiredState::Paused);
    server.until_state("a", "PAUSED").await;
    server.offer("a", 8);
    assert_eq!(server.output("a").writers.lock().0, 0);
    server.set("a", DesiredState::Running);
    server.until_written("a", 8).await;
    assert_eq!(server.output("a").written.lock().len(), 8, "nothing is written twice");

    server.set("a", DesiredState::Stopped);
    server.until_state("a", "STOPPED").await;
    let checkpoints = folder.path().join("jobs").join("a");
    assert!(checkpoints.exists());
    server.change(&[Change::DropJob { name: "a".to_owned() }]);
    until("the checkpoints are gone", || (!checkpoints.exists()).then_some(())).await;
    assert!(server.status("a").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_dropped_and_made_again_at_once_begins_anew() {
    let (folder, world) = (TempDir::new().unwrap(), Arc::default());
    let server = Server::start(folder.path(), &world);
    server.submit("a");
    server.offer("a", 3);
    server.until_written("a", 3).await;
    server.change(&[Change::DropJob { name: "a".to_owned() }, create("a", "a-again")]);
    until("all rows were written again", || (server.output("a").written.lock().len() == 6).then_some(())).await;
    until("the old checkpoints are gone", || (!folder.path().join("jobs").join("a").exists()).then_some(())).await;
    server.offer("a", 4);
    server.until_written("a", 4).await;
    assert!(folder.path().join("jobs").join("a-again").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_server_goes_on_from_the_checkpoint_and_asks_the_catalog_for_no_table() {
    let (folder, world) = (TempDir::new().unwrap(), Arc::default());
    let server = Server::start(folder.path(), &world);
    server.submit("a");
    server.offer("a", 5);
    server.until_written("a", 5).await;
    server.jobs.shutdown().await;
    assert_eq!(server.status("a").unwrap().state, "STOPPED");
    drop(server);

    let server = Server::start(folder.path(), &world);
    // The tables are declared in the stored dataflow only.
    let snapshot = server.catalog.snapshot();
    assert!(snapshot.databases.values().flat_map(|database| database.schemas.values()).all(|s| s.tables.is_empty()));
    server.offer("a", 7);
    server.until_written("a", 7).await;
    assert_eq!(server.output("a").written.lock().len(), 7, "nothing is written twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn commands_in_quick_succession_end_where_the_last_one_wants() {
    let (folder, world) = (TempDir::new().unwrap(), Arc::default());
    let server = Arc::new(Server::start(folder.path(), &world));
    server.submit("a");
    for round in 1..=40 {
        server.offer("a", round);
        server.set("a", DesiredState::Paused);
        if round % 3 == 0 {
            server.until_state("a", "PAUSED").await;
        }
        server.set("a", DesiredState::Running);
        server.until_written("a", round).await;
    }
    assert_eq!(server.output("a").writers.lock().1, 1, "two tasks of one job ran at once");
    server.set("a", DesiredState::Paused);
    server.until_state("a", "PAUSED").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sessions_that_submit_at_the_same_time_do_not_take_each_others_jobs_away() {
    let (folder, world) = (TempDir::new().unwrap(), Arc::default());
    let server = Arc::new(Server::start(folder.path(), &world));
    let sessions = (0..8).map(|session| {
        let server = Arc::clone(&server);
        tokio::task::spawn_blocking(move || {
            for number in 0..6 {
                let job = format!("s{session}-{number}");
                server.offer(&job, 2);
                server.submit(&job);
            }
        })
    });
    futures::future::try_join_all(sessions.collect::<Vec<_>>()).await.unwrap();
    for status in server.jobs.status() {
        server.until_written(&status.name, 2).await;
        assert_eq!(server.output(&status.name).written.lock().len(), 2, "{} was started twice", status.name);
    }
    assert_eq!(server.jobs.status().len(), 48);
    server.jobs.shutdown().await;
}
