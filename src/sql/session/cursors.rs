//! The cursors of a session (DECLARE … CURSOR): which there are, and which end when. Their rows are in `rows`. Knows no session.

mod rows;

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;

use crate::connectors::StatementCounts;
use crate::error::{Error, Result, SqlState};
use crate::sql::activity::OpenCursor;
pub use rows::Motion;
use rows::{CursorRows, Slot};

/// What DECLARE says of a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CursorKind {
    /// SCROLL: its rows are kept, so that it can go back.
    pub scrolls: bool,
    /// WITH HOLD: it outlives its transaction.
    pub holds: bool,
}

/// A cursor as it is declared.
pub(super) struct Declared {
    pub kind: CursorKind,
    /// The statement, as others may see it.
    pub text: Arc<str>,
    pub created_ms: i64,
    /// A block is open.
    pub is_of_block: bool,
    /// Bytes of rows that it may keep, if it scrolls.
    pub kept_bytes_max: usize,
    pub schema: SchemaRef,
    pub stream: SendableRecordBatchStream,
    /// What its tables leave out, which each FETCH tells.
    pub counts: Option<Arc<StatementCounts>>,
}

struct Cursor {
    schema: SchemaRef,
    slot: Slot,
    text: Arc<str>,
    created_ms: i64,
    scrolls: bool,
    holds: bool,
    /// Declared by the block that is open: its rollback ends the cursor.
    is_of_block: bool,
    counts: Option<Arc<StatementCounts>>,
    /// Counts the cursors of the session.
    number: u64,
}

/// The cursors of a session.
#[derive(Default)]
pub(super) struct Cursors {
    named: BTreeMap<String, Cursor>,
    declared: u64,
}

impl Cursors {
    /// How many were declared so far, for a savepoint.
    pub(super) fn declared(&self) -> u64 {
        self.declared
    }

    /// Whether a name is free.
    ///
    /// # Errors
    /// It is taken (42P03).
    pub(super) fn check_free(&self, name: &str) -> Result<()> {
        if self.named.contains_key(name) {
            return Err(Error::invalid(format!("cursor \"{name}\" already exists")).code(SqlState::DuplicateCursor));
        }
        Ok(())
    }

    /// Keeps a running query under a name that is free.
    pub(super) fn add(&mut self, name: String, declared: Declared) {
        self.declared += 1;
        let Declared { kind, text, created_ms, is_of_block, kept_bytes_max, schema, stream, counts } = declared;
        let slot = CursorRows::slot(stream, kind.scrolls.then_some(kept_bytes_max));
        let CursorKind { scrolls, holds } = kind;
        let number = self.declared;
        let cursor = Cursor { schema, slot, text, created_ms, scrolls, holds, is_of_block, counts, number };
        self.named.insert(name, cursor);
    }

    /// As others see them.
    pub(super) fn shown(&self) -> Vec<OpenCursor> {
        let shown = self.named.iter().map(|(name, cursor)| OpenCursor {
            name: name.clone(),
            text: Arc::clone(&cursor.text),
            holds: cursor.holds,
            scrolls: cursor.scrolls,
            created_ms: cursor.created_ms,
        });
        shown.collect()
    }

    /// The columns of a cursor, if there is one of that name.
    pub(super) fn schema(&self, name: &str) -> Option<SchemaRef> {
        self.named.get(name).map(|cursor| cursor.schema.clone())
    }

    /// What the tables of a cursor leave out.
    pub(super) fn counts(&self, name: &str) -> Option<Arc<StatementCounts>> {
        self.named.get(name).and_then(|cursor| cursor.counts.clone())
    }

    /// The rows of a motion, as they come. The cursor stands behind those that were taken, also if the stream is dropped before its end.
    ///
    /// # Errors
    /// There is no such cursor (34000), somebody else reads it (55006), it goes forward only (55000).
    pub(super) fn moved(&self, name: &str, motion: Motion) -> Result<(SchemaRef, SendableRecordBatchStream)> {
        let cursor = self.named.get(name).ok_or_else(|| no_cursor(name))?;
        let rows = cursor.slot.lock().take().ok_or_else(|| {
            Error::invalid(format!("cursor \"{name}\" is being read by another portal")).code(SqlState::ObjectInUse)
        })?;
        Ok((cursor.schema.clone(), rows.moved(motion, &cursor.slot)?))
    }

    /// Closes a cursor.
    ///
    /// # Errors
    /// There is none of that name (34000).
    pub(super) fn close(&mut self, name: &str) -> Result<()> {
        self.named.remove(name).map(drop).ok_or_else(|| no_cursor(name))
    }

    /// Closes the cursors that end now; gives their number.
    fn end(&mut self, ends: impl Fn(&Cursor) -> bool) -> usize {
        let before = self.named.len();
        self.named.retain(|_, cursor| !ends(cursor));
        before - self.named.len()
    }

    /// Closes all; gives their number.
    pub(super) fn close_all(&mut self) -> usize {
        self.end(|_| true)
    }

    /// The block was committed: what holds stays. Gives the number of the others.
    pub(super) fn commit(&mut self) -> usize {
        let ended = self.end(|cursor| !cursor.holds);
        self.named.values_mut().for_each(|cursor| cursor.is_of_block = false);
        ended
    }

    /// The block was rolled back: what held before it stays. Gives the number of the others.
    pub(super) fn roll_back(&mut self) -> usize {
        self.end(|cursor| !cursor.holds || cursor.is_of_block)
    }

    /// ROLLBACK TO: those declared since end; gives their number.
    pub(super) fn roll_back_to(&mut self, declared: u64) -> usize {
        self.end(|cursor| cursor.number > declared)
    }
}

fn no_cursor(name: &str) -> Error {
    Error::not_found(format!("cursor \"{name}\" does not exist")).code(SqlState::InvalidCursorName)
}
