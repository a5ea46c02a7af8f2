//! Accepts connections, a bounded number at a time, and gives each a bounded time for its one request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::answers;
use super::stage::Observed;
use crate::error::{Error, Result};

/// Connections at the same time; further ones wait for one that ends.
const CONNECTIONS_MAX: usize = 32;
/// Time for the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for a connection as a whole.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Header lines of a request.
const HEADERS_MAX: usize = 64;

/// Refuses an address that others than this machine can reach.
///
/// # Errors
/// It is not a loopback address.
pub fn require_loopback(address: SocketAddr) -> Result<()> {
    if address.ip().is_loopback() {
        return Ok(());
    }
    Err(Error::unsupported(format!("http_listen: cannot listen on {address}: only loopback addresses are allowed"))
        .detail("The HTTP port knows no logins: whoever reaches it reads what it shows.")
        .hint("Listen on 127.0.0.1 or [::1], and have a proxy or an agent on this machine read it."))
}

/// A port that is served for as long as this is kept.
pub struct HttpPort {
    address: SocketAddr,
    _ends: DropGuard,
}

impl HttpPort {
    /// Listens and serves from now on.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn open(address: SocketAddr, observed: Observed) -> Result<Self> {
        let listener = TcpListener::bind(address)
            .await
            .map_err(|error| Error::invalid(format!("http_listen: cannot listen on {address}: {error}")))?;
        let address =
            listener.local_addr().map_err(|error| Error::internal(format!("listener has no address: {error}")))?;
        let shutdown = CancellationToken::new();
        let _ends = shutdown.clone().drop_guard();
        tokio::spawn(async move { shutdown.run_until_cancelled(accept(listener, observed)).await });
        tracing::info!("serving metrics, health and jobs: http://{address}/metrics, /healthz, /readyz, /jobs");
        Ok(Self { address, _ends })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn accept(listener: TcpListener, observed: Observed) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        // Nobody closes it.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let observed = observed.clone();
                tokio::spawn(async move {
                    serve(stream, observed).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "an HTTP client could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, observed: Observed) {
    let service = service_fn(move |request| {
        let observed = observed.clone();
        async move { Ok::<_, std::convert::Infallible>(answers::answer(request, &observed).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(CONNECTION_TIMEOUT, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "an HTTP connection failed"),
        Err(_) => tracing::debug!("an HTTP connection took too long"),
    }
}
