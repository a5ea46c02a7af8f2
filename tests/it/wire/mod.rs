//! The wire protocol over real sockets: simple and extended, cancel, errors in pipelines, malformed frames, limits.

#![allow(clippy::unwrap_used)] // clippy allows it in functions marked as tests only

mod drivers;
mod ends;
mod malformed;
mod prepared;
mod protocol;
mod psql;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};
use streamgate::catalog::Catalog;
use streamgate::clock::{Clock, SystemClock};
use streamgate::connectors::{ConnectorDefaults, Registry};
use streamgate::jobs::Jobs;
use streamgate::pg_catalog::system_schemas;
use streamgate::sql::SqlServer;
use streamgate::wire::{WireOptions, serve};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_postgres::{NoTls, SimpleQueryMessage};
use tokio_util::sync::CancellationToken;

/// More rows than any test waits for.
pub const ENDLESS: &str = "select value from generate_series(1, 1000000000000)";

/// The parts behind the protocol, over an empty catalog.
fn sql_server(directory: &std::path::Path) -> Arc<SqlServer> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let defaults = ConnectorDefaults {
        kafka_bootstrap_servers: Some("127.0.0.1:1".to_owned()),
        kafka_properties: BTreeMap::new(),
        kafka_is_embedded: true,
        dynamodb_endpoint: Some("http://127.0.0.1:1".to_owned()),
        aws_region: Some("us-east-1".to_owned()),
        aws_credentials: Some(("a".to_owned(), "b".to_owned())),
        dynamodb_is_embedded: true,
        places: Arc::new(streamgate::places::Places::anywhere()),
        clock: clock.clone(),
    };
    let catalog = Catalog::open(directory).unwrap();
    let (pg_catalog, information_schema) = system_schemas(catalog.clone(), Vec::new());
    let schemas: Vec<Arc<dyn streamgate::sql::SystemSchema>> = vec![Arc::new(pg_catalog), Arc::new(information_schema)];
    let connectors = Registry::new(&defaults);
    let folder = std::env::temp_dir().join("streamgate-wire-tests-run-no-jobs");
    let jobs = Jobs::new(tokio::runtime::Handle::current(), catalog.clone(), connectors.clone(), clock.clone(), folder);
    Arc::new(SqlServer::new(catalog, jobs, connectors, schemas, clock, BTreeMap::new()).unwrap())
}

pub struct Server {
    _directory: tempfile::TempDir,
    pub address: SocketAddr,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<streamgate::error::Result<()>>,
}

pub async fn server_with(options: WireOptions) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let directory = tempfile::tempdir().unwrap();
    let sql = sql_server(directory.path());
    let task = tokio::spawn(serve(listener, sql, options, shutdown.clone()));
    Server { _directory: directory, address, shutdown, task }
}

pub async fn server() -> Server {
    server_with(WireOptions::default()).await
}

impl Server {
    pub async fn try_connect(&self) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
        let config = format!("host=127.0.0.1 port={} user=me dbname=streamgate", self.address.port());
        let (client, connection) = tokio_postgres::connect(&config, NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    pub async fn connect(&self) -> tokio_postgres::Client {
        self.try_connect().await.unwrap()
    }

    pub async fn raw(&self) -> Raw {
        let mut raw = Raw { stream: TcpStream::connect(self.address).await.unwrap() };
        let mut startup = b"\0\0\0\0\0\x03\0\0user\0me\0database\0streamgate\0\0".to_vec();
        startup[3] = u8::try_from(startup.len()).unwrap();
        raw.send(&startup).await;
        raw.until_ready().await;
        raw
    }
}

/// A client that says exactly what a test wants.
pub struct Raw<S = TcpStream> {
    pub stream: S,
}

pub fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    bytes.extend_from_slice(&u32::try_from(body.len() + 4).unwrap().to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

pub fn parse(sql: &str) -> Vec<u8> {
    message(b'P', format!("\0{sql}\0\0\0").as_bytes())
}

pub fn bind() -> Vec<u8> {
    message(b'B', b"\0\0\0\0\0\0\0\0")
}

pub fn execute(max_rows: u32) -> Vec<u8> {
    message(b'E', &[&[0][..], &max_rows.to_be_bytes()].concat())
}

impl<S: AsyncRead + AsyncWrite + Unpin> Raw<S> {
    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Tag and body of the next message; `None` at the end.
    pub async fn next(&mut self) -> Option<(char, Vec<u8>)> {
        let tag = self.stream.read_u8().await.ok()?;
        let length = self.stream.read_u32().await.ok()?;
        let mut body = vec![0; usize::try_from(length).unwrap() - 4];
        self.stream.read_exact(&mut body).await.ok()?;
        Some((char::from(tag), body))
    }

    /// What comes, in short, until ReadyForQuery or the end: data rows counted, errors with their SQLSTATE.
    pub async fn until_ready(&mut self) -> String {
        self.until('Z').await
    }

    pub async fn until(&mut self, last: char) -> String {
        let mut seen = Vec::new();
        let mut rows = 0;
        while let Some((tag, body)) = self.next().await {
            if tag == 'D' {
                rows += 1;
                continue;
            }
            if tag == 'S' {
                // Settings have a test of their own.
                continue;
            }
            if rows > 0 {
                seen.push(format!("D*{rows}"));
                rows = 0;
            }
            seen.push(match tag {
                'E' => {
                    let text = String::from_utf8_lossy(&body).into_owned();
                    let field =
                        |key: char| text.split('\0').find_map(|field| field.strip_prefix(key)).unwrap_or("").to_owned();
                    format!("E {} {}", field('S'), field('C'))
                }
                'C' => format!("C {}", String::from_utf8_lossy(&body).trim_end_matches('\0')),
                other => other.to_string(),
            });
            if tag == last {
                return seen.join(", ");
            }
        }
        seen.push("end".to_owned());
        seen.join(", ")
    }
}

pub fn code(error: &tokio_postgres::Error) -> String {
    error.code().map_or_else(|| error.to_string(), |code| code.code().to_owned())
}

pub fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}
