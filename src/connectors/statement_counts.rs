//! What the reads and writes of one statement leave out or turn into NULL, for what the session tells its client. DataFusion carries
//! it along as an extension of the statement's configuration.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::bad_rows::{BadRows, LeftOut};
use super::metrics::ConnectorMetrics;
use super::sink_constraints::LengthEnforcer;

/// Counters of the tables of one statement.
#[derive(Debug)]
pub struct StatementCounts {
    bad_rows: Arc<BadRows>,
    left_out: Arc<LeftOut>,
    length_enforcer: LengthEnforcer,
    tables: Mutex<Vec<Counted>>,
}

#[derive(Debug)]
struct Counted {
    table: String,
    is_written: bool,
    metrics: Arc<ConnectorMetrics>,
}

impl StatementCounts {
    /// For one execution. `leaves_out`: rows that cannot be written are left out (`error-handling.mode` = log).
    pub fn new(leaves_out: bool, length_enforcer: LengthEnforcer) -> Arc<Self> {
        let left_out = Arc::new(LeftOut::default());
        let bad_rows = match leaves_out {
            true => BadRows::leave_out("an INSERT", Arc::clone(&left_out)),
            false => BadRows::fail(),
        };
        Arc::new(Self { bad_rows, left_out, length_enforcer, tables: Mutex::default() })
    }

    /// What becomes of rows that cannot be written.
    pub fn bad_rows(&self) -> &Arc<BadRows> {
        &self.bad_rows
    }

    /// What happens to values of another length than declared.
    pub fn length_enforcer(&self) -> LengthEnforcer {
        self.length_enforcer
    }

    /// Rows that could not be written.
    pub fn left_out(&self) -> &LeftOut {
        &self.left_out
    }

    /// Counters for one table that is read, or `is_written`.
    pub fn of_table(&self, table: &str, is_written: bool) -> Arc<ConnectorMetrics> {
        let mut tables = self.tables.lock();
        if let Some(known) = tables.iter().find(|known| known.table == table && known.is_written == is_written) {
            return Arc::clone(&known.metrics);
        }
        let metrics = Arc::default();
        tables.push(Counted { table: table.to_owned(), is_written, metrics: Arc::clone(&metrics) });
        metrics
    }

    /// What to tell of it, with a detail each; the counters begin anew.
    pub fn take_told(&self) -> Vec<(String, Option<String>)> {
        let mut told = Vec::new();
        let rows = |count: u64| if count == 1 { "1 row".to_owned() } else { format!("{count} rows") };
        for Counted { table, is_written, metrics } in self.tables.lock().iter() {
            let take = |counter: &AtomicU64| counter.swap(0, Ordering::Relaxed);
            let (skipped, null_keys, nulled) =
                (take(&metrics.skipped), take(&metrics.null_keys), take(&metrics.nulled));
            if null_keys > 0 {
                let text = format!("{} left out of table \"{table}\": the key is NULL or empty", rows(null_keys));
                told.push((text, None));
            }
            let unreadable = skipped.saturating_sub(null_keys);
            if unreadable > 0 && !is_written {
                let records = if unreadable == 1 { "1 record".to_owned() } else { format!("{unreadable} records") };
                told.push((format!("{records} of table \"{table}\" left out: unreadable or empty"), None));
            }
            let unmatched = take(&metrics.unmatched);
            if unmatched > 0 {
                let changes = if unmatched == 1 { "1 change".to_owned() } else { format!("{unmatched} changes") };
                let detail = "A delete or an update that has only the key of its old row finds none: write the whole row (REPLICA \
                              IDENTITY FULL in Debezium's Postgres connector), or keep a key's last row with connector \
                              upsert-kafka. Reading from later than the earliest record misses rows, too.";
                let text = format!("{changes} of table \"{table}\" without effect: no row is equal to the old one");
                told.push((text, Some(detail.to_owned())));
            }
            if nulled > 0 {
                let values = if nulled == 1 { "1 value".to_owned() } else { format!("{nulled} values") };
                let detail = "Option ignore-parse-errors of the table's format says so.".to_owned();
                told.push((format!("{values} of table \"{table}\" cannot be read: NULL instead"), Some(detail)));
            }
        }
        let bad = self.left_out.take_rows();
        if bad > 0 {
            let detail = self.left_out.last().map(|last| format!("The last one: {last}."));
            told.push((format!("{} left out that cannot be written", rows(bad)), detail));
        }
        told
    }
}
