//! Logs that a seed makes: a table of several splits whose rows come with kinds, and the rows that are live after all of it.
//! Readers give batches of random sizes and sometimes nothing for a while; the log ends. The splits of some logs end one by one and are
//! followed by others, where two may become one; positions are of any kind.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use datafusion::arrow::array::{RecordBatch, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::SchemaRef;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::changelog::{ChangeBatch, Changelog, RowKind};
use crate::connectors::table_provider::ConnectorTable;
use crate::connectors::*;
use crate::engine::testing::declare;
use crate::error::Result;

const COLUMNS: &str = "id INT, user_id INT, kind STRING, amount DECIMAL(10,2), discount DECIMAL(10,2), quantity BIGINT";

/// Cells as text; absent ones are NULL.
type Cells = Vec<Option<String>>;

/// A table and what happens to it.
pub struct Log {
    pub declaration: TableDeclaration,
    pub changelog: Changelog,
    splits: Vec<Piece>,
    positions: Positions,
    /// The rows after all of it.
    pub live: RecordBatch,
    /// Whether readers wait at the end; splits are then found one by one.
    pub is_endless: bool,
    /// Splits that are there so far.
    found: AtomicUsize,
    seed: u64,
    opened: AtomicU64,
}

/// What is in one split.
struct Piece {
    rows: RecordBatch,
    kinds: Arc<[RowKind]>,
    /// Numbers of the splits that it follows.
    parents: Vec<usize>,
    /// Whether nothing will ever be behind its rows.
    ends: bool,
}

/// Of which kind the positions of a log are.
#[derive(Debug, Clone, Copy)]
enum Positions {
    Offsets,
    Numbers,
    Files,
}

/// Rows of a file, where positions are in files.
const FILE_ROWS: usize = 23;

impl Positions {
    fn of(self, row: usize) -> Position {
        match self {
            Positions::Offsets => Position::Offset(i64::try_from(row).unwrap()),
            Positions::Numbers => {
                Position::Sequence(SequenceNumber::new(&format!("{}{row:020}", "7".repeat(20))).unwrap())
            }
            Positions::Files => {
                Position::in_file(&format!("part-{:03}", row / FILE_ROWS), u64::try_from(row % FILE_ROWS).unwrap())
            }
        }
    }

    fn row(self, position: &Position) -> usize {
        match position {
            Position::Offset(offset) => usize::try_from(*offset).unwrap(),
            Position::Sequence(number) => number.as_str()[20..].parse().unwrap(),
            Position::File { name, place } => {
                let file: usize = name.strip_prefix("part-").unwrap().parse().unwrap();
                file * FILE_ROWS + usize::try_from(*place).unwrap()
            }
        }
    }
}

impl Log {
    /// About `rows` changes of table `name`.
    pub fn generate(name: &str, changelog: Changelog, rows: usize, is_endless: bool, seed: u64) -> Arc<Self> {
        let mut random = StdRng::seed_from_u64(seed);
        // Changes in full need no key; those by key do.
        let keys = match changelog {
            Changelog::Append => 0,
            Changelog::Upsert => 1,
            Changelog::Retract => usize::from(random.random_bool(0.5)),
        };
        let declaration = declare(name, COLUMNS, keys);
        let mut history = History::new(random.random_range(1..=4));
        for _ in 0..rows {
            match changelog {
                Changelog::Append => history.append(&mut random),
                Changelog::Upsert => history.upsert(&mut random),
                Changelog::Retract => history.retract(&mut random),
            }
        }
        if history.live.is_empty() {
            history.insert(rows, RowKind::Insert, &mut random);
        }
        let schema = declaration.schema().unwrap();
        let has_ends = random.random_bool(0.5);
        let pieces = if has_ends { pieces(&history.splits, &mut random) } else { whole(&history.splits) };
        let is_last = |number: usize| !pieces.iter().any(|(_, parents)| parents.contains(&number));
        let splits = pieces.iter().enumerate().map(|(number, (changes, parents))| {
            let (kinds, rows): (Vec<RowKind>, Vec<&Cells>) = changes.iter().map(|(kind, row)| (*kind, row)).unzip();
            let ends = has_ends && (!is_endless || !is_last(number));
            Piece { rows: batch_of(&schema, &rows), kinds: kinds.into(), parents: parents.clone(), ends }
        });
        let splits: Vec<_> = splits.collect();
        let positions = [Positions::Offsets, Positions::Numbers, Positions::Files][random.random_range(0..3)];
        let found = AtomicUsize::new(if is_endless { random.random_range(0..=splits.len()) } else { splits.len() });
        let live: Vec<&Cells> = history.live.iter().map(|(_, row)| row).collect();
        let live = batch_of(&schema, &live);
        let opened = AtomicU64::new(0);
        Arc::new(Self { declaration, changelog, splits, positions, live, is_endless, found, seed, opened })
    }

