use std::collections::{BTreeMap, BTreeSet};

use datafusion::arrow::array::{Array, Int64Array, StringArray};
use datafusion::arrow::datatypes::DataType;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::*;
use crate::clock::ManualClock;
use crate::engine::operators::testing::{cells, delta_text, spill};
use crate::engine::state::encoded::Encoded;
use crate::engine::state::{MemoryBudget, OneRow, RowMap, TimeRows, column};

/// State of each kind, and the plain model of it: the rows of a key as (sub-key or time, value), in order.
trait Subject: KeyedState + Sized {
    fn new() -> Self;
    fn layout(has_time_to_live: bool) -> Layout;
    fn put(&mut self, slot: u32, sub_key: i64, value: &str);
    /// Takes out the first row of a sub-key.
    fn take_out(&mut self, slot: u32, sub_key: i64);
    fn prune(&mut self, slot: u32, before: i64);
    fn rows(&self, slot: u32) -> Vec<(i64, String)>;
    /// What [`Self::put`] does to the model.
    fn put_into(rows: &mut Vec<(i64, String)>, sub_key: i64, value: &str);
    /// Sub-key and value of a stored row, its cells behind key group, mark and key.
    fn stored_row(cells: &[String]) -> (i64, String);
    const TABLE: &'static str;
}

fn texts() -> Codec {
    Codec::new(&[DataType::Utf8]).unwrap()
}

fn numbers() -> Codec {
    Codec::new(&[DataType::Int64]).unwrap()
}

fn encoded(codec: &Codec, column: impl Array + 'static) -> Encoded {
    codec.encode(&[Arc::new(column)]).unwrap().row(0).into()
}

fn text(codec: &Codec, value: &str) -> Encoded {
    encoded(codec, StringArray::from(vec![value]))
}

fn number(codec: &Codec, value: i64) -> Encoded {
    encoded(codec, Int64Array::from(vec![value]))
}

fn text_of(codec: &Codec, row: &[u8]) -> String {
    codec.decode([row]).unwrap()[0].as_string::<i32>().value(0).to_owned()
}

fn key_fields() -> Vec<datafusion::arrow::datatypes::Field> {
    vec![column("k", &DataType::Utf8)]
}

type Row = OneRow<Codec>;
type Map = RowMap<Codec, Codec>;
type Times = TimeRows<Codec>;

impl Subject for Row {
    const TABLE: &'static str = "rows";

    fn new() -> Self {
        OneRow::new(texts())
    }

    fn layout(has_time_to_live: bool) -> Layout {
        let columns = vec![column("v", &DataType::Utf8)];
        Layout::new("a test", key_fields()).with_row("rows", columns, has_time_to_live.then_some(1))
    }

    fn put(&mut self, slot: u32, _sub_key: i64, value: &str) {
        let row = text(self.codec(), value);
        self.set(slot, Some(row));
    }

    fn take_out(&mut self, slot: u32, _sub_key: i64) {
        self.set(slot, None);
    }

    fn prune(&mut self, _slot: u32, _before: i64) {}

    fn rows(&self, slot: u32) -> Vec<(i64, String)> {
        self.get(slot).map(|row| (0, text_of(self.codec(), row))).into_iter().collect()
    }

    fn put_into(rows: &mut Vec<(i64, String)>, _sub_key: i64, value: &str) {
        *rows = vec![(0, value.to_owned())];
    }

    fn stored_row(cells: &[String]) -> (i64, String) {
        (0, cells[0].clone())
    }
}

impl Subject for Map {
    const TABLE: &'static str = "map";

    fn new() -> Self {
        RowMap::new(numbers(), texts())
    }

    fn layout(has_time_to_live: bool) -> Layout {
        let layout = Layout::new("a test", key_fields()).with_store(
            "map",
            &[column("s", &DataType::Int64)],
            &[column("v", &DataType::Utf8)],
        );
        if has_time_to_live { layout.with_row("keys", Vec::new(), Some(0)) } else { layout }
    }

