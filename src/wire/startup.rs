//! From a socket to an open session: encryption asked for, cancel requests, parameters, protocol version, the login, the first messages.

use std::net::SocketAddr;
use std::sync::Arc;

use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::startup::{Authentication, BackendKeyData, NegotiateProtocolVersion, SecretKey};
use tokio::sync::OwnedSemaphorePermit;

use super::cancel::RegisteredKey;
use super::connection::{Connection, Failure};
use super::frame::{StartupFrame, split_startup};
use super::login::{Caller, audit_login, login};
use super::report::parameter_status;
use super::role_sessions::RolePlace;
use super::shared::Shared;
use super::tls::{Secured, Tls};
use crate::error::{Error, Result, SqlState};
use crate::pg_catalog::SERVER_VERSION;
use crate::sql::{Session, SessionOptions};

/// A session that was opened, and its place among the connections.
pub struct Opened {
    /// The session.
    pub session: Session,
    /// Its cancel key.
    pub key: RegisteredKey,
    /// Given back when the session ends.
    pub place: OwnedSemaphorePermit,
    /// And among those of its role.
    pub role_place: Option<RolePlace>,
}

/// The first byte of TLS; no start-up packet begins with it.
const TLS_HANDSHAKE: u8 = 0x16;

/// What drivers expect to be told, where the session does not say otherwise.
const PARAMETERS: &[(&str, &str)] = &[
    ("server_version", SERVER_VERSION),
    ("server_encoding", "UTF8"),
    ("client_encoding", "UTF8"),
    ("application_name", ""),
    ("DateStyle", "ISO, MDY"),
    ("IntervalStyle", "postgres"),
    ("TimeZone", "UTC"),
    ("integer_datetimes", "on"),
    ("standard_conforming_strings", "on"),
    ("default_transaction_read_only", "off"),
    ("in_hot_standby", "off"),
];

/// Opens the session; `None` if the connection was for something else (a cancel request).
///
/// # Errors
/// The client was refused (and told), or is gone.
pub async fn open(
    connection: &mut Connection,
    address: SocketAddr,
    shared: &Shared,
) -> Result<Option<Opened>, Failure> {
    let mut secured = direct_tls(connection, shared).await?;
    let (mut ssl_asked, mut gss_asked) = (false, false);
    let (version, parameters) = loop {
        match split_startup(&mut connection.input)? {
            None => connection.fill(0).await?,
            Some(StartupFrame::Ssl | StartupFrame::Gss) if secured.is_some() => {
                return Err(violation("encryption is asked for within TLS").into());
            }
            Some(asked @ (StartupFrame::Ssl | StartupFrame::Gss)) => {
                let is_ssl = matches!(asked, StartupFrame::Ssl);
                let before = if is_ssl { &mut ssl_asked } else { &mut gss_asked };
                if std::mem::replace(before, true) {
                    return Err(violation("encryption is asked for twice").into());
                }
                refuse_clear_bytes(connection)?;
                match &shared.options.tls {
                    Some(tls) if is_ssl => secured = Some(asked_tls(connection, tls).await?),
                    _ => {
                        // Not here: the client goes on in clear or leaves.
                        connection.output.extend_from_slice(b"N");
                        connection.flush().await?;
                    }
                }
            }
            Some(StartupFrame::Cancel { process_id, secret }) => {
                shared.keys.cancel(process_id, &secret);
                // Within TLS, who asked takes an end that is not said for a fault.
                connection.close().await;
                return Ok(None);
            }
            Some(StartupFrame::Startup { version, parameters }) => break (version, parameters),
        }
    };
    let (options, unknown) = session_options(parameters)?;
    if version.1 > 2 || !unknown.is_empty() {
        let newest = (3 << 16) | i32::from(version.1.min(2));
        connection
            .send(&PgWireBackendMessage::NegotiateProtocolVersion(NegotiateProtocolVersion::new(newest, unknown)))?;
    }
    let user = options.user.clone();
    let caller = Caller { address, user: &user, database: &options.database.clone(), secured: secured.as_ref() };
    let let_in = let_in(connection, shared, &caller, options, version.1).await;
    // Whether somebody came in is on disk before he is told. Who went away before, as psql does to ask for a password, has tried nothing.
    match &let_in {
        Ok(opened) => audit_login(shared, &caller, Ok(opened.key.key.process_id)).await?,
        Err(Failure::Statement(error)) => audit_login(shared, &caller, Err(error)).await?,
        Err(Failure::Gone) => {}
    }
    let mut opened = let_in?;
    greet(connection, &mut opened)?;
    Ok(Some(opened))
}

/// The login, a place among the sessions, and the session.
async fn let_in(
    connection: &mut Connection,
    shared: &Shared,
    caller: &Caller<'_>,
    mut options: SessionOptions,
    minor_version: u16,
) -> Result<Opened, Failure> {
    let has_roles = !shared.sql.catalog.snapshot().roles.is_empty();
    let role_place = login(connection, shared, caller, has_roles).await?;
    // Only who came in takes the place of others.
    let Ok(place) = Arc::clone(&shared.places).try_acquire_owned() else {
        shared.sql.activity.refuse();
        return Err(Error::unavailable("sorry, too many clients already").code(SqlState::TooManyConnections).into());
    };
    let secret_bytes = if minor_version >= 2 { 32 } else { 4 };
    let key = shared.keys.register(secret_bytes);
    options.process_id = key.key.process_id;
    options.client = Some(caller.address);
    options.encryption = caller.secured.map(|secured| secured.encryption.clone());
    options.cancellable = Arc::clone(&key.key.session);
    let session = Session::open(Arc::clone(&shared.sql), options)?;
    if !has_roles && session.has_role() {
        // It was trusted because there were no roles, and just then its own was made.
        return Err(Error::unavailable("roles were made meanwhile").code(SqlState::CannotConnectNow).into());
    }
    Ok(Opened { session, key, place, role_place })
}

