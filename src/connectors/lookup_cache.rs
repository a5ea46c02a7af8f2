//! A cache before lookups (`'lookup.cache' = 'PARTIAL'`): the rows of the keys that were asked for last, also of those that have none.
//! Knows no connector. A request that must see every write is not answered from it and empties it: what it holds is older.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use datafusion::arrow::array::UInt32Array;
use datafusion::arrow::compute::{interleave_record_batch, sort_to_indices, take, take_record_batch};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::arrow::row::{RowConverter, Rows, SortField};
use hashlink::LruCache;
use parking_lot::Mutex;

use super::lookup::{Lookup, LookupRequest, LookupResponse};
use super::metrics::ConnectorMetrics;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::options::OptionKind::{Duration as Time, Whole};
use crate::options::{Named, OptionEntry, OptionReader, option_entries};

/// Rows that nobody needs any more may be held, besides as many as are needed, before the others are copied together.
const SLACK_ROWS: usize = 8192;

option_entries! {
    /// Of a cache before lookups.
    pub OPTIONS:
    CACHE = OptionEntry::choice("lookup.cache", &["NONE", "PARTIAL"],
        "Whether the rows of the keys that were asked for last are kept for the next lookup.")
        .refusing(&["FULL"]).or("NONE");
    ROWS = OptionEntry::new("lookup.partial-cache.max-rows", Whole(1, i64::MAX),
        "Rows that the cache keeps for each call of a function; a key without rows counts as one.").or("100000");
    AFTER_WRITE = OptionEntry::new("lookup.partial-cache.expire-after-write", Time,
        "How long the cache keeps rows after they were read.");
    AFTER_ACCESS = OptionEntry::new("lookup.partial-cache.expire-after-access", Time,
        "How long the cache keeps rows that nobody asks for.");
    MISSING_KEY = OptionEntry::flag("lookup.partial-cache.cache-missing-key", "true",
        "Whether the cache also keeps that a key has no row.").also(&["lookup.partial-cache.caching-missing-key"]);
    OLD_ROWS = OptionEntry::new("lookup.cache.max-rows", Whole(1, i64::MAX),
        "Flink's older name of `lookup.partial-cache.max-rows`; turns the cache on by itself.");
    OLD_TTL = OptionEntry::new("lookup.cache.ttl", Time,
        "Flink's older name of `lookup.partial-cache.expire-after-write`; turns the cache on by itself.");
}

/// The options of a cache, by Flink's names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheOptions {
    /// Rows kept for each call of a function; a key without rows counts as one.
    max_rows: usize,
    expire_after_write: Option<Duration>,
    expire_after_access: Option<Duration>,
    cache_missing_key: bool,
}

impl CacheOptions {
    /// Takes the cache's options; `None` without a cache.
    ///
    /// # Errors
    /// A value that is not known, or an option of the cache without the cache.
    pub fn take(options: &mut OptionReader) -> Result<Option<Self>> {
        let kind = options.take_non_blank(&CACHE).map(|kind| Named::from(&CACHE).word(&kind)).transpose()?;
        let (old_rows, old_ttl) = (options.take_whole(&OLD_ROWS)?, options.take_duration(&OLD_TTL)?);
        // Flink's older names turn the cache on by themselves.
        let is_old = old_rows.is_some() || old_ttl.is_some();
        let (rows, missing_key) = (Named::from(&ROWS), Named::from(&MISSING_KEY));
        let max_rows: Option<usize> = options.take_whole(rows.clone())?.or(old_rows);
        let expire_after_write = options.take_duration(&AFTER_WRITE)?.or(old_ttl);
        let expire_after_access = options.take_duration(&AFTER_ACCESS)?;
        let cache_missing_key = options.take_alias(&MISSING_KEY)?.map(|text| missing_key.flag(&text)).transpose()?;
        let is_on = kind.map_or(is_old, |kind| kind == "PARTIAL");
        let is_configured = max_rows.is_some()
            || expire_after_write.is_some()
            || expire_after_access.is_some()
            || cache_missing_key.is_some();
        if !is_on && is_configured {
            return Err(Error::invalid("options \"lookup.partial-cache.…\" need 'lookup.cache' = 'PARTIAL'"));
        }
        if !is_on {
            return Ok(None);
        }
        Ok(Some(Self {
            max_rows: max_rows.map_or_else(|| rows.whole(rows.default_value()?), Ok)?,
            expire_after_write,
            expire_after_access,
            cache_missing_key: cache_missing_key.map_or_else(|| missing_key.flag(missing_key.default_value()?), Ok)?,
        }))
    }

