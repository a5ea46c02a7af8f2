//! A session and its cursors: what they may hold, and that they end with the session's transaction.

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;

use super::cursors::Declared;
use super::held::HELD_BYTES_MAX;
use super::{CursorKind, Motion, Session};
use crate::error::Result;

/// A cursor with its running query: operators, a task, a channel.
const CURSOR_BYTES: usize = 16 << 10;

impl Session {
    /// Whether a cursor may be declared.
    ///
    /// # Errors
    /// The name is taken (42P03); outside of a block without HOLD (25P01).
    pub fn check_new_cursor(&self, name: &str, kind: CursorKind) -> Result<()> {
        if !kind.holds {
            self.require_block("DECLARE CURSOR")?;
        }
        self.cursors.check_free(name)
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
        let declared = Declared {
            kind,
            text: self.backend().query(),
            created_ms: self.server.clock.now_ms(),
            is_of_block: self.is_in_block(),
            kept_bytes_max: HELD_BYTES_MAX,
            schema,
            stream,
            counts: self.counts.clone(),
        };
        self.cursors.add(name, declared);
        self.backend().set_cursors(self.cursors.shown());
        Ok(())
    }

    /// The columns of a cursor, if there is one of that name.
    pub fn cursor_schema(&self, name: &str) -> Option<SchemaRef> {
        self.cursors.schema(name)
    }

    /// The rows of a motion of a cursor.
    ///
    /// # Errors
    /// There is no such cursor (34000), somebody else reads it (55006), it goes forward only (55000).
    pub fn move_cursor(&mut self, name: &str, motion: Motion) -> Result<(SchemaRef, SendableRecordBatchStream)> {
        let moved = self.cursors.moved(name, motion)?;
        // What was left out for its rows is told with them, whatever ran in between.
        self.counts = self.cursors.counts(name);
        Ok(moved)
    }

    /// Closes a cursor.
    ///
    /// # Errors
    /// There is none of that name (34000).
    pub fn close_cursor(&mut self, name: &str) -> Result<()> {
        self.cursors.close(name)?;
        self.forget_cursors(1);
        Ok(())
    }

    /// Closes all.
    pub fn close_all_cursors(&mut self) {
        let ended = self.cursors.close_all();
        self.forget_cursors(ended);
    }

    pub(super) fn commit_cursors(&mut self) {
        let ended = self.cursors.commit();
        self.forget_cursors(ended);
    }

    pub(super) fn roll_back_cursors(&mut self) {
        let ended = self.cursors.roll_back();
        self.forget_cursors(ended);
    }

    pub(super) fn roll_back_cursors_to(&mut self, declared: u64) {
        let ended = self.cursors.roll_back_to(declared);
        self.forget_cursors(ended);
    }

    fn forget_cursors(&mut self, count: usize) {
        self.release_bytes(count * CURSOR_BYTES);
        if count > 0 {
            self.backend().set_cursors(self.cursors.shown());
        }
    }
}
