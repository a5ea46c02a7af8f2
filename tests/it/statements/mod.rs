//! Statements that could take a server down, or keep it busy for ever: large, deep, and without a pause. Each goes to a server
//! process of its own, which must be there afterwards and answer others meanwhile.

mod deep;
mod endless;
mod large;
mod planning;
mod trees;

use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::server::{BackendsOfProcess, ServerProcess, until};

/// Whatever a statement does, it has ended or was refused by then, also on a busy machine in an unoptimised build.
const LONG: Duration = Duration::from_secs(120);

/// The value of a query of one row and one column, or the SQLSTATE of its error and the error.
async fn value(client: &Client, query: &str) -> Result<String, (String, String)> {
    let answer = tokio::time::timeout(LONG, client.simple_query(query)).await.expect("an answer");
    let messages = answer.map_err(|error| match error.as_db_error() {
        Some(error) => (error.code().code().to_owned(), error.message().to_owned()),
        None => panic!("the server is gone: {error} after {}", &query[..query.len().min(200)]),
    })?;
    Ok(messages
        .iter()
        .find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("NULL").to_owned()),
            _ => None,
        })
        .unwrap_or_default())
}

struct Instance {
    server: ServerProcess,
    backends: BackendsOfProcess,
    folder: TempDir,
}

impl Instance {
    async fn start() -> Self {
        let backends = BackendsOfProcess::shared();
        let folder = TempDir::new().unwrap();
        let server = ServerProcess::start(&backends, &folder.path().join("data")).await;
        Self { server, backends, folder }
    }

    async fn again(self) -> Self {
        let Self { server, backends, folder } = self;
        server.kill();
        let server = ServerProcess::start(&backends, &folder.path().join("data")).await;
        Self { server, backends, folder }
    }
}
