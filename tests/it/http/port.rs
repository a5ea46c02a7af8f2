//! Health and readiness over a server's life, and what the port refuses.

use streamgate::config::{Config, Flags};
use streamgate::server::Server;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{exchange, get, spawn, started};
use crate::server::{BackendsOfProcess, JOB_PATIENCE, until};

#[tokio::test]
async fn a_server_is_alive_before_it_is_ready() {
    let folder = TempDir::new().unwrap();
    let (mut server, port) = spawn(&BackendsOfProcess::take().await, &folder.path().join("data"));
    until(JOB_PATIENCE, "it is ready", async || {
        TcpStream::connect(("127.0.0.1", port)).await.ok()?;
        assert_eq!(get(port, "/healthz").await.status, 200);
        let answer = get(port, "/readyz").await;
        match answer.status {
            200 => assert_eq!(answer.body, "ready\n"),
            503 => assert!(answer.body.starts_with("starting: opening "), "{answer:?}"),
            _ => panic!("{answer:?}"),
        }
        (answer.status == 200).then_some(())
    })
    .await;
    assert_eq!(server.until_it_answers().await, None);
    assert_eq!(get(port, "/readyz").await.status, 200);
    assert!(server.terminate().success());
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
}

#[tokio::test]
async fn a_server_that_ends_is_not_ready_and_says_so_until_it_has_ended() {
    let folder = TempDir::new().unwrap();
    let free = || Some("127.0.0.1:0".to_owned());
    let flags = Flags {
        listen: free(),
        http_listen: free(),
        data_dir: Some(folder.path().join("data")),
        kafka_embedded_port: Some(0),
        aws_embedded_port: Some(0),
        ..Flags::default()
    };
    let server = Server::start(&Config::load(&flags).unwrap()).await.unwrap();
    let port = server.http_address().unwrap().port();
    assert_eq!(get(port, "/readyz").await.status, 200);
    let mut stop = Box::pin(server.stop());
    // As far as it comes without waiting for anything.
    assert!(futures::poll!(&mut stop).is_pending());
    let answer = get(port, "/readyz").await;
    assert_eq!((answer.status, answer.body.as_str()), (503, "stopping\n"));
    assert_eq!(get(port, "/healthz").await.status, 200);
    stop.await;
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
}

#[tokio::test]
async fn the_port_reads_only_and_for_this_machine_only() {
    let folder = TempDir::new().unwrap();
    let (server, port) = started(&BackendsOfProcess::take().await, &folder.path().join("data")).await;
    let refused = get(port, "/nothing").await;
    assert_eq!((refused.status, refused.body.as_str()), (404, "there are /metrics, /healthz, /readyz and /jobs\n"));
    let refused = exchange(port, "POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc").await;
    assert_eq!((refused.status, refused.header("allow")), (405, "GET, HEAD"));
    let head = exchange(port, "HEAD /metrics HTTP/1.1\r\nHost: [::1]:1\r\n\r\n").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert!(head.header("content-length").parse::<usize>().unwrap() > 1000, "{head:?}");
    for (host, status) in
        [("localhost:1", 200), ("127.0.0.2", 200), ("evil.example", 403), ("127.0.0.1.evil.example", 403)]
    {
        let answer = exchange(port, &format!("GET /jobs HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert_eq!(answer.status, status, "{host}");
    }
    // One request a connection, whatever comes behind it.
    let twice = exchange(port, &"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(2)).await;
    assert_eq!((twice.status, twice.body.as_str()), (200, "alive\n"));
    for headers in [format!("X: {}\r\n", "x".repeat(40_000)), "X: x\r\n".repeat(80)] {
        let refused = exchange(port, &format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n")).await;
        assert_eq!(refused.status, 431);
    }
    assert!(server.terminate().success());
}

#[tokio::test]
async fn whoever_says_nothing_is_sent_away_and_lets_the_next_in() {
    let folder = TempDir::new().unwrap();
    let (server, port) = started(&BackendsOfProcess::take().await, &folder.path().join("data")).await;
    let mut silent = Vec::new();
    for _ in 0..32 {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\n").await.unwrap();
        silent.push(stream);
    }
    // All places are taken: it is answered when the others have had their time.
    assert_eq!(get(port, "/healthz").await.status, 200);
    let mut bytes = Vec::new();
    silent[0].read_to_end(&mut bytes).await.unwrap();
    assert!(server.terminate().success());
}
