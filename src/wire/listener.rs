//! Accepts clients, counts them, and stops them: one task for each session, so that a panic ends only its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::attempts::Attempts;
use super::connection::{Connection, Failure};
use super::shared::{Shared, WireOptions};
use super::starting::{Starting, StartingPlace};
use super::{report, startup};
use crate::error::{Error, Result, SqlState};
use crate::sql::SqlServer;

/// Serves clients until `shutdown`, then ends the sessions: idle ones at once, running statements after the grace.
///
/// # Errors
/// The address may not be listened on as things are, or the listener breaks.
pub async fn serve(
    listener: TcpListener,
    sql: Arc<SqlServer>,
    options: WireOptions,
    shutdown: CancellationToken,
) -> Result<()> {
    let address = listener.local_addr().map_err(|error| Error::unavailable(format!("listener: {error}")))?;
    options.access.check_listen(address, options.tls.is_some(), !sql.catalog.snapshot().roles.is_empty())?;
    let starting = Starting::new(options.max_starting);
    sql.activity.bound(options.max_connections);
    let shared = Arc::new(Shared {
        sql,
        keys: Arc::default(),
        places: Arc::new(Semaphore::new(options.max_connections)),
        role_sessions: Arc::default(),
        attempts: Attempts::new(options.login_failures_max, options.login_delay),
        options,
        abort: CancellationToken::new(),
        shutdown,
    });
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = shared.shutdown.cancelled() => break,
            Some(ended) = sessions.join_next(), if !sessions.is_empty() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a session ended by a defect");
                }
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, address)) => {
                    let place = starting.enter();
                    let shared = Arc::clone(&shared);
                    sessions.spawn(async move { client(stream, address, &shared, place).await });
                }
                Err(error) => {
                    // Out of file descriptors, say: sessions that end make place again.
                    tracing::warn!(%error, "a client could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
    drop(listener);
    let all_ended = async { while sessions.join_next().await.is_some() {} };
    if tokio::time::timeout(shared.options.shutdown_grace, all_ended).await.is_err() {
        shared.abort.cancel();
        let all_ended = async { while sessions.join_next().await.is_some() {} };
        // What does not even end then is dropped with the set.
        let _ = tokio::time::timeout(Duration::from_secs(2), all_ended).await;
    }
    Ok(())
}

async fn client(stream: TcpStream, address: SocketAddr, shared: &Shared, place: StartingPlace) {
    let mut connection = Connection::new(stream);
    let opened = tokio::select! {
        opened = tokio::time::timeout(shared.options.startup_timeout, startup::open(&mut connection, address, shared)) => opened,
        // Others are waiting for its place.
        () = place.given_up() => return,
        () = shared.shutdown.cancelled() => {
            Ok(Err(Error::unavailable("the database system is shutting down").code(SqlState::CannotConnectNow).into()))
        }
    };
    drop(place);
    match opened {
        // Postgres says nothing either to a client that says nothing.
        Err(_) | Ok(Ok(None) | Err(Failure::Gone)) => {}
        Ok(Err(Failure::Statement(error))) => {
            // A client that does not listen needs no answer.
            let _ = connection.send(&report::fatal(&error));
            let _ = tokio::time::timeout(Duration::from_secs(1), connection.close()).await;
        }
        Ok(Ok(Some(opened))) => super::serve::run(connection, address, opened, shared).await,
    }
}
