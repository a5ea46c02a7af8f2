//! Whether a client comes in: what the rules ask of it, the messages of its login, how often it may fail, and whether its
//! role may log in; the audit log is told of it. What is computed there, `scram` decides; which rule holds, `access` does.

use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::startup::Authentication;

use super::connection::{Connection, Failure};
use super::frame::{self, SaslStart};
use super::role_sessions::RolePlace;
use super::shared::Shared;
use super::tls::Secured;
use crate::access::{Asking, Method};
use crate::audit::{Outcome, Record};
use crate::catalog::role::{RoleEntry, missing};
use crate::error::{Error, Result, SqlState};
use crate::scram::{Channel, Exchange, Mechanism, Verifier, mechanisms};

/// Bytes of randomness in a nonce; PostgreSQL's.
const NONCE_BYTES: usize = 18;

/// Who wants to come in, and where from.
pub struct Caller<'a> {
    /// Where it calls from.
    pub address: SocketAddr,
    /// Who it says it is.
    pub user: &'a str,
    /// Where it wants to.
    pub database: &'a str,
    /// What TLS says of it; absent: it speaks in clear.
    pub secured: Option<&'a Secured>,
}

/// Lets a client in, or not; gives its role's place, if it has a role. `has_roles`: whether there are roles.
///
/// # Errors
/// It does not come in, and is told why as far as that is its business.
pub async fn login(
    connection: &mut Connection,
    shared: &Shared,
    caller: &Caller<'_>,
    has_roles: bool,
) -> Result<Option<RolePlace>, Failure> {
    let address = caller.address.ip();
    let asking = Asking { address, role: caller.user, database: caller.database, is_tls: caller.secured.is_some() };
    let method = shared.options.access.method(&asking, has_roles)?;
    match method {
        Method::Trust => {}
        Method::Scram => {
            shared.attempts.admit(address, shared.sql.clock.now_ms())?;
            match password(connection, shared, caller).await {
                Ok(()) => shared.attempts.succeeded(address),
                Err(Failure::Gone) => return Err(Failure::Gone),
                Err(Failure::Statement(error)) => {
                    tracing::warn!(user = caller.user, client = %caller.address, %error, "a login failed");
                    let delay = shared.attempts.failed(address, shared.sql.clock.now_ms());
                    tokio::time::sleep(delay).await;
                    return Err(error.into());
                }
            }
        }
        Method::Cert => certificate(caller)?,
        Method::Reject => return Err(Error::internal("a rule that rejects has let somebody in").into()),
    }
    // As it is now: the exchange may have taken a while.
    let snapshot = shared.sql.catalog.snapshot();
    let Some(role) = snapshot.roles.get(caller.user) else {
        // Whether somebody without a role is trusted, the session decides.
        return if method == Method::Trust { Ok(None) } else { Err(stranger(caller).into()) };
    };
    if !role.can_login {
        return Err(Error::denied(format!("role \"{}\" is not permitted to log in", caller.user))
            .code(SqlState::InvalidAuthorizationSpecification)
            .into());
    }
    Ok(Some(shared.role_sessions.enter(caller.user, role)?))
}

/// Tells the audit log how a login ended: with the session of a number, or with an error.
///
/// # Errors
/// The log cannot be written: then nobody comes in.
pub async fn audit_login(shared: &Shared, caller: &Caller<'_>, ended: Result<i32, &Error>) -> Result<()> {
    let log = &shared.sql.audit;
    if !log.is_on() {
        return Ok(());
    }
    let (outcome, sqlstate) = match ended {
        Ok(_) => (Outcome::Ok, "00000"),
        Err(error) => (Outcome::Failed, error.sqlstate().code()),
    };
    let address = caller.address.ip();
    let is_tls = caller.secured.is_some();
    let asking = Asking { address, role: caller.user, database: caller.database, is_tls };
    let has_roles = !shared.sql.catalog.snapshot().roles.is_empty();
    let record = Record {
        event: "login",
        user: caller.user.to_owned(),
        database: caller.database.to_owned(),
        client: Some(caller.address.to_string()),
        session: ended.ok(),
        method: Some(shared.options.access.method(&asking, has_roles).map_or("reject", Method::name)),
        tls: Some(is_tls),
        ..Record::default()
    };
    log.write(&record, outcome, sqlstate).await
}

