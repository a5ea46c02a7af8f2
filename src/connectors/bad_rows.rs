//! Rows that cannot be evaluated or written (`error-handling.mode`): they end what runs, or are left out, counted and named.
//! Which errors are of a row says their kind alone ([`ErrorKind::Row`]); nothing else is ever left out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use datafusion::arrow::record_batch::RecordBatch;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use parking_lot::Mutex;

use crate::error::{Error, ErrorKind, Result};

/// A new interval for the log begins when the last one is this old.
const TOLD_INTERVAL: Duration = Duration::from_secs(10);
/// Rows that the log names in one interval; of others it gives the number.
const TOLD_MAX: u64 = 20;
/// Characters of a row in a message, at most.
const SHOWN_CHARS_MAX: usize = 200;
/// Characters of one value in a message, at most.
const VALUE_CHARS_MAX: usize = 60;

/// What was left out; outlives the restarts of a job.
#[derive(Debug, Default)]
pub struct LeftOut {
    rows: AtomicU64,
    last: Mutex<Option<String>>,
}

impl LeftOut {
    /// How many rows.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// The same, and begins anew.
    pub fn take_rows(&self) -> u64 {
        self.rows.swap(0, Ordering::Relaxed)
    }

    /// The last one, and why.
    pub fn last(&self) -> Option<String> {
        self.last.lock().clone()
    }
}

/// What becomes of rows that do not fit.
#[derive(Debug)]
pub struct BadRows {
    leaves_out: bool,
    owner: String,
    left_out: Arc<LeftOut>,
    told: Mutex<Told>,
}

#[derive(Debug)]
struct Told {
    begun: Instant,
    named: u64,
    unnamed: u64,
}

impl BadRows {
    /// The first one is an error.
    pub fn fail() -> Arc<Self> {
        Self::new(false, String::new(), Arc::default())
    }

    /// They are counted in `left_out` and named in the log, as rows of `owner`.
    pub fn leave_out(owner: impl Into<String>, left_out: Arc<LeftOut>) -> Arc<Self> {
        Self::new(true, owner.into(), left_out)
    }

    fn new(leaves_out: bool, owner: String, left_out: Arc<LeftOut>) -> Arc<Self> {
        let told = Mutex::new(Told { begun: Instant::now(), named: 0, unnamed: 0 });
        Arc::new(Self { leaves_out, owner, left_out, told })
    }

    /// Whether rows can be left out.
    pub fn leaves_out(&self) -> bool {
        self.leaves_out
    }

    /// One row does not fit, for this reason. Returns if it is left out.
    ///
    /// # Errors
    /// The reason, if it is none of a row, or rows are not left out.
    pub fn take(&self, reason: Error) -> Result<()> {
        if !self.leaves_out || reason.kind() != ErrorKind::Row {
            return Err(reason);
        }
        self.left_out.rows.fetch_add(1, Ordering::Relaxed);
        *self.left_out.last.lock() = Some(reason.to_string());
        let mut told = self.told.lock();
        if told.begun.elapsed() >= TOLD_INTERVAL {
            if told.unnamed > 0 {
                tracing::warn!(owner = self.owner, rows = told.unnamed, "more rows were left out");
            }
            *told = Told { begun: Instant::now(), named: 0, unnamed: 0 };
        }
        if told.named < TOLD_MAX {
            told.named += 1;
            tracing::warn!(owner = self.owner, error = %reason, "a row was left out");
        } else {
            told.unnamed += 1;
        }
        Ok(())
    }
}

impl Drop for BadRows {
    fn drop(&mut self) {
        let unnamed = self.told.get_mut().unnamed;
        if unnamed > 0 {
            tracing::warn!(owner = self.owner, rows = unnamed, "more rows were left out");
        }
    }
}

/// A row for messages: `(7, 'abc', NULL)`, shortened. Columns whose names mean something are shown with them.
pub fn row_text(rows: &RecordBatch, row: usize) -> String {
    let options = FormatOptions::default().with_null("NULL");
    let values = rows.columns().iter().zip(rows.schema_ref().fields()).map(|(column, field)| {
        let value = match ArrayFormatter::try_new(column.as_ref(), &options) {
            Ok(formatter) => formatter.value(row).try_to_string().unwrap_or_else(|_| "?".to_owned()),
            Err(_) => "?".to_owned(),
        };
        let value = shortened(&value, VALUE_CHARS_MAX);
        // Inside a dataflow columns have numbers only.
        if field.name().starts_with('#') { value } else { format!("{} = {value}", field.name()) }
    });
    let text = values.collect::<Vec<_>>().join(", ");
    format!("({})", shortened(&text, SHOWN_CHARS_MAX))
}

/// The beginning of a text, with an ellipsis if there is more.
pub fn shortened(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