    /// How far each split is read that does not end by itself, by its id.
    pub fn ends(&self) -> Vec<(String, Position)> {
        let end = |(number, piece): (usize, &Piece)| {
            (format!("{}/{number}", self.declaration.name), self.positions.of(piece.rows.num_rows()))
        };
        self.splits.iter().enumerate().filter(|(_, piece)| !piece.ends).map(end).collect()
    }

    pub fn table(self: &Arc<Self>) -> Table {
        Table { source: Some(Arc::new(LogSource(Arc::clone(self)))), ..Table::default() }
    }

    pub fn provider(self: &Arc<Self>) -> Arc<ConnectorTable> {
        Arc::new(ConnectorTable::new(Arc::new(self.declaration.clone()), self.table()).unwrap())
    }
}

fn batch_of(schema: &SchemaRef, rows: &[&Cells]) -> RecordBatch {
    let columns = schema.fields().iter().enumerate().map(|(index, field)| {
        let texts: StringArray = rows.iter().map(|row| row[index].as_deref()).collect();
        cast(&texts, field.data_type()).unwrap()
    });
    RecordBatch::try_new(Arc::clone(schema), columns.collect()).unwrap()
}

/// The changes of a split, and the numbers of those that it follows.
type Cut = (Vec<(RowKind, Cells)>, Vec<usize>);

fn whole(splits: &[Vec<(RowKind, Cells)>]) -> Vec<Cut> {
    splits.iter().map(|changes| (changes.clone(), Vec::new())).collect()
}

/// Cuts splits into several that follow each other; the last ones of two may be one.
fn pieces(splits: &[Vec<(RowKind, Cells)>], random: &mut StdRng) -> Vec<Cut> {
    let mut pieces: Vec<Cut> = Vec::new();
    let mut tails = Vec::new();
    for changes in splits {
        let mut rest = changes.as_slice();
        let mut parent = None;
        for _ in 0..random.random_range(0..=3) {
            let (head, tail) = rest.split_at(random.random_range(0..=rest.len()));
            pieces.push((head.to_vec(), parent.into_iter().collect()));
            (rest, parent) = (tail, Some(pieces.len() - 1));
        }
        tails.push((rest.to_vec(), parent));
    }
    if tails.len() > 1 && random.random_bool(0.5) {
        let (one, other) = (tails.remove(0), tails.remove(0));
        let parents = one.1.into_iter().chain(other.1).collect();
        pieces.push(([one.0, other.0].concat(), parents));
    }
    pieces.extend(tails.into_iter().map(|(changes, parent)| (changes, parent.into_iter().collect())));
    pieces
}

/// What has happened so far.
struct History {
    splits: Vec<Vec<(RowKind, Cells)>>,
    /// Live rows by id.
    live: Vec<(usize, Cells)>,
    next_id: usize,
}

impl History {
    fn new(splits: usize) -> Self {
        Self { splits: vec![Vec::new(); splits], live: Vec::new(), next_id: 0 }
    }

    /// All changes of an id are in one split, as those of a key are in one partition.
    fn push(&mut self, id: usize, kind: RowKind, row: Cells) {
        let split = id % self.splits.len();
        self.splits[split].push((kind, row));
    }

    fn insert(&mut self, id: usize, kind: RowKind, random: &mut StdRng) {
        let row = row_of(id, random);
        self.push(id, kind, row.clone());
        self.live.push((id, row));
    }

    fn append(&mut self, random: &mut StdRng) {
        self.next_id += 1;
        self.insert(self.next_id, RowKind::Insert, random);
    }

    fn upsert(&mut self, random: &mut StdRng) {
        let id = random.random_range(0..40);
        let place = self.live.iter().position(|(known, _)| *known == id);
        if random.random_bool(0.25) {
            // Also of a key that is not there. Only the key of a delete counts.
            let mut row: Cells = vec![None; COLUMNS.split(", ").count()];
            row[0] = Some(id.to_string());
            self.push(id, RowKind::Delete, row);
            place.map(|place| self.live.remove(place));
            return;
        }
        place.map(|place| self.live.remove(place));
        let kind = if random.random() { RowKind::Insert } else { RowKind::UpdateAfter };
        self.insert(id, kind, random);
    }

    fn retract(&mut self, random: &mut StdRng) {
        if self.live.is_empty() || random.random_bool(0.5) {
            self.append(random);
            return;
        }
        let place = random.random_range(0..self.live.len());
        let (id, old) = self.live.remove(place);
        if random.random_bool(0.5) {
            self.push(id, RowKind::UpdateBefore, old);
            self.insert(id, RowKind::UpdateAfter, random);
        } else {
            self.push(id, RowKind::Delete, old);
        }
    }
}

