use std::collections::{BTreeMap, HashSet};

use datafusion::arrow::array::{Array, AsArray, Int64Array, StringArray};
use datafusion::arrow::datatypes::Int64Type;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use super::*;
use crate::clock::ManualClock;
use crate::options::OptionValue;

/// A table of texts by number, which notes the keys it is asked for.
#[derive(Default)]
struct Numbers {
    rows: Mutex<BTreeMap<i64, Vec<String>>>,
    asked: Mutex<Vec<i64>>,
}

fn keys_of(request: &LookupRequest) -> Vec<i64> {
    request.keys.column(0).as_primitive::<Int64Type>().values().to_vec()
}

fn found(mut rows: Vec<(u32, String)>, shuffled: bool) -> LookupResponse {
    if shuffled {
        rows.shuffle(&mut StdRng::seed_from_u64(7));
    }
    let texts: StringArray = rows.iter().map(|(_, text)| Some(text.as_str())).collect();
    let batch = RecordBatch::try_from_iter([("text", Arc::new(texts) as Arc<dyn Array>)]).unwrap();
    LookupResponse { rows: batch, key_index: rows.into_iter().map(|(key, _)| Some(key)).collect() }
}

#[async_trait]
impl Lookup for Numbers {
    async fn key(&self) -> Result<Vec<usize>> {
        Ok(vec![0])
    }

    async fn lookup(&self, request: LookupRequest, _metrics: &ConnectorMetrics) -> Result<LookupResponse> {
        let keys = keys_of(&request);
        self.asked.lock().extend(&keys);
        let rows = self.rows.lock();
        let of_key = |(index, key): (u32, &i64)| {
            rows.get(key).into_iter().flatten().map(move |text| (index, text.clone())).collect::<Vec<_>>()
        };
        Ok(found((0..).zip(&keys).flat_map(of_key).collect(), true))
    }

    fn resource(&self) -> String {
        "numbers".to_owned()
    }
}

fn request(keys: &[i64], consistent: bool) -> LookupRequest {
    let keys = Arc::new(Int64Array::from(keys.to_vec())) as Arc<dyn Array>;
    LookupRequest {
        key_columns: vec![0],
        keys: RecordBatch::try_from_iter([("number", keys)]).unwrap(),
        projection: vec![1],
        consistent,
    }
}

struct Fixture {
    table: Arc<Numbers>,
    cached: CachedLookup,
    clock: ManualClock,
}

impl Fixture {
    fn new(given: &[(&str, &str)]) -> Self {
        let clock = ManualClock::at(1_000);
        let table = Arc::new(Numbers::default());
        let options = options(given).unwrap().unwrap();
        let cached = CachedLookup::new(table.clone(), options, Arc::new(clock.clone()));
        Self { table, cached, clock }
    }

    fn put(&self, key: i64, texts: &[&str]) {
        self.table.rows.lock().insert(key, texts.iter().map(|text| (*text).to_owned()).collect());
    }

    /// The texts of each key, sorted.
    async fn ask(&self, keys: &[i64], consistent: bool) -> Vec<Vec<String>> {
        let response = self.cached.lookup(request(keys, consistent), &ConnectorMetrics::default()).await.unwrap();
        let mut texts = vec![Vec::new(); keys.len()];
        let column = response.rows.column(0).as_string::<i32>();
        assert_eq!(column.len(), response.key_index.len());
        for (row, key) in response.key_index.values().iter().enumerate() {
            texts[*key as usize].push(column.value(row).to_owned());
        }
        texts.iter_mut().for_each(|texts| texts.sort());
        texts
    }

    fn asked(&self) -> Vec<i64> {
        std::mem::take(&mut *self.table.asked.lock())
    }
}

fn options(given: &[(&str, &str)]) -> Result<Option<CacheOptions>> {
    let plain = |value: &str| OptionValue::Plain(value.to_owned());
    let given = given.iter().map(|(name, value)| ((*name).to_owned(), plain(value))).collect();
    let mut reader = OptionReader::new(&given, &|_| Err(Error::not_found("no secrets here")))?;
    let taken = CacheOptions::take(&mut reader)?;
    reader.finish()?;
    Ok(taken)
}

const PARTIAL: (&str, &str) = ("lookup.cache", "PARTIAL");

#[tokio::test]
async fn only_keys_that_are_not_there_are_asked_for_keys_without_rows_too() {
    let fixture = Fixture::new(&[PARTIAL]);
    fixture.put(1, &["a", "b"]);
    fixture.put(2, &["c"]);
    assert_eq!(fixture.ask(&[9], false).await, [Vec::<String>::new()]);
    assert_eq!(fixture.ask(&[1, 9], false).await, [vec!["a", "b"], vec![]]);
    assert_eq!(fixture.ask(&[2, 9, 1], false).await, [vec!["c"], vec![], vec!["a", "b"]]);
    assert_eq!(fixture.ask(&[9], false).await, [Vec::<String>::new()]);
    assert_eq!(fixture.asked(), [9, 1, 2]);
    let forgets = Fixture::new(&[PARTIAL, ("lookup.partial-cache.cache-missing-key", "false")]);
    forgets.ask(&[9], false).await;
    forgets.put(9, &["x"]);
    assert_eq!(forgets.ask(&[9], false).await, [["x"]]);
}