    fn put(&mut self, slot: u32, sub_key: i64, value: &str) {
        let (sub_key, row) = (number(self.sub_key_codec(), sub_key), text(self.row_codec(), value));
        let is_there = self.get(slot, &*sub_key).is_some();
        let changed = self.update(slot, &*sub_key, |old| {
            *old = row.clone();
            true
        });
        assert_eq!(changed.is_some(), is_there);
        if !is_there {
            assert_eq!(self.insert(slot, sub_key, row), None);
        }
    }

    fn take_out(&mut self, slot: u32, sub_key: i64) {
        let sub_key = number(self.sub_key_codec(), sub_key);
        self.remove(slot, &*sub_key);
    }

    fn prune(&mut self, slot: u32, before: i64) {
        let before = number(self.sub_key_codec(), before);
        self.remove_before(slot, &before);
    }

    fn rows(&self, slot: u32) -> Vec<(i64, String)> {
        let sub_key = |key: &[u8]| self.sub_key_codec().decode([key]).unwrap()[0].as_primitive::<Int64Type>().value(0);
        self.iter(slot).map(|(key, row)| (sub_key(key), text_of(self.row_codec(), row))).collect()
    }

    fn put_into(rows: &mut Vec<(i64, String)>, sub_key: i64, value: &str) {
        rows.retain(|(other, _)| *other != sub_key);
        rows.push((sub_key, value.to_owned()));
        rows.sort_by_key(|(sub_key, _)| *sub_key);
    }

    fn stored_row(cells: &[String]) -> (i64, String) {
        (cells[0].parse().unwrap(), cells[1].clone())
    }
}

impl Subject for Times {
    const TABLE: &'static str = "times";

    fn new() -> Self {
        TimeRows::new(texts())
    }

    fn layout(has_time_to_live: bool) -> Layout {
        let sub_key = [column("time", &DataType::Int64), column("sequence", &DataType::UInt64)];
        let layout = Layout::new("a test", key_fields()).with_store("times", &sub_key, &[column("v", &DataType::Utf8)]);
        if has_time_to_live { layout.with_row("keys", Vec::new(), Some(0)) } else { layout }
    }

    fn put(&mut self, slot: u32, sub_key: i64, value: &str) {
        let row = text(self.codec(), value);
        self.insert(slot, sub_key, row);
    }

    fn take_out(&mut self, slot: u32, sub_key: i64) {
        let first = self.range(slot, sub_key, sub_key).next().map(|(place, _)| *place);
        if let Some(place) = first {
            self.remove(slot, place).unwrap();
        }
    }

    fn prune(&mut self, slot: u32, before: i64) {
        TimeRows::prune(self, slot, before);
    }

    fn rows(&self, slot: u32) -> Vec<(i64, String)> {
        let rows: Vec<(i64, String)> =
            self.iter(slot).map(|((time, _), row)| (*time, text_of(self.codec(), row))).collect();
        for (from, to) in [(1, 3), (3, 1), (i64::MIN, 2), (2, i64::MAX)] {
            let expected = rows.iter().filter(|(time, _)| (from..=to).contains(time)).count();
            assert_eq!(self.range(slot, from, to).count(), expected, "{from} to {to}");
        }
        rows
    }

    fn put_into(rows: &mut Vec<(i64, String)>, sub_key: i64, value: &str) {
        rows.push((sub_key, value.to_owned()));
        rows.sort_by_key(|(sub_key, _)| *sub_key);
    }

    fn stored_row(cells: &[String]) -> (i64, String) {
        (cells[0].parse().unwrap(), cells[2].clone())
    }
}

