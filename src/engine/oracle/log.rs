//! Logs that a seed makes: a table of several splits whose rows come with kinds, and the rows that are live after all of it.
//! Readers give batches of random sizes and sometimes nothing for a while; the log ends.

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
    splits: Vec<(RecordBatch, Arc<[RowKind]>)>,
    /// The rows after all of it.
    pub live: RecordBatch,
    /// Whether readers wait at the end; splits are then found one by one.
    pub is_endless: bool,
    /// Splits that are there so far.
    found: AtomicUsize,
    seed: u64,
    opened: AtomicU64,
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
        let splits = history.splits.iter().map(|changes| {
            let (kinds, rows): (Vec<RowKind>, Vec<&Cells>) = changes.iter().map(|(kind, row)| (*kind, row)).unzip();
            (batch_of(&schema, &rows), kinds.into())
        });
        let splits: Vec<_> = splits.collect();
        let found = AtomicUsize::new(if is_endless { random.random_range(0..=splits.len()) } else { splits.len() });
        let live: Vec<&Cells> = history.live.iter().map(|(_, row)| row).collect();
        let live = batch_of(&schema, &live);
        Arc::new(Self { declaration, changelog, splits, live, is_endless, found, seed, opened: AtomicU64::new(0) })
    }

    /// The end of each split, by its id.
    pub fn ends(&self) -> Vec<(String, Position)> {
        let end = |(number, (rows, _)): (usize, &(RecordBatch, _))| {
            (format!("{}/{number}", self.declaration.name), i64::try_from(rows.num_rows()).unwrap())
        };
        self.splits.iter().enumerate().map(end).collect()
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

    async fn splits(&self) -> Result<Vec<Split>> {
        let name = &self.0.declaration.name;
        let split = |number: usize| Split {
            id: format!("{name}/{number}"),
            resource: format!("log://{name}/{number}"),
            group: None,
        };
        let found = self.0.found.fetch_add(1, Ordering::Relaxed).min(self.0.splits.len());
        Ok((0..found).map(split).collect())
    }

    async fn open(&self, request: SplitRequest<'_>) -> Result<Box<dyn SplitReader>> {
        let number: usize = request.split.id.rsplit('/').next().unwrap().parse().unwrap();
        let (rows, kinds) = &self.0.splits[number];
        let opened = self.0.opened.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(LogReader {
            rows: rows.project(request.projection).unwrap(),
            kinds: (self.0.changelog != Changelog::Append).then(|| Arc::clone(kinds)),
            next: usize::try_from(request.position.unwrap_or(0)).unwrap(),
            waits: self.0.is_endless && request.end.is_none(),
            end: request.end.map_or(rows.num_rows(), |end| usize::try_from(end).unwrap()),
            random: StdRng::seed_from_u64(self.0.seed ^ (opened << 32)),
        }))
    }
}

struct LogReader {
    rows: RecordBatch,
    kinds: Option<Arc<[RowKind]>>,
    next: usize,
    end: usize,
    /// Whether more could come after the end.
    waits: bool,
    random: StdRng,
}

#[async_trait]
impl SplitReader for LogReader {
    fn position(&self) -> Position {
        i64::try_from(self.next).unwrap()
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
