//! A task with an operator that has two inputs, timers by both clocks and a side output, beside one that holds its results back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::*;
use crate::changelog::ChangeBatch;
use crate::clock::ManualClock;
use crate::connectors::{BadRows, Position, RowOffsets, SourceBatch, Split, SplitReader};
use crate::engine::exchange::{self, Entry, Inputs, Message};
use crate::engine::metrics::JobMetrics;
use crate::engine::operators::{Emitted, Operator, TimerClock};
use crate::engine::progress::{ReadBehind, ReadBehindRegistry};
use crate::engine::state::MemoryBudget;
use crate::engine::watermark::{EventTime, Watermark};
use crate::error::Result;

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]))
}

fn rows(values: &[i64]) -> ChangeBatch {
    let column: ArrayRef = Arc::new(Int64Array::from(values.to_vec()));
    ChangeBatch::inserts(RecordBatch::try_new(schema(), vec![column]).unwrap())
}

fn values(batch: &ChangeBatch) -> Vec<i64> {
    batch.rows().column(0).as_primitive::<Int64Type>().values().to_vec()
}

/// Keeps times until event time has come to them, and gives them out then. Rows of input 1 are times of the machine's clock. A time
/// that is past when it comes is late, and goes to the side output.
#[derive(Default)]
struct Alarms {
    reached: Option<i64>,
    event: Vec<i64>,
    processing: Vec<i64>,
}

impl Alarms {
    fn of(&mut self, clock: TimerClock) -> &mut Vec<i64> {
        match clock {
            TimerClock::EventTime => &mut self.event,
            TimerClock::ProcessingTime => &mut self.processing,
        }
    }
}

#[async_trait]
impl Operator for Alarms {
    fn schema(&self) -> SchemaRef {
        schema()
    }

    async fn process(&mut self, input: usize, batch: ChangeBatch) -> Result<Emitted> {
        let mut late = Vec::new();
        for time in values(&batch) {
            match input {
                0 if self.reached.is_some_and(|reached| time <= reached) => late.push(time),
                0 => self.event.push(time),
                _ => self.processing.push(time),
            }
        }
        Ok(Emitted { rows: rows(&[]), side: vec![(0, rows(&late))], rest: None })
    }

    fn watermark(&mut self, time: i64) -> Result<Emitted> {
        self.reached = Some(time);
        Ok(Emitted::nothing(&schema()))
    }

    fn next_timer(&self, clock: TimerClock) -> Option<i64> {
        let times = match clock {
            TimerClock::EventTime => &self.event,
            TimerClock::ProcessingTime => &self.processing,
        };
        times.iter().min().copied()
    }

    fn timer(&mut self, clock: TimerClock, time: i64) -> Result<Emitted> {
        self.of(clock).retain(|kept| *kept != time);
        Ok(rows(&[time]).into())
    }
}

/// Gives everything out at the next flush, in parts of one row.
#[derive(Default)]
struct Later(Vec<i64>);

#[async_trait]
impl Operator for Later {
    fn schema(&self) -> SchemaRef {
        schema()
    }

    async fn process(&mut self, _input: usize, batch: ChangeBatch) -> Result<Emitted> {
        self.0.extend(values(&batch));
        Ok(Emitted::nothing(&schema()))
    }

    fn holds_back(&self) -> bool {
        true
    }

    fn flush(&mut self) -> Result<Option<ChangeBatch>> {
        Ok((!self.0.is_empty()).then(|| rows(&[self.0.remove(0)])))
    }
}

/// A task between channels, as its job would run it.
struct Running {
    /// The channels into it: two into input 0, one into input 1.
    into: Vec<mpsc::Sender<Message>>,
    /// What it gives: alarms by way of [`Later`], then those that came late.
    given: mpsc::Receiver<Message>,
    late: mpsc::Receiver<Message>,
    commands: mpsc::Sender<Command>,
    reports: mpsc::Receiver<Report>,
    metrics: Arc<JobMetrics>,
    clock: ManualClock,
    task: JoinHandle<Result<()>>,
}

fn start() -> Running {
    started(false)
}

/// With `reads` a source, without channels, into the operator's second input: the splits that the task is given.
fn started(reads: bool) -> Running {
    let metrics =
        Arc::new(JobMetrics::new(["alarms-0", "later-0", "source-0"].map(|id| (id.to_owned(), String::new())).into()));
    let (to_given, given) = exchange::channel();
    let (to_late, late) = exchange::channel();
    let out = |sender| Arc::from([exchange::Output::new(Vec::new(), vec![sender])]);
    let node = |id: &str, work: Work, outputs| TaskNode {
        id: id.to_owned(),
        metrics: Arc::clone(metrics.node(id).unwrap()),
        work,
        outputs,
        event_time: EventTime::default(),
        held_watermark: None,
    };
    let to_later = TaskOutput { locals: vec![Entry { place: 1, input: 0 }], exchanges: Arc::default() };
    let to_side = TaskOutput { locals: Vec::new(), exchanges: out(to_late) };
    let given_out = TaskOutput { locals: Vec::new(), exchanges: out(to_given) };
    let mut all = vec![
        node("alarms-0", Work::Operator(Box::<Alarms>::default()), vec![to_later, to_side]),
        node("later-0", Work::Operator(Box::<Later>::default()), vec![given_out]),
    ];
    if reads {
        let to_alarms = TaskOutput { locals: vec![Entry { place: 0, input: 1 }], exchanges: Arc::default() };
        all.push(node("source-0", Work::Source(None), vec![to_alarms]));
    }
    let (mut inputs, mut into) = (Inputs::default(), Vec::new());
    let channels: &[usize] = if reads { &[] } else { &[0, 0, 1] };
    for input in channels.iter().copied() {
        let (sender, receiver) = exchange::channel();
        inputs.add(Entry { place: 0, input }, receiver);
        into.push(sender);
    }
    let (commands, commands_seen) = mpsc::channel(8);
    let (reports, reports_seen) = mpsc::channel(8);
    let clock = ManualClock::at(1000);
    let parts = TaskParts {
        job: "alarms".to_owned(),
        nodes: Nodes { all, task: 0, bad_rows: BadRows::fail() },
        inputs,
        reads,
        hold_back_max: None,
        feeds_state: false,
        read_behind: ReadBehind::new(Arc::<ReadBehindRegistry>::default(), "alarms", Vec::new()),
        budget: MemoryBudget::default(),
        ack_tracker: None,
        metrics: Arc::clone(&metrics),
        activity: Arc::<AtomicU64>::default(),
        ended: Arc::default(),
        commands: commands_seen,
        reports,
        clock: Arc::new(clock.clone()),
    };
    let task = tokio::spawn(run(parts));
    Running { into, given, late, commands, reports: reports_seen, metrics, clock, task }
}