fn row_of(id: usize, random: &mut StdRng) -> Cells {
    let amount = |random: &mut StdRng| {
        let cents: i32 = random.random_range(-2000..9999);
        format!("{}{}.{:02}", if cents < 0 { "-" } else { "" }, cents.abs() / 100, cents.abs() % 100)
    };
    let mut perhaps = |chance: f64, cell: String| Some(cell).filter(|_| random.random_bool(chance));
    let id = perhaps(1.0, id.to_string());
    let user = random.random_range(0..6).to_string();
    let kind = ["a", "b", "c"][random.random_range(0..3)].to_owned();
    let (price, discount) = (amount(random), amount(random));
    let quantity = random.random_range(0..5).to_string();
    let mut perhaps = |chance: f64, cell: String| Some(cell).filter(|_| random.random_bool(chance));
    vec![
        id,
        perhaps(0.95, user),
        perhaps(0.95, kind),
        perhaps(0.95, price),
        perhaps(0.6, discount),
        perhaps(0.9, quantity),
    ]
}

struct LogSource(Arc<Log>);

#[async_trait]
impl Source for LogSource {
    fn is_bounded(&self) -> bool {
        !self.0.is_endless
    }

    fn discovery_interval(&self) -> Option<Duration> {
        self.0.is_endless.then_some(Duration::from_millis(7))
    }

    fn changelog(&self) -> Changelog {
        self.0.changelog
    }

    fn enumerator(&self, restored: Restored<'_>) -> Result<Box<dyn SplitEnumerator>> {
        let over = restored.state.map(|state| serde_json::from_value(state.clone()).unwrap()).unwrap_or_default();
        Ok(Box::new(LogSplits { log: Arc::clone(&self.0), over }))
    }

    async fn open(&self, request: SplitRequest<'_>) -> Result<Box<dyn SplitReader>> {
        let number: usize = request.split.id.rsplit('/').next().unwrap().parse().unwrap();
        let Piece { rows, kinds, ends, .. } = &self.0.splits[number];
        let opened = self.0.opened.fetch_add(1, Ordering::Relaxed);
        let row = |position: &Position| self.0.positions.row(position);
        Ok(Box::new(LogReader {
            rows: rows.project(request.projection).unwrap(),
            kinds: (self.0.changelog != Changelog::Append).then(|| Arc::clone(kinds)),
            positions: self.0.positions,
            next: match &request.start {
                Start::At(position) => row(position),
                Start::AsDeclared | Start::Beginning => 0,
            },
            waits: self.0.is_endless && request.end.is_none() && !ends,
            is_over: request.end.is_none() && *ends,
            end: request.end.as_ref().map_or(rows.num_rows(), row),
            random: StdRng::seed_from_u64(self.0.seed ^ (opened << 32)),
        }))
    }
}

struct LogSplits {
    log: Arc<Log>,
    /// Ids of those that have ended.
    over: BTreeSet<String>,
}

#[async_trait]
impl SplitEnumerator for LogSplits {
    async fn discover(&mut self) -> Result<Discovery> {
        let name = &self.log.declaration.name;
        let id = |number: &usize| format!("{name}/{number}");
        let split = |number: usize| FoundSplit {
            split: Split { id: id(&number), resource: format!("log://{name}/{number}"), group: None },
            parents: self.log.splits[number].parents.iter().map(id).collect(),
        };
        let found = self.log.found.fetch_add(1, Ordering::Relaxed).min(self.log.splits.len());
        Ok(Discovery { splits: (0..found).map(split).collect(), awaited: Vec::new() })
    }

    fn is_over(&self, split: &str) -> bool {
        self.over.contains(split)
    }

    fn end(&mut self, split: &Split) -> Result<()> {
        assert!(self.over.insert(split.id.clone()), "{} has ended twice", split.id);
        Ok(())
    }

    fn state(&self) -> Option<serde_json::Value> {
        (!self.over.is_empty()).then(|| serde_json::to_value(&self.over).unwrap())
    }
}

struct LogReader {
    rows: RecordBatch,
    kinds: Option<Arc<[RowKind]>>,
    positions: Positions,
    next: usize,
    end: usize,
    /// Whether more could come after the end.
    waits: bool,
    /// Whether nothing ever will.
    is_over: bool,
    random: StdRng,
}

#[async_trait]
impl SplitReader for LogReader {
    fn position(&self) -> Position {
        self.positions.of(self.next)
    }

    fn is_over(&self) -> bool {
        self.is_over
    }

    async fn next(&mut self) -> Result<Option<SourceBatch>> {
        match self.random.random_range(0..4) {
            0 => tokio::task::yield_now().await,
            1 => {}
            _ => tokio::time::sleep(Duration::from_millis(self.random.random_range(1..6))).await,
        }
        if self.next >= self.end {
            if self.waits {
                std::future::pending::<()>().await;
            }
            return Ok(None);
        }
        let length = self.random.random_range(0..=20).min(self.end - self.next);
        let rows = self.rows.slice(self.next, length);
        let changes = match &self.kinds {
            Some(kinds) => ChangeBatch::changes(rows, kinds[self.next..self.next + length].into()),
            None => ChangeBatch::inserts(rows),
        };
        self.next += length;
        Ok(Some(SourceBatch { changes, position: self.position(), bytes: 0, offsets: RowOffsets::default() }))
    }
}