/// One step of a run.
#[derive(Debug, Clone)]
enum Act {
    Put(u8, i64, u8),
    TakeOut(u8, i64),
    Prune(u8, i64),
    /// What is there of these keys is compared.
    Look(u8),
    Snapshot,
    /// A snapshot, and on from what was stored: in parts of so many rows, tables in one order or the other.
    Restart(usize, bool),
    Wait(i64),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let (key, sub_key) = (|| 0..12u8, || 0..40i64);
    let act = prop_oneof![
        24 => (key(), sub_key(), 0..9u8).prop_map(|(key, sub_key, value)| Act::Put(key, sub_key, value)),
        // Many rows of few keys.
        12 => (0..2u8, sub_key(), 0..9u8).prop_map(|(key, sub_key, value)| Act::Put(key, sub_key, value)),
        10 => (key(), sub_key()).prop_map(|(key, sub_key)| Act::TakeOut(key, sub_key)),
        2 => (key(), sub_key()).prop_map(|(key, before)| Act::Prune(key, before)),
        4 => key().prop_map(Act::Look),
        5 => Just(Act::Snapshot),
        1 => (1..20usize, any::<bool>()).prop_map(|(rows, turned)| Act::Restart(rows, turned)),
        2 => (0..60i64).prop_map(Act::Wait),
    ];
    prop::collection::vec(act, 1..250)
}

#[derive(Default)]
struct Key {
    rows: Vec<(i64, String)>,
    touched_ms: i64,
}

struct Run<'a, S> {
    table: KeyedTable<S>,
    stored: Vec<TableDelta>,
    model: BTreeMap<String, Key>,
    /// Rows that changed since the last snapshot.
    changed: BTreeSet<(String, i64)>,
    clock: ManualClock,
    ttl_ms: Option<u64>,
    folder: Option<&'a tempfile::TempDir>,
    spilled: bool,
}

impl<'a, S: Subject> Run<'a, S> {
    fn new(ttl_ms: Option<u64>, folder: Option<&'a tempfile::TempDir>) -> Self {
        let clock = ManualClock::at(1000);
        let table = Self::table(ttl_ms, &clock, folder);
        let (model, changed) = (BTreeMap::new(), BTreeSet::new());
        Self { table, stored: Vec::new(), model, changed, clock, ttl_ms, folder, spilled: false }
    }

    fn table(ttl_ms: Option<u64>, clock: &ManualClock, folder: Option<&tempfile::TempDir>) -> KeyedTable<S> {
        let clock: Arc<dyn Clock> = Arc::new(clock.clone());
        let table = KeyedTable::new(S::layout(ttl_ms.is_some()), S::new(), ttl_ms, clock).unwrap();
        match folder {
            Some(folder) => table.spilling_to(spill(folder)),
            None => table,
        }
    }

    /// Calls `work` with the slot of a key, as an operator does for a row of a batch, and with the key of the model.
    fn change(&mut self, key: u8, makes: bool, work: impl FnOnce(&mut S, u32, &mut Key) -> Option<i64>) {
        let name = format!("key {key}");
        let rows = self.table.codec().encode(&[Arc::new(StringArray::from(vec![name.as_str()]))]).unwrap();
        self.table.prepare(1, &rows).unwrap();
        let now_ms = self.table.now_ms();
        let slot = if makes { Some(self.table.intern(rows.row(0)).0) } else { self.table.find(rows.row(0)) };
        let Some(slot) = slot else { return };
        let model = self.model.entry(name.clone()).or_default();
        if self.table.expires(slot, now_ms) {
            self.table.forget(slot);
            self.changed
                .extend(std::mem::take(&mut model.rows).into_iter().map(|(sub_key, _)| (name.clone(), sub_key)));
        }
        let before = model.rows.clone();
        let changed = work(&mut self.table.state, slot, model);
        let gone = before.into_iter().filter(|row| !model.rows.contains(row)).map(|(sub_key, _)| sub_key);
        self.changed.extend(gone.chain(changed).map(|sub_key| (name.clone(), sub_key)));
        model.touched_ms = now_ms;
        self.table.touch(slot, now_ms);
        self.table.make_room().unwrap();
    }