    fn is_expired(&self, entry: &Entry, now_ms: i64) -> bool {
        let is_over = |since_ms: i64, limit: Option<Duration>| {
            limit.is_some_and(|limit| {
                u128::from(now_ms.saturating_sub(since_ms).max(0).unsigned_abs()) >= limit.as_millis()
            })
        };
        is_over(entry.written_ms, self.expire_after_write) || is_over(entry.accessed_ms, self.expire_after_access)
    }
}

/// Lookups that go through a cache.
pub struct CachedLookup {
    inner: Arc<dyn Lookup>,
    options: CacheOptions,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Grows when the cache is emptied: what was fetched before does not enter it after.
    generation: u64,
    caches: HashMap<Shape, Cache>,
}

/// Requests that ask for the same columns by the same key share rows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Shape {
    key_columns: Vec<usize>,
    projection: Vec<usize>,
}

/// The rows of one key.
#[derive(Debug, Clone)]
struct Entry {
    chunk: u64,
    rows: Range<usize>,
    written_ms: i64,
    accessed_ms: i64,
}

impl Entry {
    fn weight(&self) -> usize {
        self.rows.len().max(1)
    }
}

/// Rows that came together, and how many of them an entry needs.
struct Chunk {
    rows: Arc<RecordBatch>,
    needed: usize,
}

struct Cache {
    schema: Option<SchemaRef>,
    entries: LruCache<Box<[u8]>, Entry>,
    chunks: HashMap<u64, Chunk>,
    next_chunk: u64,
    weight: usize,
    needed_rows: usize,
    held_rows: usize,
}

/// Where the rows of a key are that the cache has.
struct Hit {
    chunk: u64,
    batch: Option<Arc<RecordBatch>>,
    rows: Range<usize>,
}

impl CachedLookup {
    /// Puts a cache before `inner`.
    pub fn new(inner: Arc<dyn Lookup>, options: CacheOptions, clock: Arc<dyn Clock>) -> Self {
        Self { inner, options, clock, state: Mutex::default() }
    }
}

#[async_trait]
impl Lookup for CachedLookup {
    async fn key(&self) -> Result<Vec<usize>> {
        self.inner.key().await
    }

    async fn lookup(&self, request: LookupRequest, metrics: &ConnectorMetrics) -> Result<LookupResponse> {
        if request.consistent {
            {
                let mut state = self.state.lock();
                state.generation += 1;
                state.caches.clear();
            }
            return self.inner.lookup(request, metrics).await;
        }
        let keys = encoded(&request.keys)?;
        let shape = Shape { key_columns: request.key_columns.clone(), projection: request.projection.clone() };
        let (generation, schema, hits, missing) = {
            let mut state = self.state.lock();
            let generation = state.generation;
            let cache = state.caches.entry(shape.clone()).or_default();
            let now_ms = self.clock.now_ms();
            let hits: Vec<Option<Hit>> =
                keys.iter().map(|key| cache.find(key.as_ref(), &self.options, now_ms)).collect();
            let missing: Vec<u32> = (0..).zip(&hits).filter(|(_, hit)| hit.is_none()).map(|(index, _)| index).collect();
            (generation, cache.schema.clone(), hits, missing)
        };
        let fetched = if missing.is_empty() {
            None
        } else {
            let asked = take_record_batch(&request.keys, &UInt32Array::from(missing.clone()))?;
            let response = self.inner.lookup(LookupRequest { keys: asked, ..request }, metrics).await?;
            Some(Fetched::of(response, missing.len())?)
        };
        if let Some(fetched) = &fetched {
            let mut state = self.state.lock();
            if state.generation == generation {
                let cache = state.caches.entry(shape).or_default();
                let rows_of = missing.iter().map(|index| keys.row(*index as usize)).zip(&fetched.rows_of_key);
                let rows_of = rows_of.map(|(key, rows)| (Box::from(key.as_ref()), rows.clone()));
                cache.insert(&fetched.batch, rows_of, &self.options, self.clock.now_ms())?;
            }
        }
        answer(&hits, fetched.as_ref(), schema)
    }

