//! The HTTP port: what it answers, how it bounds who asks, and that its metrics are true.

#![allow(clippy::unwrap_used)] // clippy allows it in functions marked as tests only

mod exposition;
mod metrics;
mod port;

use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::{BackendsOfProcess, ServerProcess, free_port};

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// A header's value, empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines
            .filter(|(header, _)| header.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .next()
            .unwrap_or("")
    }
}

/// Sends bytes and reads to the end of the connection.
pub async fn exchange(port: u16, request: &str) -> Answer {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

pub async fn get(port: u16, path: &str) -> Answer {
    exchange(port, &format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n")).await
}

/// A server with an HTTP port, not waited for.
pub fn spawn(backends: &BackendsOfProcess, data_dir: &Path) -> (ServerProcess, u16) {
    let port = free_port();
    let listen = [("STREAMGATE_HTTP_LISTEN", port.to_string())];
    (ServerProcess::spawn(backends, data_dir, &listen), port)
}

/// A server with an HTTP port that takes sessions.
pub async fn started(backends: &BackendsOfProcess, data_dir: &Path) -> (ServerProcess, u16) {
    let (mut server, port) = spawn(backends, data_dir);
    if let Some(status) = server.until_it_answers().await {
        panic!("the server ended with {status}:\n{}", server.log());
    }
    // Sessions are taken a moment before it says so.
    while get(port, "/readyz").await.status != 200 {
        tokio::task::yield_now().await;
    }
    (server, port)
}