#[tokio::test]
async fn a_consistent_read_sees_what_was_written_and_empties_the_cache() {
    let fixture = Fixture::new(&[PARTIAL]);
    fixture.put(1, &["old"]);
    fixture.ask(&[1], false).await;
    fixture.put(1, &["new"]);
    assert_eq!(fixture.ask(&[1], false).await, [["old"]]);
    assert_eq!(fixture.ask(&[1], true).await, [["new"]]);
    assert_eq!(fixture.ask(&[1], false).await, [["new"]]);
}

#[tokio::test]
async fn rows_expire_after_their_time() {
    let write = Fixture::new(&[PARTIAL, ("lookup.partial-cache.expire-after-write", "10 s")]);
    let access = Fixture::new(&[PARTIAL, ("lookup.partial-cache.expire-after-access", "10 s")]);
    let old_name = Fixture::new(&[("lookup.cache.ttl", "10 s")]);
    for fixture in [&write, &access, &old_name] {
        for now in [1_000, 7_000, 10_999, 12_000] {
            fixture.clock.set(now);
            fixture.ask(&[1], false).await;
        }
    }
    assert_eq!((write.asked().len(), access.asked().len(), old_name.asked().len()), (2, 1, 2));
    access.clock.set(22_000);
    access.ask(&[1], false).await;
    assert_eq!(access.asked().len(), 1);
}

#[tokio::test]
async fn what_was_not_asked_for_longest_goes_first() {
    let fixture = Fixture::new(&[PARTIAL, ("lookup.partial-cache.max-rows", "3")]);
    fixture.put(1, &["a", "b"]);
    fixture.ask(&[1, 2], false).await;
    fixture.ask(&[1], false).await;
    fixture.ask(&[3], false).await;
    fixture.asked();
    fixture.ask(&[1, 3], false).await;
    assert_eq!(fixture.asked(), Vec::<i64>::new());
    fixture.ask(&[2], false).await;
    assert_eq!(fixture.asked(), [2]);
}

#[tokio::test]
async fn answers_are_those_of_the_table_and_the_bound_holds() {
    let mut random = StdRng::seed_from_u64(3);
    let fixture = Fixture::new(&[PARTIAL, ("lookup.partial-cache.max-rows", "4000")]);
    for key in 0..6000 {
        let texts: Vec<String> = (0..random.random_range(0..5)).map(|number| format!("{key}-{number}")).collect();
        fixture.put(key, &texts.iter().map(String::as_str).collect::<Vec<_>>());
    }
    for _ in 0..200 {
        let span = random.random_range(1..6000);
        let keys: HashSet<i64> = (0..random.random_range(1..300)).map(|_| random.random_range(0..span)).collect();
        let keys: Vec<i64> = keys.into_iter().collect();
        let expected: Vec<Vec<String>> = keys.iter().map(|key| fixture.table.rows.lock()[key].clone()).collect();
        assert_eq!(fixture.ask(&keys, false).await, expected);
        let state = fixture.cached.state.lock();
        let cache = state.caches.values().next().unwrap();
        assert!(cache.weight <= 4000 && cache.held_rows <= 2 * cache.needed_rows + SLACK_ROWS);
        let chunk_rows: usize = cache.chunks.values().map(|chunk| chunk.rows.num_rows()).sum();
        let needed: usize = cache.entries.iter().map(|(_, entry)| entry.rows.len()).sum();
        assert_eq!((chunk_rows, needed), (cache.held_rows, cache.needed_rows));
    }
}

#[test]
fn options_that_do_not_fit_are_errors() {
    assert_eq!(options(&[]).unwrap(), None);
    assert_eq!(options(&[("lookup.cache", "none")]).unwrap(), None);
    for (given, state) in [
        (vec![("lookup.cache", "FULL")], "0A000"),
        (vec![("lookup.cache", "SOME")], "22023"),
        (vec![("lookup.partial-cache.max-rows", "10")], "22023"),
        (vec![PARTIAL, ("lookup.partial-cache.max-rows", "0")], "22023"),
        (vec![PARTIAL, ("lookup.partial-cache.cache-missing-key", "maybe")], "22023"),
        (vec![PARTIAL, ("lookup.partial-cache.expire-after-write", "soon")], "22023"),
    ] {
        assert_eq!(options(&given).unwrap_err().sqlstate().code(), state, "{given:?}");
    }
}
