//! Parse, Bind, Describe, Execute, Close. A portal holds its running result: rows left over by `max_rows` wait in its pump.

use std::sync::Arc;

use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::data::{NoData, ParameterDescription};
use pgwire::messages::extendedquery::{
    Bind, BindComplete, Close, CloseComplete, Describe, Execute, Parse, ParseComplete, PortalSuspended,
};
use pgwire::messages::response::EmptyQueryResponse;

use super::client::Client;
use super::connection::Failure;
use super::encode::RowFormat;
use super::portal::{Parsed, Portal, State};
use super::row_pump::{Pumped, RowPump};
use super::{copy_in, copy_out, decode, report};
use crate::error::{Error, Result, SqlState};
use crate::pg_catalog::pg_type;
use crate::sql::activity::{self, KeptStatement};
use crate::sql::session::HELD_BYTES_MAX;
use crate::sql::{Outcome, Prepared, StatementText, command_of};
use datafusion::scalar::ScalarValue;

/// Statements and portals that a session may hold.
const NAMED_MAX: usize = 10_000;

/// A portal beside its parameters and rows.
const PORTAL_BYTES: usize = 1 << 10;
/// A query that waits: its operators, its task and its channel.
const RUNNING_BYTES: usize = 16 << 10;

/// Parse: analyses one statement.
///
/// # Errors
/// 42601 for several statements, 42P05 for a name in use, and what the analysis gives.
pub async fn parse(client: &mut Client<'_>, parse: Parse) -> Result<(), Failure> {
    let name = parse.name.unwrap_or_default();
    if name.is_empty() {
        client.statements.remove("");
    } else if client.statements.contains_key(&name) {
        return Err(Error::invalid(format!("prepared statement \"{name}\" already exists"))
            .code(SqlState::DuplicatePreparedStatement)
            .into());
    }
    if client.statements.len() >= NAMED_MAX {
        return Err(Error::invalid(format!("more than {NAMED_MAX} prepared statements"))
            .code(SqlState::ConfigurationLimitExceeded)
            .into());
    }
    client.begins(activity::shown(&parse.query));
    let mut texts = client.session.split(&parse.query)?;
    if texts.len() > 1 {
        return Err(Error::invalid("cannot insert multiple commands into a prepared statement")
            .code(SqlState::SyntaxError)
            .into());
    }
    let mut statement = match texts.pop() {
        None => {
            let (command, shown) = (command_of(""), client.session.backend().query());
            Parsed { prepared: None, command, shown, parameter_oids: Vec::new(), offset: 0, held_bytes: 0 }
        }
        Some(text) => analyse(client, &text, parse.type_oids).await.map_err(|failure| match failure {
            Failure::Statement(error) => Failure::Statement(moved(error, text.offset)),
            Failure::Gone => Failure::Gone,
        })?,
    };
    if !name.is_empty() {
        statement.held_bytes = statement.prepared.as_ref().map_or(0, Prepared::held_bytes);
        client.session.hold_bytes(statement.held_bytes)?;
        let parameter_types = statement.prepared.as_ref().map(|prepared| prepared.parameter_types.clone());
        let kept = KeptStatement {
            text: Arc::clone(&statement.shown),
            prepared_ms: client.shared.sql.clock.now_ms(),
            parameter_types: parameter_types.unwrap_or_default(),
        };
        client.session.backend().keep((false, name.clone()), kept);
    }
    client.statements.insert(name, statement);
    client.notices()?;
    Ok(client.connection.send(&PgWireBackendMessage::ParseComplete(ParseComplete::new()))?)
}

async fn analyse(client: &mut Client<'_>, text: &StatementText, oids: Vec<u32>) -> Result<Parsed, Failure> {
    let interrupts = client.interrupts();
    let types = oids
        .iter()
        .map(|&oid| match oid {
            0 | 705 => Ok(None),
            oid => pg_type::arrow_of(oid)
                .map(Some)
                .ok_or_else(|| Error::unsupported(format!("parameters of the type with oid {oid} are not supported"))),
        })
        .collect::<Result<Vec<_>>>()?;
    let prepared = interrupts.guard(&mut client.connection, client.session.prepare(text, &types)).await?;
    let (command, shown) = (command_of(&text.text), client.session.backend().query());
    Ok(Parsed { prepared: Some(prepared), command, shown, parameter_oids: oids, offset: text.offset, held_bytes: 0 })
}

/// An error whose position counts from the start of the message.
fn moved(error: Error, offset: usize) -> Error {
    match error.position() {
        Some(position) => error.at(position + offset),
        None => error,
    }
}

