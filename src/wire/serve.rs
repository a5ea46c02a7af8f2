//! The loop of one connection: frame → handler → answer. Decides only what a fault means for the connection.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use pgwire::messages::PgWireFrontendMessage as Message;
use tracing::{Instrument, Span};

use super::cancel::server_stops;
use super::client::Client;
use super::connection::{Connection, FLUSH_BYTES, Failure};
use super::frame::{self, Frame, Next, Oversized, RawFrame};
use super::portal::State;
use super::shared::Shared;
use super::startup::Opened;
use super::{extended_query, report, simple_query, spans};
use crate::error::{Error, Result, SqlState};
use crate::sql::{Session, command_of};

/// Messages larger than this leave no buffer behind.
const LARGE_MESSAGE_BYTES: usize = 1 << 20;
/// A large message is held as bytes, as text, as tokens, parsed, planned and in the names of columns; measured.
const COPIES_OF_MESSAGE: usize = 16;

/// After so much silence a session gives back what it can make again.
const REST_AFTER: Duration = Duration::from_secs(5);

/// What a session waited for.
#[derive(PartialEq, Eq)]
enum Came {
    Input,
    Notifications,
}

/// When a message counts as a statement.
enum Counts {
    Always,
    Failure,
}

/// Serves a session until its end.
pub(super) async fn run(connection: Connection, address: SocketAddr, opened: Opened, shared: &Shared) {
    let Opened { session, key, place, role_place } = opened;
    let mut client = Client::new(connection, address, session, key, shared);
    client.span.in_scope(|| tracing::info!("session opened"));
    let last = client.serve().await;
    if let Err(Failure::Statement(error)) = last {
        // The client may be gone already; then nobody misses it.
        let _ = client.connection.send(&report::fatal(&error));
    }
    let _ = tokio::time::timeout(Duration::from_secs(1), client.connection.close()).await;
    client.span.in_scope(|| tracing::info!("session ended"));
    drop((place, role_place));
}