    fn resource(&self) -> String {
        self.inner.resource()
    }
}

fn encoded(keys: &RecordBatch) -> Result<Rows> {
    let fields = keys.schema().fields().iter().map(|field| SortField::new(field.data_type().clone())).collect();
    Ok(RowConverter::new(fields)?.convert_columns(keys.columns())?)
}

/// An answer whose rows stand in the order of the keys.
struct Fetched {
    batch: Arc<RecordBatch>,
    /// For each key asked for.
    rows_of_key: Vec<Range<usize>>,
}

impl Fetched {
    fn of(response: LookupResponse, keys: usize) -> Result<Self> {
        let LookupResponse { mut rows, mut key_index } = response;
        if !key_index.values().is_sorted() {
            let order = sort_to_indices(&key_index, None, None)?;
            rows = take_record_batch(&rows, &order)?;
            key_index = UInt32Array::from(take(&key_index, &order, None)?.to_data());
        }
        let mut end = 0;
        let rows_of_key = (0..keys)
            .map(|key| {
                let begin = end;
                while key_index.values().get(end).is_some_and(|index| *index as usize == key) {
                    end += 1;
                }
                begin..end
            })
            .collect();
        Ok(Self { batch: Arc::new(rows), rows_of_key })
    }
}

/// Puts what the cache had and what was fetched together, in the order of the keys.
fn answer(hits: &[Option<Hit>], fetched: Option<&Fetched>, schema: Option<SchemaRef>) -> Result<LookupResponse> {
    let mut sources: Vec<&RecordBatch> = fetched.iter().map(|fetched| fetched.batch.as_ref()).collect();
    let mut source_of_chunk: HashMap<u64, usize> = HashMap::new();
    let (mut places, mut key_index) = (Vec::new(), Vec::new());
    let mut fetched_rows = fetched.map(|fetched| fetched.rows_of_key.iter()).unwrap_or_default();
    for (key, hit) in (0_u32..).zip(hits) {
        let (source, rows) = match hit {
            Some(Hit { batch: None, .. }) => continue,
            Some(Hit { chunk, batch: Some(batch), rows }) => {
                let source = *source_of_chunk.entry(*chunk).or_insert_with(|| {
                    sources.push(batch);
                    sources.len() - 1
                });
                (source, rows)
            }
            None => match fetched_rows.next() {
                Some(rows) => (0, rows),
                None => return Err(Error::internal("a lookup was answered for too few keys")),
            },
        };
        places.extend(rows.clone().map(|row| (source, row)));
        key_index.extend(rows.clone().map(|_| key));
    }
    let schema = fetched.map(|fetched| fetched.batch.schema()).or(schema);
    let rows = match (places.is_empty(), schema) {
        (false, _) => interleave_record_batch(&sources, &places)?,
        (true, Some(schema)) => RecordBatch::new_empty(schema),
        (true, None) => return Err(Error::internal("a lookup was answered from an empty cache")),
    };
    Ok(LookupResponse { rows, key_index: key_index.into() })
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            schema: None,
            // Bounded by rows, which it does not know.
            entries: LruCache::new_unbounded(),
            chunks: HashMap::new(),
            next_chunk: 0,
            weight: 0,
            needed_rows: 0,
            held_rows: 0,
        }
    }
}