    fn look(&mut self, key: u8) {
        let name = format!("key {key}");
        let rows = self.table.codec().encode(&[Arc::new(StringArray::from(vec![name.as_str()]))]).unwrap();
        self.table.prepare(1, &rows).unwrap();
        let now_ms = self.table.now_ms();
        let slot = self.table.find(rows.row(0)).filter(|slot| !self.table.expires(*slot, now_ms));
        let found = slot.map_or_else(Vec::new, |slot| self.table.state.rows(slot));
        assert_eq!(found, self.live(&name, now_ms), "{name}");
    }

    fn live(&self, name: &str, now_ms: i64) -> Vec<(i64, String)> {
        let key =
            self.model.get(name).filter(|key| self.ttl_ms.is_none_or(|ttl_ms| now_ms - key.touched_ms < ttl_ms as i64));
        key.map_or_else(Vec::new, |key| key.rows.clone())
    }

    /// Takes a snapshot; what is stored, folded, is the model, and only what changed was written.
    fn snapshot(&mut self) {
        let now_ms = self.table.now_ms();
        let names: Vec<String> = self.model.keys().cloned().collect();
        for name in names {
            let live = self.live(&name, now_ms);
            let key = self.model.get_mut(&name).unwrap();
            let gone = std::mem::replace(&mut key.rows, live.clone()).into_iter().filter(|row| !live.contains(row));
            self.changed.extend(gone.map(|(sub_key, _)| (name.clone(), sub_key)));
        }
        let deltas = self.table.snapshot().unwrap();
        for delta in &deltas {
            let mut seen = BTreeSet::new();
            for row in 0..delta.rows.num_rows() {
                let cells = cells(&delta.rows, row);
                assert!(seen.insert(cells[2..2 + delta.key_columns].to_vec()), "{} has a key twice", delta.table);
                if delta.table == S::TABLE && cells[1] == "false" && S::TABLE != "rows" {
                    let changed = (cells[2].clone(), S::stored_row(&cells[3..]).0);
                    assert!(self.changed.contains(&changed), "{changed:?} was written and had not changed");
                }
            }
        }
        self.changed.clear();
        self.stored.extend(deltas);
        let mut rows: BTreeMap<Vec<String>, (String, (i64, String))> = BTreeMap::new();
        for delta in self.stored.iter().filter(|delta| delta.table == S::TABLE) {
            for row in 0..delta.rows.num_rows() {
                let cells = cells(&delta.rows, row);
                let key = cells[2..2 + delta.key_columns].to_vec();
                match cells[1].as_str() {
                    "true" => rows.remove(&key),
                    _ => rows.insert(key, (cells[2].clone(), S::stored_row(&cells[3..]))),
                };
            }
        }
        let mut stored: Vec<(String, (i64, String))> = rows.into_values().collect();
        let mut expected: Vec<(String, (i64, String))> = Vec::new();
        for (name, key) in &self.model {
            expected.extend(key.rows.iter().map(|row| (name.clone(), row.clone())));
        }
        stored.sort();
        expected.sort();
        assert_eq!(stored, expected);
        self.spilled |= self.table.state_size().spilled_bytes > 0;
    }

