//! The cursors of a session (DECLARE … CURSOR): which there are, and when they end. Their rows are in `rows`.

mod rows;

use std::collections::BTreeMap;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;

use super::Session;
use super::held::HELD_BYTES_MAX;
use crate::error::{Error, Result, SqlState};
pub use rows::Motion;
use rows::{CursorRows, Slot};

/// A cursor with its running query: operators, a task, a channel.
const CURSOR_BYTES: usize = 16 << 10;

/// What DECLARE says of a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CursorKind {
    /// SCROLL: its rows are kept, so that it can go back.
    pub scrolls: bool,
    /// WITH HOLD: it outlives its transaction.
    pub holds: bool,
}

struct Cursor {
    schema: SchemaRef,
    slot: Slot,
    holds: bool,
    /// Declared by the block that is open: its rollback ends the cursor.
    is_of_block: bool,
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
}

impl Session {
    /// Whether a cursor may be declared.
    ///
    /// # Errors
    /// The name is taken (42P03); outside of a block without HOLD (25P01).
    pub fn check_new_cursor(&self, name: &str, kind: CursorKind) -> Result<()> {
        if !kind.holds {
            self.require_block("DECLARE CURSOR")?;
        }
        if self.cursors.named.contains_key(name) {
            return Err(Error::invalid(format!("cursor \"{name}\" already exists")).code(SqlState::DuplicateCursor));
        }
        Ok(())
    }

    /// Keeps a running query as a cursor.
    ///
    /// # Errors
    /// As [`Self::check_new_cursor`]; the session holds too much (53400).
    pub fn add_cursor(
        &mut self,
        name: String,
        kind: CursorKind,
        schema: SchemaRef,
        stream: SendableRecordBatchStream,
    ) -> Result<()> {
        self.check_new_cursor(&name, kind)?;
        self.hold_bytes(CURSOR_BYTES)?;
        self.cursors.declared += 1;
        let cursor = Cursor {
            schema,
            slot: CursorRows::slot(stream, kind.scrolls.then_some(HELD_BYTES_MAX)),
            holds: kind.holds,
            is_of_block: self.is_in_block(),
            number: self.cursors.declared,
        };
        self.cursors.named.insert(name, cursor);
        Ok(())
    }

    /// The columns of a cursor, if there is one of that name.
    pub fn cursor_schema(&self, name: &str) -> Option<SchemaRef> {
        self.cursors.named.get(name).map(|cursor| cursor.schema.clone())
    }

    /// The rows of a motion, as they come. The cursor stands behind those that were taken, also if the stream is dropped before its end.
    ///
    /// # Errors
    /// There is no such cursor (34000), somebody else reads it (55006), it goes forward only (55000).
    pub fn move_cursor(&mut self, name: &str, motion: Motion) -> Result<(SchemaRef, SendableRecordBatchStream)> {
        let cursor = self.cursors.named.get(name).ok_or_else(|| no_cursor(name))?;
        let rows = cursor.slot.lock().take().ok_or_else(|| {
            Error::invalid(format!("cursor \"{name}\" is being read by another portal")).code(SqlState::ObjectInUse)
        })?;
        Ok((cursor.schema.clone(), rows.moved(motion, &cursor.slot)?))
    }

    /// Closes a cursor.
    ///
    /// # Errors
    /// There is none of that name (34000).
    pub fn close_cursor(&mut self, name: &str) -> Result<()> {
        self.cursors.named.remove(name).ok_or_else(|| no_cursor(name))?;
        self.release_bytes(CURSOR_BYTES);
        Ok(())
    }

    /// Closes the cursors that `ends` tells, by whether they hold, whether they are of the open block, and their number.
    fn close_cursors(&mut self, ends: impl Fn(bool, bool, u64) -> bool) {
        let before = self.cursors.named.len();
        self.cursors.named.retain(|_, cursor| !ends(cursor.holds, cursor.is_of_block, cursor.number));
        let closed = before - self.cursors.named.len();
        self.release_bytes(closed * CURSOR_BYTES);
    }

    /// Closes all.
    pub fn close_all_cursors(&mut self) {
        self.close_cursors(|_, _, _| true);
    }

    /// The block was committed: what holds stays.
    pub(super) fn keep_holding_cursors(&mut self) {
        self.close_cursors(|holds, _, _| !holds);
        self.cursors.named.values_mut().for_each(|cursor| cursor.is_of_block = false);
    }

    /// The block was rolled back: what held before it stays.
    pub(super) fn roll_back_cursors(&mut self) {
        self.close_cursors(|holds, is_of_block, _| !holds || is_of_block);
    }

    /// ROLLBACK TO: those declared since are gone.
    pub(super) fn roll_back_cursors_to(&mut self, declared: u64) {
        self.close_cursors(|_, _, number| number > declared);
    }
}

fn no_cursor(name: &str) -> Error {
    Error::not_found(format!("cursor \"{name}\" does not exist")).code(SqlState::InvalidCursorName)
}
