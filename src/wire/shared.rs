//! What all sessions of the listener share: its bounds, the keys for cancel requests, and when they are to end.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::attempts::Attempts;
use super::cancel::CancelKeys;
use super::role_sessions::RoleSessions;
use super::tls::Tls;
use crate::access::Access;
use crate::sql::SqlServer;

/// Bounds of the wire layer.
#[derive(Debug, Clone)]
pub struct WireOptions {
    /// Sessions at one time; the next is told 53300.
    pub max_connections: usize,
    /// Largest message of an open session; a larger one is refused.
    pub max_message_bytes: usize,
    /// Sockets that have not opened a session yet, beside the sessions; one more ends the one that has waited the longest.
    pub max_starting: usize,
    /// Time for the start-up packet.
    pub startup_timeout: Duration,
    /// What clients must do to come in.
    pub access: Access,
    /// TLS; absent: none is offered.
    pub tls: Option<Arc<Tls>>,
    /// Failed logins within a minute after which an address is turned away.
    pub login_failures_max: u32,
    /// How long the answer to the first failed login waits; each further one waits twice as long.
    pub login_delay: Duration,
    /// How long running statements may go on when the server stops.
    pub shutdown_grace: Duration,
}

impl Default for WireOptions {
    fn default() -> Self {
        Self {
            max_connections: 100,
            max_message_bytes: 64 << 20,
            max_starting: 64,
            startup_timeout: Duration::from_secs(20),
            access: Access::default(),
            tls: None,
            login_failures_max: 20,
            login_delay: Duration::from_millis(100),
            shutdown_grace: Duration::from_secs(3),
        }
    }
}

/// What all sessions share.
pub(super) struct Shared {
    /// Behind the protocol.
    pub sql: Arc<SqlServer>,
    /// Bounds.
    pub options: WireOptions,
    /// For cancel requests.
    pub keys: Arc<CancelKeys>,
    /// One permit for each session.
    pub places: Arc<Semaphore>,
    /// For the limits of roles.
    pub role_sessions: Arc<RoleSessions>,
    /// Logins that failed.
    pub attempts: Attempts,
    /// The server stops: idle sessions end.
    pub shutdown: CancellationToken,
    /// The grace is over: running statements end.
    pub abort: CancellationToken,
}