    fn restart(&mut self, part_rows: usize, turned: bool) {
        self.snapshot();
        self.table = Self::table(self.ttl_ms, &self.clock, self.folder);
        let mut deltas: Vec<&TableDelta> = self.stored.iter().collect();
        deltas.sort_by_key(|delta| (delta.table == S::TABLE) == turned);
        assert!(self.table.keeps(S::TABLE) && !self.table.keeps("others"));
        for delta in deltas {
            for first in (0..delta.rows.num_rows()).step_by(part_rows) {
                let part = delta.rows.slice(first, part_rows.min(delta.rows.num_rows() - first));
                self.table.restore(&delta.table, &part).unwrap();
            }
        }
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Put(key, sub_key, value) => {
                let value = format!("value {value}");
                self.change(*key, true, |state, slot, model| {
                    state.put(slot, *sub_key, &value);
                    S::put_into(&mut model.rows, *sub_key, &value);
                    Some(*sub_key)
                });
            }
            Act::TakeOut(key, sub_key) => self.change(*key, false, |state, slot, model| {
                state.take_out(slot, *sub_key);
                let place = model.rows.iter().position(|(other, _)| other == sub_key || S::TABLE == "rows");
                place.map(|place| model.rows.remove(place).0)
            }),
            Act::Prune(key, before) => self.change(*key, false, |state, slot, model| {
                state.prune(slot, *before);
                model.rows.retain(|(other, _)| other >= before || S::TABLE == "rows");
                None
            }),
            Act::Look(key) => self.look(*key),
            Act::Snapshot => self.snapshot(),
            Act::Restart(rows, turned) => self.restart(*rows, *turned),
            Act::Wait(ms) => self.clock.set(self.clock.now_ms() + ms),
        }
    }

    /// Everything is there, and when all of it is taken away nothing is counted any more.
    fn end(&mut self) {
        (0..12).for_each(|key| self.look(key));
        for key in 0..12 {
            self.change(key, false, |state, slot, model| {
                state.reset(slot);
                model.rows.clear();
                None
            });
        }
        self.snapshot();
        let (bytes, size) = (self.table.state.bytes(), self.table.state_size());
        assert_eq!((bytes.rows, bytes.values, bytes.changed_values, size.keys), (0, 0, 0, 0));
    }
}

fn compare<S: Subject>(cases: u32) {
    for (ttl_ms, spills) in [(None, false), (None, true), (Some(100), false), (Some(100), true)] {
        let config = Config { cases, failure_persistence: None, ..Config::default() };
        let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]));
        let spilled = std::cell::Cell::new(0);
        let run = |acts: Vec<Act>| {
            let folder = spills.then(|| tempfile::tempdir().unwrap());
            let mut run = Run::<S>::new(ttl_ms, folder.as_ref());
            acts.iter().for_each(|act| run.act(act));
            run.end();
            spilled.set(spilled.get() + u32::from(run.spilled));
            Ok(())
        };
        runner.run(&acts(), run).unwrap();
        assert!(!spills || spilled.get() > cases / 2, "only {} of {cases} runs have spilled", spilled.get());
    }
}

#[test]
fn one_row_of_each_key_is_what_a_map_holds() {
    compare::<Row>(40);
}

#[test]
fn rows_by_sub_key_are_what_a_map_of_maps_holds() {
    compare::<Map>(60);
}

#[test]
fn rows_by_time_are_what_sorted_lists_hold() {
    compare::<Times>(60);
}

/// Puts rows of `texts` into a key's slot.
fn fill_key(table: &mut KeyedTable<Map>, key: &str, rows: std::ops::Range<i64>) -> u32 {
    let keys = table.codec().encode(&[Arc::new(StringArray::from(vec![key]))]).unwrap();
    table.prepare(1, &keys).unwrap();
    let slot = table.intern(keys.row(0)).0;
    for row in rows {
        table.state.put(slot, row, &format!("value {row}"));
    }
    table.touch(slot, 0);
    slot
}

#[test]
fn one_new_row_of_a_large_key_is_all_that_the_next_checkpoint_takes() {
    let mut table = Run::<Map>::table(None, &ManualClock::default(), None);
    let slot = fill_key(&mut table, "a", 0..20_000);
    assert_eq!(table.snapshot().unwrap()[0].rows.num_rows(), 20_000);
    fill_key(&mut table, "a", 20_000..20_001);
    let sub_key = number(table.state.sub_key_codec(), 7);
    table.state.remove(slot, &*sub_key);
    // What came and went since the last snapshot leaves nothing to delete.
    fill_key(&mut table, "a", 30_000..30_001);
    let sub_key = number(table.state.sub_key_codec(), 30_000);
    table.state.remove(slot, &*sub_key);
    let deltas = table.snapshot().unwrap();
    assert_eq!(deltas.iter().map(delta_text).collect::<Vec<_>>(), ["map (key 2)\n- a 7 NULL\n+ a 20000 value 20000"]);
    assert_eq!((table.state.len(slot), table.snapshot().unwrap().len()), (20_000, 0));
}