/// Bind: parameters to a statement.
///
/// # Errors
/// Unknown statement (26000), a portal in use (42P03), parameters that do not fit.
pub fn bind(client: &mut Client<'_>, bind: Bind) -> Result<(), Failure> {
    let name = bind.portal_name.unwrap_or_default();
    if name.is_empty() {
        client.forget_portal("");
    } else if client.portals.contains_key(&name) {
        return Err(Error::invalid(format!("cursor \"{name}\" already exists")).code(SqlState::DuplicateCursor).into());
    }
    if client.portals.len() >= NAMED_MAX {
        return Err(Error::invalid(format!("more than {NAMED_MAX} portals"))
            .code(SqlState::ConfigurationLimitExceeded)
            .into());
    }
    let zone = client.style().zone;
    let statement = statement_of(client, bind.statement_name.as_deref())?;
    let types = statement.prepared.as_ref().map_or(&[][..], |prepared| &prepared.parameter_types);
    let oids = statement.oids();
    if bind.parameters.len() != types.len() {
        return Err(Error::invalid(format!(
            "bind message supplies {} parameters, but prepared statement \"{}\" requires {}",
            bind.parameters.len(),
            bind.statement_name.as_deref().unwrap_or_default(),
            types.len()
        ))
        .code(SqlState::ProtocolViolation)
        .into());
    }
    let formats = &bind.parameter_format_codes;
    let mut values = Vec::with_capacity(types.len());
    for (index, (bytes, (data_type, oid))) in bind.parameters.iter().zip(types.iter().zip(&oids)).enumerate() {
        let binary = match formats.get(index).or_else(|| formats.first().filter(|_| formats.len() == 1)) {
            None | Some(0) => false,
            Some(1) => true,
            Some(other) => {
                return Err(Error::invalid(format!("unsupported format code: {other}"))
                    .code(SqlState::InvalidParameterValue)
                    .into());
            }
        };
        values.push(
            decode::parameter(bytes.as_deref(), binary, data_type, *oid, zone)
                .map_err(|error| error.context(format!("parameter ${}", index + 1)))?,
        );
    }
    let held_bytes = if name.is_empty() { 0 } else { PORTAL_BYTES + ScalarValue::size_of_vec(&values) };
    let portal = Portal {
        prepared: statement.prepared.clone(),
        command: statement.command,
        shown: Arc::clone(&statement.shown),
        offset: statement.offset,
        formats: bind.result_column_format_codes,
        state: State::Bound(values),
        held_bytes,
    };
    client.session.hold_bytes(held_bytes)?;
    client.portals.insert(name, portal);
    Ok(client.connection.send(&PgWireBackendMessage::BindComplete(BindComplete::new()))?)
}

fn statement_of<'a>(client: &'a Client<'_>, name: Option<&str>) -> Result<&'a Parsed> {
    let name = name.unwrap_or_default();
    client.statements.get(name).ok_or_else(|| {
        Error::invalid(match name {
            "" => "unnamed prepared statement does not exist".to_owned(),
            name => format!("prepared statement \"{name}\" does not exist"),
        })
        .code(SqlState::InvalidSqlStatementName)
    })
}

fn no_portal(name: &str) -> Error {
    Error::invalid(format!("portal \"{name}\" does not exist")).code(SqlState::InvalidCursorName)
}

/// Describe: parameters and columns of a statement, or columns of a portal.
///
/// # Errors
/// It does not exist.
pub fn describe(client: &mut Client<'_>, describe: &Describe) -> Result<(), Failure> {
    let name = describe.name.as_deref().unwrap_or_default();
    let (result, formats) = if describe.target_type == b'S' {
        let statement = statement_of(client, Some(name))?;
        let result = statement.prepared.as_ref().and_then(|prepared| prepared.result.clone());
        let oids = statement.oids();
        client.connection.send(&PgWireBackendMessage::ParameterDescription(ParameterDescription::new(oids)))?;
        (result, Vec::new())
    } else {
        match client.portals.get(name) {
            Some(portal) => {
                (portal.prepared.as_ref().and_then(|prepared| prepared.result.clone()), portal.formats.clone())
            }
            // A cursor of DECLARE is a portal, too; what reads it by FETCH asks here for its columns.
            None => (Some(client.session.cursor_schema(name).ok_or_else(|| no_portal(name))?), Vec::new()),
        }
    };
    let message = match &result {
        Some(schema) => {
            PgWireBackendMessage::RowDescription(RowFormat::new(schema, &formats, client.style())?.description())
        }
        None => PgWireBackendMessage::NoData(NoData::new()),
    };
    Ok(client.connection.send(&message)?)
}

