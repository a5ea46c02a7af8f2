//! Query messages: statement after statement, each answered before the next begins; an error ends the message.

use std::time::Instant;

use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::response::EmptyQueryResponse;
use tracing::Instrument;

use super::client::Client;
use super::connection::Failure;
use super::encode::RowFormat;
use super::row_pump::{Pumped, RowPump};
use super::{copy_in, copy_out, report, spans};
use crate::sql::activity;
use crate::sql::{Outcome, StatementText, command_of};

/// Runs a message.
///
/// # Errors
/// The connection ends.
pub async fn run(client: &mut Client<'_>, message: &str) -> Result<(), Failure> {
    let statements = client.session.split(message)?;
    if statements.is_empty() {
        client.connection.send(&PgWireBackendMessage::EmptyQueryResponse(EmptyQueryResponse::new()))?;
    }
    let last = statements.len().saturating_sub(1);
    for (index, statement) in statements.iter().enumerate() {
        let span = spans::of_statement(|| command_of(&statement.text));
        client.begins(activity::shown(&statement.text));
        let (command, begun) = (command_of(&statement.text), Instant::now());
        let ended = run_statement(client, statement, index == last).instrument(span.clone()).await;
        client.count(command, begun, &ended);
        match ended {
            Ok(()) => {}
            Err(Failure::Statement(error)) => {
                span.in_scope(|| client.fail(&error, statement.offset))?;
                break;
            }
            Err(Failure::Gone) => return Err(Failure::Gone),
        }
    }
    client.end_message().await
}

async fn run_statement(client: &mut Client<'_>, statement: &StatementText, last: bool) -> Result<(), Failure> {
    let interrupts = client.interrupts();
    let prepared = interrupts.guard(&mut client.connection, client.session.prepare(statement, &[])).await?;
    if !prepared.parameter_types.is_empty() {
        return Err(crate::error::Error::invalid("there is no parameter $1")
            .code(crate::error::SqlState::UndefinedParameter)
            .into());
    }
    let outcome = interrupts.guard(&mut client.connection, client.session.execute(&prepared, Vec::new())).await?;
    let answer = match outcome {
        Outcome::Empty => PgWireBackendMessage::EmptyQueryResponse(EmptyQueryResponse::new()),
        Outcome::Done { tag } => report::complete(tag),
        Outcome::CopyIn(copy) => {
            let count = copy_in::run(client, &interrupts, copy).await?;
            report::complete(report::rows_tag("COPY", count))
        }
        Outcome::CopyOut { stream, format } => {
            let style = client.style();
            let count = copy_out::run(&mut client.connection, &interrupts, stream, &format, style).await?;
            report::complete(report::rows_tag("COPY", count))
        }
        Outcome::Rows { verb, schema, stream } => {
            let format = RowFormat::new(&schema, &[], client.style())?;
            client.connection.send(&PgWireBackendMessage::RowDescription(format.description()))?;
            let mut pump = RowPump::new(stream, format);
            match pump.run(&mut client.connection, &interrupts, None).await? {
                Pumped::Complete(count) => report::complete(report::rows_tag(verb, count)),
                Pumped::Suspended => return Ok(()),
            }
        }
    };
    if last {
        // The implicit transaction is committed before its last statement is said to be done.
        interrupts.guard(&mut client.connection, client.session.end_of_message()).await?;
    }
    client.notices()?;
    Ok(client.connection.send(&answer)?)
}
