//! A session and its connection, as all that answers messages needs them: what the client has by name, how values look, how errors
//! and the end of a message are told.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::response::{ReadyForQuery, TransactionStatus as WireStatus};
use tracing::Span;

use super::cancel::{Interrupts, RegisteredKey};
use super::connection::{Connection, Failure};
use super::portal::{Parsed, Portal};
use super::report;
use super::shared::Shared;
use super::spans;
use super::text::Style;
use crate::error::{Error, Result, SqlState};
use crate::sql::activity::{BackendState, Lost, StatementOutcome};
use crate::sql::execution::query_memory::Reserved;
use crate::sql::{Session, TransactionStatus};

/// A session and its connection.
pub(super) struct Client<'a> {
    /// The socket.
    pub(super) connection: Connection,
    /// What it drives.
    pub(super) session: Session,
    /// Parsed statements by name, `""` the unnamed.
    pub(super) statements: HashMap<String, Parsed>,
    /// Bound portals by name, `""` the unnamed.
    pub(super) portals: HashMap<String, Portal>,
    /// Nothing has come since ReadyForQuery.
    pub(super) is_at_rest: bool,
    /// An error in an extended message: everything up to Sync is skipped.
    pub(super) skipping: bool,
    /// Memory for the large message that is coming in, or that is worked on.
    pub(super) large_message: Option<Reserved>,
    /// With the generation of the settings that it follows from.
    style: Option<(u64, Style)>,
    /// Of its log lines.
    pub(super) span: Span,
    /// Where it calls from.
    address: SocketAddr,
    pub(super) key: RegisteredKey,
    pub(super) shared: &'a Shared,
}

impl<'a> Client<'a> {
    /// One that has nothing by name yet.
    pub(super) fn new(
        connection: Connection,
        address: SocketAddr,
        session: Session,
        key: RegisteredKey,
        shared: &'a Shared,
    ) -> Self {
        let span = spans::of_session(&session, address);
        Self {
            connection,
            session,
            statements: HashMap::new(),
            portals: HashMap::new(),
            is_at_rest: false,
            skipping: false,
            large_message: None,
            style: None,
            span,
            address,
            key,
            shared,
        }
    }

    /// Sends what others have told the session, as long as it is in no transaction.
    ///
    /// # Errors
    /// It is too much, or too much of it was lost: the session ends.
    pub(super) fn notifications(&mut self) -> Result<()> {
        if self.session.transaction_status() != TransactionStatus::Idle {
            return Ok(());
        }
        let waiting = self.session.backend().mailbox.take().map_err(|Lost| lost_notifications())?;
        for notification in waiting {
            self.connection.send(&report::notification(&notification))?;
        }
        Ok(())
    }

    /// Ends a session that was told too much.
    ///
    /// # Errors
    /// It was.
    pub(super) fn refuse_lost_notifications(&self) -> Result<()> {
        if self.session.backend().mailbox.is_lost() { Err(lost_notifications()) } else { Ok(()) }
    }

    /// Interrupts of a statement that begins now.
    pub(super) fn interrupts(&self) -> Interrupts {
        Interrupts::new(&self.key.key.session, self.shared.abort.clone(), self.session.statement_timeout())
    }

    /// How values look now.
    pub(super) fn style(&mut self) -> Style {
        let settings = self.session.settings();
        match self.style {
            Some((generation, style)) if generation == settings.generation => style,
            _ => {
                let style = Style::of_zone(&settings.time_zone());
                self.style = Some((settings.generation, style));
                style
            }
        }
    }

    /// Shows others a statement that begins now, given as `activity::shown`.
    pub(super) fn begins(&self, query: Arc<str>) {
        self.session.backend().begin(query, self.shared.sql.clock.now_ms());
    }

    /// Counts a statement that has ended.
    pub(super) fn count(&self, command: &'static str, begun: Instant, ended: &Result<(), Failure>) {
        let outcome = match ended {
            Ok(()) => StatementOutcome::Done,
            Err(Failure::Statement(error)) => StatementOutcome::of_error(error),
            Err(Failure::Gone) => StatementOutcome::Cancelled,
        };
        self.shared.sql.activity.statement(command, outcome, begun.elapsed());
    }

    /// Reports an error; the session's block is failed.
    ///
    /// # Errors
    /// The error ends the connection.
    pub(super) fn fail(&mut self, error: &Error, offset: usize) -> Result<(), Failure> {
        tracing::debug!(sqlstate = error.sqlstate().code(), "a statement failed");
        self.session.fail();
        self.notices()?;
        if error.sqlstate() == SqlState::AdminShutdown {
            return Err(Failure::Statement(error.clone()));
        }
        Ok(self.connection.send(&report::error(error, offset))?)
    }

    /// Sends what the session has to say beside its result.
    ///
    /// # Errors
    /// A notice is too large.
    pub(super) fn notices(&mut self) -> Result<()> {
        for notice in self.session.take_notices() {
            self.connection.send(&report::notice(&notice))?;
        }
        Ok(())
    }

    /// Ends the implicit transaction and says that the next message may come.
    ///
    /// # Errors
    /// The client is gone.
    pub(super) async fn end_message(&mut self) -> Result<(), Failure> {
        if let Err(error) = self.session.end_of_message().await {
            self.fail(&error, 0)?;
        }
        self.ready()?;
        Ok(self.connection.flush().await?)
    }

    /// ReadyForQuery, with what changed before it.
    pub(super) fn ready(&mut self) -> Result<()> {
        self.forget_statements();
        self.notices()?;
        for (name, value) in self.session.take_parameter_changes() {
            if name == "application_name" {
                self.span = spans::of_session(&self.session, self.address);
                self.session.backend().rename(value.clone());
            }
            self.connection.send(&report::parameter_status(name, value))?;
        }
        let (status, shown) = match self.session.transaction_status() {
            TransactionStatus::Idle => {
                // Portals live as long as their transaction.
                self.forget_portals();
                (WireStatus::Idle, BackendState::Idle)
            }
            TransactionStatus::Open => (WireStatus::Transaction, BackendState::InTransaction),
            TransactionStatus::Failed => (WireStatus::Error, BackendState::Aborted),
        };
        self.notifications()?;
        self.is_at_rest = true;
        self.session.backend().rest(shown, self.shared.sql.clock.now_ms());
        self.connection.send(&PgWireBackendMessage::ReadyForQuery(ReadyForQuery::new(status)))
    }

    /// Forgets the statements that DEALLOCATE or DISCARD ALL has named.
    pub(super) fn forget_statements(&mut self) {
        for name in self.session.take_forgotten() {
            if let Some(statement) = self.statements.remove(&name) {
                self.session.release_bytes(statement.held_bytes);
            }
        }
    }

    /// Forgets a portal, if there is one of that name.
    pub(super) fn forget_portal(&mut self, name: &str) {
        if let Some(portal) = self.portals.remove(name) {
            self.session.release_bytes(portal.held_bytes);
        }
    }

    /// Forgets all portals.
    fn forget_portals(&mut self) {
        for portal in std::mem::take(&mut self.portals).into_values() {
            self.session.release_bytes(portal.held_bytes);
        }
    }
}

/// What a session is told that does not take what others tell it.
fn lost_notifications() -> Error {
    Error::unavailable("terminating connection because too many notifications waited for it")
        .code(SqlState::ProgramLimitExceeded)
        .hint("Read what comes outside of transactions, or UNLISTEN.")
}