/// Execute: runs a portal, or goes on with it.
///
/// # Errors
/// It does not exist (34000), its statement fails or is interrupted.
pub async fn execute(client: &mut Client<'_>, execute: &Execute) -> Result<(), Failure> {
    let name = execute.name.clone().unwrap_or_default();
    let mut portal = client.portals.remove(&name).ok_or_else(|| no_portal(&name))?;
    client.begins(Arc::clone(&portal.shown));
    let limit = u64::try_from(execute.max_rows).ok().filter(|&limit| limit > 0);
    let mut result = advance(client, &mut portal, limit).await;
    client.forget_statements();
    let offset = portal.offset;
    client.session.release_bytes(portal.held_bytes);
    if result.is_ok() {
        portal.held_bytes = match &portal.state {
            State::Running { pump, .. } if !name.is_empty() => {
                // However wide its rows, a client may go through one result while it works with another.
                (RUNNING_BYTES + pump.held_bytes()).min(HELD_BYTES_MAX / 4)
            }
            _ => 0,
        };
        match client.session.hold_bytes(portal.held_bytes) {
            Ok(()) => drop(client.portals.insert(name, portal)),
            Err(error) => result = Err(error.into()),
        }
    }
    result.map_err(|failure| match failure {
        Failure::Statement(error) => Failure::Statement(moved(error, offset)),
        gone => gone,
    })
}

async fn advance(client: &mut Client<'_>, portal: &mut Portal, limit: Option<u64>) -> Result<(), Failure> {
    let Some(prepared) = &portal.prepared else {
        portal.state = State::Done;
        return Ok(client.connection.send(&PgWireBackendMessage::EmptyQueryResponse(EmptyQueryResponse::new()))?);
    };
    let interrupts = client.interrupts();
    if let State::Bound(values) = &mut portal.state {
        let values = std::mem::take(values);
        let outcome = interrupts.guard(&mut client.connection, client.session.execute(prepared, values)).await?;
        portal.state = State::Done;
        match outcome {
            Outcome::Rows { verb, schema, stream } => {
                let format = RowFormat::new(&schema, &portal.formats, client.style())?;
                if let Some(described) = &prepared.result
                    && !format.same_types(&RowFormat::new(described, &portal.formats, client.style())?)
                {
                    return Err(Error::stale_plan().into());
                }
                portal.state = State::Running { verb, pump: Box::new(RowPump::new(stream, format)), sent: 0 };
            }
            Outcome::CopyIn(copy) => {
                let count = copy_in::run(client, &interrupts, copy).await?;
                client.notices()?;
                return Ok(client.connection.send(&report::complete(report::rows_tag("COPY", count)))?);
            }
            Outcome::CopyOut { stream, format } => {
                let style = client.style();
                let count = copy_out::run(&mut client.connection, &interrupts, stream, &format, style).await?;
                client.notices()?;
                return Ok(client.connection.send(&report::complete(report::rows_tag("COPY", count)))?);
            }
            other => {
                client.notices()?;
                let message = match other {
                    Outcome::Done { tag } => report::complete(tag),
                    _ => PgWireBackendMessage::EmptyQueryResponse(EmptyQueryResponse::new()),
                };
                return Ok(client.connection.send(&message)?);
            }
        }
    }
    let message = match &mut portal.state {
        State::Running { verb, pump, sent } => {
            match pump.run(&mut client.connection, &interrupts, limit).await? {
                Pumped::Suspended => {
                    *sent += limit.unwrap_or(0);
                    PgWireBackendMessage::PortalSuspended(PortalSuspended::new())
                }
                Pumped::Complete(count) => {
                    // As Postgres, the tag counts the rows of this Execute.
                    let tag = report::rows_tag(verb, count);
                    portal.state = State::Done;
                    report::complete(tag)
                }
            }
        }
        // A portal that is at its end gives no more rows; one that did something does not do it again.
        _ => match prepared.result {
            Some(_) => report::complete("SELECT 0"),
            None => {
                return Err(Error::invalid("portal cannot be run anymore")
                    .code(SqlState::ObjectNotInPrerequisiteState)
                    .into());
            }
        },
    };
    client.notices()?;
    Ok(client.connection.send(&message)?)
}

/// Close: forgets a statement or a portal; one that is not there is no error.
///
/// # Errors
/// No error of its own.
pub fn close(client: &mut Client<'_>, close: &Close) -> Result<(), Failure> {
    let name = close.name.as_deref().unwrap_or_default();
    if close.target_type == b'S' {
        client.session.backend().forget(&(false, name.to_owned()));
        if let Some(statement) = client.statements.remove(name) {
            client.session.release_bytes(statement.held_bytes);
        }
    } else if client.portals.contains_key(name) {
        client.forget_portal(name);
    } else if client.session.cursor_schema(name).is_some() {
        client.session.close_cursor(name)?;
    }
    Ok(client.connection.send(&PgWireBackendMessage::CloseComplete(CloseComplete::new()))?)
}
