//! Spans of log lines: of which session a line is, and of which of its statements. They say which command it is, never its text.

use std::net::SocketAddr;

use tracing::Span;

use crate::sql::Session;

/// The span of a session.
pub(super) fn of_session(session: &Session, client: SocketAddr) -> Span {
    let view = session.view();
    // Of the coarsest level: with a finer one, warnings would be without it where nothing but warnings is logged.
    // Within no other span: one that takes the place of another is made in it.
    tracing::error_span!(
        parent: None,
        "session",
        pid = view.process_id,
        user = view.user,
        database = view.database,
        application_name = session.settings().get("application_name").unwrap_or_default(),
        %client,
    )
}

/// The span of a statement. What its command is, is asked only if somebody may see it.
pub(super) fn of_statement(command: impl FnOnce() -> &'static str) -> Span {
    tracing::error_span!("statement", command = command())
}

#[cfg(test)]
mod tests;