impl Running {
    async fn send(&self, channel: usize, message: Message) {
        self.into[channel].send(message).await.unwrap();
    }
}

/// The next message as text.
async fn next(receiver: &mut mpsc::Receiver<Message>) -> String {
    let message = tokio::time::timeout(Duration::from_secs(20), receiver.recv()).await.expect("a message");
    match message.expect("the task runs") {
        Message::Rows(batch) => format!("{:?}", values(&batch)),
        Message::Watermark(Watermark::END) => "end of time".to_owned(),
        Message::Watermark(Watermark::At(time)) => format!("at {time}"),
        Message::Watermark(Watermark::Idle) => "idle".to_owned(),
        Message::Barrier(epoch) => format!("barrier {epoch}"),
        Message::End => "end".to_owned(),
    }
}

#[tokio::test]
async fn a_watermark_waits_for_all_upstreams_fires_what_is_due_and_follows_the_results_that_were_held_back() {
    let mut task = start();
    task.send(0, Message::Rows(rows(&[30, 10, 20]))).await;
    task.send(0, Message::Watermark(Watermark::At(25))).await;
    task.send(2, Message::Watermark(Watermark::Idle)).await;
    // The second channel has said nothing so far.
    task.send(1, Message::Watermark(Watermark::At(22))).await;
    for expected in ["[10]", "[20]", "at 22"] {
        assert_eq!(next(&mut task.given).await, expected);
    }
    assert_eq!(next(&mut task.late).await, "at 22", "a side output is told, too");
    let shown: Vec<_> = task.metrics.nodes.iter().map(|node| node.watermark_ms()).collect();
    assert_eq!(shown, [Some(22), Some(22), None]);
    task.send(1, Message::Rows(rows(&[22, 40]))).await;
    assert_eq!(next(&mut task.late).await, "[22]");
    // Barriers are aligned as ever, and what is behind them waits.
    for channel in 0..3 {
        task.send(channel, Message::Barrier(1)).await;
    }
    task.send(1, Message::Watermark(Watermark::END)).await;
    task.send(0, Message::End).await;
    task.commands.send(Command::Barrier(1)).await.unwrap();
    for receiver in [&mut task.given, &mut task.late] {
        assert_eq!(next(receiver).await, "barrier 1");
    }
    assert!(matches!(task.reports.recv().await, Some(Report::Barrier(report)) if report.epoch == 1));
    for channel in 1..3 {
        task.send(channel, Message::End).await;
    }
    for expected in ["[30]", "[40]", "end of time", "end"] {
        assert_eq!(next(&mut task.given).await, expected);
    }
    assert!(matches!(task.reports.recv().await, Some(Report::Ended)));
    task.commands.send(Command::End).await.unwrap();
    task.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn timers_of_the_machines_clock_fire_without_rows() {
    let mut task = start();
    task.send(2, Message::Rows(rows(&[1040, 900]))).await;
    assert_eq!(next(&mut task.given).await, "[900]", "it is due already");
    task.clock.set(1040);
    assert_eq!(next(&mut task.given).await, "[1040]");
}

/// A split that always has rows: a time that is due at once, and then times that are far off.
struct Endless(i64);

#[async_trait]
impl SplitReader for Endless {
    fn position(&self) -> Position {
        Position::Offset(self.0)
    }

    async fn next(&mut self) -> Result<Option<SourceBatch>> {
        let time = if self.0 == 0 { 900 } else { 1 << 40 };
        self.0 += 1;
        let (changes, position) = (rows(&[time]), self.position());
        Ok(Some(SourceBatch { changes, position, bytes: 8, offsets: RowOffsets::default() }))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn timers_of_the_machines_clock_fire_also_while_there_are_always_rows() {
    let mut task = started(true);
    let split = Split { id: "endless".to_owned(), resource: "endless".to_owned(), group: None };
    task.commands.send(Command::Read { node: 2, split, reader: Box::new(Endless(0)) }).await.unwrap();
    let later = Arc::clone(task.metrics.node("later-0").unwrap());
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while later.rows_in.load(Ordering::Relaxed) == 0 {
        assert!(tokio::time::Instant::now() < deadline, "the timer does not fire");
        tokio::task::yield_now().await;
    }
    task.commands.send(Command::Barrier(1)).await.unwrap();
    assert_eq!(next(&mut task.given).await, "[900]");
    task.task.abort();
}