impl Client<'_> {
    /// Until Terminate (`Ok`), a fatal error, or the client's disappearance.
    async fn serve(&mut self) -> Result<(), Failure> {
        self.ready()?;
        loop {
            let frame = match frame::split(&mut self.connection.input, self.shared.options.max_message_bytes)? {
                Next::Incomplete(missing) => {
                    if missing > LARGE_MESSAGE_BYTES && self.large_message.is_none() {
                        match self.session.memory().reserve("a message", missing * COPIES_OF_MESSAGE) {
                            Ok(reserved) => self.large_message = Some(reserved),
                            Err(error) => {
                                if let Some(message) = frame::give_up(&mut self.connection.input) {
                                    self.pass_over(&message, &error).await?;
                                }
                                continue;
                            }
                        }
                    }
                    self.wait_for_input(missing).await?;
                    continue;
                }
                Next::Oversized(message) => {
                    let bytes = message.body_bytes + 4;
                    let limit = self.shared.options.max_message_bytes;
                    let error = Error::invalid(format!("message too large: {bytes} bytes, at most {limit} are taken"))
                        .code(SqlState::ProgramLimitExceeded)
                        .hint("Raise the server's max_message_size (--max-message-size), or send less at a time.");
                    self.pass_over(&message, &error).await?;
                    continue;
                }
                Next::Frame(frame) => frame,
            };
            if frame.tag() == b'X' {
                return Ok(());
            }
            self.is_at_rest = false;
            let is_large = frame.byte_count() > LARGE_MESSAGE_BYTES;
            let span = self.span.clone();
            let handled = AssertUnwindSafe(self.handle(frame).instrument(span)).catch_unwind().await;
            self.key.key.session.end();
            handled.unwrap_or_else(|_| {
                self.span.in_scope(|| tracing::error!("a statement ended its session by a defect"));
                Err(Error::internal("the session ended by a defect of the server").into())
            })?;
            if is_large {
                self.connection.shrink_input();
                self.large_message = None;
            }
        }
    }

    /// Refuses a message: its bytes are read and forgotten, and the session goes on behind them.
    async fn pass_over(&mut self, message: &Oversized, error: &Error) -> Result<(), Failure> {
        let mut left = message.body_bytes;
        loop {
            left -= self.connection.discard(left);
            if left == 0 {
                break;
            }
            self.wait_for_input(0).await?;
        }
        self.connection.shrink_input();
        if self.skipping || message.is_copy_data() {
            return Ok(());
        }
        self.failed(error, message.is_extended()).await
    }

    /// Reports an error of a message: an extended one skips what follows up to Sync, any other is at its end.
    async fn failed(&mut self, error: &Error, extended: bool) -> Result<(), Failure> {
        self.fail(error, 0)?;
        if extended {
            self.skipping = true;
            return Ok(());
        }
        self.end_message().await
    }

    /// Waits for more of what the client sends; meanwhile it is told what others tell the session.
    async fn wait_for_input(&mut self, missing: usize) -> Result<(), Failure> {
        while self.input_or_notifications(missing).await? == Came::Notifications {
            if self.connection.output.len() >= FLUSH_BYTES {
                // Its client does not take what was sent before: more waits where it is bounded.
                self.refuse_lost_notifications()?;
            } else if self.is_at_rest && self.connection.input.is_empty() {
                self.notifications()?;
            }
        }
        Ok(())
    }

    async fn input_or_notifications(&mut self, missing: usize) -> Result<Came, Failure> {
        let mailbox = Arc::clone(&self.session.backend().mailbox);
        let idle = self.session.idle_timeout();
        let input = async {
            // What is still to be sent is no silence of the client's.
            let was_full = self.connection.output.len() >= FLUSH_BYTES;
            self.connection.flush().await?;
            if was_full {
                // What waited meanwhile can be sent.
                return Ok(Came::Notifications);
            }
            let filled = fill(&mut self.connection, &mut self.session, missing);
            match idle {
                Some((limit, error)) => match tokio::time::timeout(limit, filled).await {
                    Ok(filled) => Ok(filled.map(|()| Came::Input)?),
                    Err(_) => Err(Failure::from(error)),
                },
                None => Ok(filled.await.map(|()| Came::Input)?),
            }
        };
        tokio::select! {
            biased;
            () = self.shared.shutdown.cancelled() => Err(server_stops().into()),
            () = self.key.key.session.ends().cancelled() => Err(server_stops().into()),
            done = input => done,
            () = mailbox.arrived() => Ok(Came::Notifications),
        }
    }

    async fn handle(&mut self, frame: RawFrame) -> Result<(), Failure> {
        if self.skipping && frame.tag() != b'S' {
            return Ok(());
        }
        let extended = frame.is_extended();
        let (span, handled) = match frame::decode(frame) {
            Err(error) => (Span::none(), Err(Failure::Statement(error))),
            Ok(Frame::FunctionCall) => {
                let error = Error::unsupported("the function call sub-protocol is not supported");
                (Span::none(), Err(error.hint("Use SELECT function(…).").into()))
            }
            Ok(Frame::Message(message)) => {
                let span = self.statement_span(&message);
                let (counted, begun) = (self.counted(&message), Instant::now());
                let handled = self.dispatch(message).instrument(span.clone()).await;
                match counted {
                    Some((command, Counts::Always)) => self.count(command, begun, &handled),
                    Some((command, Counts::Failure)) if handled.is_err() => self.count(command, begun, &handled),
                    _ => {}
                }
                (span, handled)
            }
        };
        match handled {
            Err(Failure::Statement(error)) => self.failed(&error, extended).instrument(span).await,
            other => other,
        }
    }

    /// The span of the statement that an extended message is about. A query message may have several: each gets its own.
    fn statement_span(&self, message: &Message) -> Span {
        let of = |command: Option<&'static str>| match command {
            Some(command) => spans::of_statement(|| command),
            None => Span::none(),
        };
        match message {
            Message::Parse(parse) => spans::of_statement(|| command_of(&parse.query)),
            Message::Bind(bind) => {
                let name = bind.statement_name.as_deref().unwrap_or_default();
                of(self.statements.get(name).map(|statement| statement.command))
            }
            Message::Execute(execute) => {
                let name = execute.name.as_deref().unwrap_or_default();
                of(self.portals.get(name).map(|portal| portal.command))
            }
            _ => Span::none(),
        }
    }

    /// How an extended message is counted as a statement of this command: once for each portal, or where it fails before.
    fn counted(&self, message: &Message) -> Option<(&'static str, Counts)> {
        match message {
            Message::Parse(parse) => Some((command_of(&parse.query), Counts::Failure)),
            Message::Bind(bind) => {
                let name = bind.statement_name.as_deref().unwrap_or_default();
                Some((self.statements.get(name)?.command, Counts::Failure))
            }
            Message::Execute(execute) => {
                let portal = self.portals.get(execute.name.as_deref().unwrap_or_default())?;
                matches!(portal.state, State::Bound(_)).then_some((portal.command, Counts::Always))
            }
            _ => None,
        }
    }

    async fn dispatch(&mut self, message: Message) -> Result<(), Failure> {
        match message {
            Message::Query(query) => simple_query::run(self, &query.query).await,
            Message::Parse(parse) => extended_query::parse(self, parse).await,
            Message::Bind(bind) => extended_query::bind(self, bind),
            Message::Describe(describe) => extended_query::describe(self, &describe),
            Message::Execute(execute) => extended_query::execute(self, &execute).await,
            Message::Close(close) => extended_query::close(self, &close),
            Message::Flush(_) => Ok(self.connection.flush().await?),
            Message::Sync(_) => {
                self.skipping = false;
                self.end_message().await
            }
            // Left over from a COPY that failed; Postgres ignores them too.
            Message::CopyData(_) | Message::CopyDone(_) | Message::CopyFail(_) => Ok(()),
            _ => Err(Error::invalid("unexpected message of an open session").code(SqlState::ProtocolViolation).into()),
        }
    }
}

/// Reads on. A session that rests has given back its buffers and what follows from its settings; what its client has sent of a message stays.
async fn fill(connection: &mut Connection, session: &mut Session, missing: usize) -> std::io::Result<()> {
    if !connection.input.is_empty() {
        return connection.fill(missing).await;
    }
    if let Ok(filled) = tokio::time::timeout(REST_AFTER, connection.fill(missing)).await {
        return filled;
    }
    session.rest();
    connection.rest();
    connection.readable().await?;
    connection.fill(missing).await
}