impl Cache {
    fn find(&mut self, key: &[u8], options: &CacheOptions, now_ms: i64) -> Option<Hit> {
        let entry = self.entries.get_mut(key)?;
        if options.is_expired(entry, now_ms) {
            let entry = self.entries.remove(key)?;
            self.release(&entry);
            return None;
        }
        entry.accessed_ms = now_ms;
        let batch = self.chunks.get(&entry.chunk).map(|chunk| Arc::clone(&chunk.rows));
        Some(Hit { chunk: entry.chunk, batch: batch.filter(|_| !entry.rows.is_empty()), rows: entry.rows.clone() })
    }

    fn insert(
        &mut self,
        batch: &Arc<RecordBatch>,
        rows_of: impl Iterator<Item = (Box<[u8]>, Range<usize>)>,
        options: &CacheOptions,
        now_ms: i64,
    ) -> Result<()> {
        self.schema = Some(batch.schema());
        let chunk = self.next_chunk;
        self.next_chunk += 1;
        self.chunks.insert(chunk, Chunk { rows: Arc::clone(batch), needed: 0 });
        self.held_rows += batch.num_rows();
        for (key, rows) in rows_of {
            if rows.is_empty() && !options.cache_missing_key {
                continue;
            }
            let entry = Entry { chunk, rows, written_ms: now_ms, accessed_ms: now_ms };
            self.weight += entry.weight();
            self.needed_rows += entry.rows.len();
            if let Some(chunk) = self.chunks.get_mut(&chunk) {
                chunk.needed += entry.rows.len();
            }
            if let Some(old) = self.entries.insert(key, entry) {
                self.release(&old);
            }
        }
        while self.weight > options.max_rows
            && let Some((_, oldest)) = self.entries.remove_lru()
        {
            self.release(&oldest);
        }
        self.drop_if_unneeded(chunk);
        if self.held_rows > 2 * self.needed_rows + SLACK_ROWS {
            self.pack()?;
        }
        Ok(())
    }

    fn release(&mut self, entry: &Entry) {
        self.weight -= entry.weight();
        self.needed_rows -= entry.rows.len();
        if let Some(chunk) = self.chunks.get_mut(&entry.chunk) {
            chunk.needed -= entry.rows.len();
        }
        self.drop_if_unneeded(entry.chunk);
    }

    fn drop_if_unneeded(&mut self, chunk: u64) {
        if self.chunks.get(&chunk).is_some_and(|chunk| chunk.needed == 0)
            && let Some(chunk) = self.chunks.remove(&chunk)
        {
            self.held_rows -= chunk.rows.num_rows();
        }
    }

    /// Copies the rows that are needed into one chunk.
    fn pack(&mut self) -> Result<()> {
        let numbers: HashMap<u64, usize> =
            self.chunks.keys().enumerate().map(|(place, number)| (*number, place)).collect();
        let batches: Vec<&RecordBatch> = self.chunks.values().map(|chunk| chunk.rows.as_ref()).collect();
        let mut places = Vec::with_capacity(self.needed_rows);
        for (_, entry) in self.entries.iter() {
            if let Some(place) = numbers.get(&entry.chunk) {
                places.extend(entry.rows.clone().map(|row| (*place, row)));
            }
        }
        let packed = if places.is_empty() { None } else { Some(interleave_record_batch(&batches, &places)?) };
        let chunk = self.next_chunk;
        self.next_chunk += 1;
        let mut begin = 0;
        for (_, entry) in self.entries.iter_mut() {
            let end = begin + entry.rows.len();
            (entry.chunk, entry.rows) = (chunk, begin..end);
            begin = end;
        }
        self.chunks.clear();
        self.held_rows = self.needed_rows;
        if let Some(packed) = packed {
            self.chunks.insert(chunk, Chunk { rows: Arc::new(packed), needed: self.needed_rows });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