/// TLS without a request for it: the first byte tells. The client must name the protocol, so that nobody can make it send what it meant
/// for a server of another one.
async fn direct_tls(connection: &mut Connection, shared: &Shared) -> Result<Option<Secured>, Failure> {
    let Some(tls) = &shared.options.tls else { return Ok(None) };
    if connection.peek().await? != TLS_HANDSHAKE {
        return Ok(None);
    }
    let secured = handshake(connection, tls).await?;
    if !connection.has_alpn() {
        return Err(violation("direct TLS connection without the protocol (ALPN) \"postgresql\"").into());
    }
    Ok(Some(secured))
}

fn violation(message: &str) -> Error {
    Error::invalid(message).code(SqlState::ProtocolViolation)
}

/// What came behind a request for encryption in clear, anybody in between may have sent; so it is whatever the answer to the request.
fn refuse_clear_bytes(connection: &Connection) -> Result<()> {
    if connection.input.is_empty() {
        return Ok(());
    }
    Err(violation("received unencrypted data after SSL request")
        .detail("This could be either a client-software bug or evidence of an attempted man-in-the-middle attack."))
}

/// TLS after a request for it.
async fn asked_tls(connection: &mut Connection, tls: &Tls) -> Result<Secured, Failure> {
    connection.output.extend_from_slice(b"S");
    connection.flush().await?;
    handshake(connection, tls).await
}

async fn handshake(connection: &mut Connection, tls: &Tls) -> Result<Secured, Failure> {
    connection.secure(&tls.now()).await.map_err(|error| {
        tracing::info!(%error, "a TLS handshake failed");
        Failure::Gone
    })
}

/// The messages that say that a session is open.
fn greet(connection: &mut Connection, opened: &mut Opened) -> Result<()> {
    let Opened { session, key, .. } = opened;
    connection.send(&PgWireBackendMessage::Authentication(Authentication::Ok))?;
    let mut told = session.take_parameter_changes();
    for &(name, value) in PARAMETERS {
        if !told.iter().any(|(told, _)| told.eq_ignore_ascii_case(name)) {
            told.push((name.to_owned(), value.to_owned()));
        }
    }
    for (name, value) in told {
        connection.send(&parameter_status(name, value))?;
    }
    let secret = match <[u8; 4]>::try_from(&key.key.secret[..]) {
        Ok(secret) => SecretKey::I32(i32::from_be_bytes(secret)),
        Err(_) => SecretKey::Bytes(key.key.secret.clone().into()),
    };
    connection.send(&PgWireBackendMessage::BackendKeyData(BackendKeyData::new(key.key.process_id, secret)))
}

/// Sorts start-up parameters; also gives the protocol options that we do not know.
fn session_options(parameters: Vec<(String, String)>) -> Result<(SessionOptions, Vec<String>)> {
    let mut options = SessionOptions::default();
    let mut unknown = Vec::new();
    for (name, value) in parameters {
        match name.as_str() {
            "user" => options.user = value,
            "database" => options.database = value,
            "options" => options.settings.splice(0..0, command_line(&value)?).for_each(drop),
            "replication" => {
                if !matches!(value.to_ascii_lowercase().as_str(), "false" | "off" | "no" | "0") {
                    return Err(Error::unsupported("replication connections are not supported"));
                }
            }
            _ if name.starts_with("_pq_.") => unknown.push(name),
            _ => options.settings.push((name, value)),
        }
    }
    if options.user.is_empty() {
        return Err(Error::invalid("no PostgreSQL user name specified in startup packet")
            .code(SqlState::InvalidAuthorizationSpecification));
    }
    if options.database.is_empty() {
        options.database.clone_from(&options.user);
    }
    Ok((options, unknown))
}

/// `-c name=value`, `-cname=value` and `--name=value`, a backslash before blanks in values.
fn command_line(text: &str) -> Result<Vec<(String, String)>> {
    let mut words = vec![String::new()];
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => words.last_mut().into_iter().for_each(|word| word.extend(characters.next())),
            blank if blank.is_whitespace() => words.push(String::new()),
            other => words.last_mut().into_iter().for_each(|word| word.push(other)),
        }
    }
    let mut words = words.into_iter().filter(|word| !word.is_empty());
    let mut settings = Vec::new();
    while let Some(word) = words.next() {
        let setting = match word.as_str() {
            "-c" => words.next(),
            _ => word.strip_prefix("--").or_else(|| word.strip_prefix("-c")).map(str::to_owned),
        };
        let Some((name, value)) = setting.as_deref().and_then(|setting| setting.split_once('=')) else {
            return Err(Error::invalid(format!("invalid command-line argument for server process: {word}"))
                .code(SqlState::SyntaxError)
                .hint("Write options as -c name=value."));
        };
        settings.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(settings)
}

#[cfg(test)]
mod tests;