#[test]
fn state_of_many_times_the_budget_stays_within_it() {
    let (folder, budget) = (tempfile::tempdir().unwrap(), MemoryBudget::new(1 << 20));
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
    let table = KeyedTable::new(Map::layout(false), <Map as Subject>::new(), None, clock).unwrap();
    let mut table = table.spilling_to(Spill::new(folder.path().join("cold"), &budget));
    let mut most = 0;
    for key in 0..3_000 {
        fill_key(&mut table, &format!("key {key}"), 0..20);
        table.make_room().unwrap();
        if key % 75 == 74 {
            table.snapshot().unwrap();
        }
        most = most.max(budget.used());
    }
    let size = table.state_size();
    assert_eq!((size.keys, table.state.rows_in_all()), (3_000, 60_000));
    assert!(size.spilled_bytes > budget.limit(), "{size:?}");
    assert!(most <= 3 * budget.limit() / 2, "{most} bytes");
}

#[test]
fn keys_whose_newest_row_is_over_are_forgotten_on_disk_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = Run::<Times>::new(None, Some(&folder));
    for key in 0..6 {
        let time = i64::from(key) * 10;
        run.act(&Act::Put(key, time, 1));
        run.act(&Act::Put(key, time - 5, 2));
    }
    run.act(&Act::Snapshot);
    run.act(&Act::Snapshot);
    let size = run.table.state_size();
    assert!(size.spilled_bytes > 0 && size.keys == 6, "{size:?}");
    run.table.sweep(20).unwrap();
    let deltas: Vec<String> = run.table.snapshot().unwrap().iter().map(delta_text).collect();
    assert_eq!(deltas.len(), 1);
    let mut gone: Vec<&str> = deltas[0].lines().skip(1).map(|line| &line[..7]).collect();
    gone.sort_unstable();
    assert_eq!(gone, ["- key 0", "- key 0", "- key 1", "- key 1", "- key 2", "- key 2"]);
    assert_eq!((run.table.state_size().keys, run.table.state.rows_in_all()), (3, 6));
}

#[test]
fn a_time_to_live_without_a_place_for_it_is_refused() {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
    assert!(KeyedTable::new(Map::layout(false), <Map as Subject>::new(), Some(1), clock).is_err());
}

#[test]
fn what_waits_for_the_flush_neither_expires_nor_is_stored() {
    let clock = ManualClock::at(0);
    let mut table = Run::<Row>::table(Some(10), &clock, None);
    let keys = table.codec().encode(&[Arc::new(StringArray::from(vec!["a", "b"]))]).unwrap();
    table.prepare(2, &keys).unwrap();
    for row in 0..2 {
        let slot = table.intern(keys.row(row)).0;
        table.state.put(slot, 0, "x");
        table.touch_held(slot, 0);
    }
    clock.set(20);
    assert_eq!((table.pending(), table.expires(0, 20)), (&[0, 1][..], false));
    assert!(table.snapshot().unwrap_err().message().contains("before it was flushed"));
    table.give_out(1);
    assert_eq!((table.pending(), table.expires(0, 20)), (&[1][..], true));
    table.touch_held(0, 20);
    table.give_out(2);
    assert!(table.pending().is_empty());
    let deltas: Vec<String> = table.snapshot().unwrap().iter().map(delta_text).collect();
    assert_eq!(deltas, ["rows (key 1)\n+ a x 20\n- b NULL NULL"]);
}