fn stranger(caller: &Caller<'_>) -> Error {
    missing(caller.user).code(SqlState::InvalidAuthorizationSpecification)
}

/// Whether the client's certificate, which TLS has checked, names its role.
fn certificate(caller: &Caller<'_>) -> Result<()> {
    let denied = |message: String| Err(Error::denied(message).code(SqlState::InvalidAuthorizationSpecification));
    match caller.secured.and_then(|secured| secured.client_name.as_deref()) {
        None => denied("connection requires a valid client certificate".to_owned()),
        Some(name) if name == caller.user => Ok(()),
        Some(_) => denied(format!("certificate authentication failed for user \"{}\"", caller.user)),
    }
}

/// Has a client prove that it knows the password.
async fn password(connection: &mut Connection, shared: &Shared, caller: &Caller<'_>) -> Result<(), Failure> {
    let channel = Channel { end_point: caller.secured.and_then(|secured| secured.end_point.as_deref()) };
    let offered = mechanisms(channel);
    let names = offered.iter().map(|mechanism| mechanism.name().to_owned()).collect();
    connection.send(&PgWireBackendMessage::Authentication(Authentication::SASL(names)))?;
    connection.flush().await?;

    let SaslStart { mechanism, data } = frame::sasl_start(&next(connection).await?)?;
    let mechanism = offered.into_iter().find(|offered| offered.name() == mechanism).ok_or_else(|| {
        Error::invalid("client selected an invalid SASL authentication mechanism").code(SqlState::ProtocolViolation)
    })?;
    let exchange = begin(connection, shared, caller, (mechanism, channel), &data)?;
    connection.flush().await?;

    let last = text(next(connection).await?)?;
    let Some(proof) = exchange.prove(&last)? else {
        let message = format!("password authentication failed for user \"{}\"", caller.user);
        return Err(Error::denied(message).code(SqlState::InvalidPassword).into());
    };
    let last = Authentication::SASLFinal(proof.into_bytes().into());
    Ok(connection.send(&PgWireBackendMessage::Authentication(last))?)
}

/// Answers the first message of a login.
fn begin(
    connection: &mut Connection,
    shared: &Shared,
    caller: &Caller<'_>,
    (mechanism, channel): (Mechanism, Channel<'_>),
    first: &str,
) -> Result<Exchange> {
    let mut nonce = [0; NONCE_BYTES];
    rand::fill(&mut nonce);
    let nonce = BASE64.encode(nonce);
    let (exchange, answer) = Exchange::begin(mechanism, first, channel, verifier(shared, caller.user), &nonce)?;
    let answer = Authentication::SASLContinue(answer.into_bytes().into());
    connection.send(&PgWireBackendMessage::Authentication(answer))?;
    Ok(exchange)
}

/// What is kept of a user's password, or what looks like it where there is none; and whether it is one.
fn verifier(shared: &Shared, user: &str) -> (Verifier, bool) {
    let catalog = &shared.sql.catalog;
    let snapshot = catalog.snapshot();
    let is_valid = |role: &&RoleEntry| role.valid_until_ms.is_none_or(|until_ms| shared.sql.clock.now_ms() < until_ms);
    let reference = snapshot.roles.get(user).filter(is_valid).and_then(|role| role.verifier.as_deref());
    let kept = reference.and_then(|reference| match catalog.secret(reference) {
        Ok(text) => Verifier::parse(&text),
        Err(error) => {
            tracing::error!(user, %error, "what is kept of a password cannot be read");
            None
        }
    });
    match kept {
        Some(verifier) => (verifier, true),
        None => (Verifier::mock(&catalog.mock_key(), user), false),
    }
}

/// The next message of a login.
async fn next(connection: &mut Connection) -> Result<Vec<u8>, Failure> {
    loop {
        if let Some(body) = frame::split_login(&mut connection.input)? {
            return Ok(body);
        }
        connection.fill(0).await?;
    }
}

fn text(body: Vec<u8>) -> Result<String> {
    String::from_utf8(body).map_err(|_| Error::invalid("malformed SCRAM message").code(SqlState::ProtocolViolation))
}
