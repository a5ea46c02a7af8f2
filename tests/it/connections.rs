//! Many clients, slow ones and vanished ones: what an idle connection costs, that a client who does not read holds up and costs nobody
//! else anything, and that the kernel is asked to notice who is gone.

#![allow(clippy::unwrap_used)] // clippy allows it in functions marked as tests only

use std::fs;

use tokio::net::TcpStream;

use crate::server::{BackendsOfProcess, JOB_PATIENCE, ServerProcess, until};
use crate::wire::{ENDLESS, Raw, message};

/// Bytes of memory that a process has for itself.
fn own_bytes(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() << 10
}

async fn open(port: u16) -> Raw {
    let mut raw = Raw { stream: TcpStream::connect(("127.0.0.1", port)).await.unwrap() };
    let body = b"\0\x03\0\0user\0me\0database\0streamgate\0application_name\0idle\0\0";
    raw.send(&[&u32::try_from(body.len() + 4).unwrap().to_be_bytes()[..], body].concat()).await;
    assert!(raw.until_ready().await.ends_with('Z'));
    raw
}

async fn started(settings: &[(&str, String)]) -> (tempfile::TempDir, ServerProcess) {
    let folder = tempfile::tempdir().unwrap();
    let mut server = ServerProcess::spawn(&BackendsOfProcess::shared(), &folder.path().join("data"), settings);
    assert!(server.until_it_answers().await.is_none(), "{}", server.log());
    (folder, server)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_idle_connections_cost_little_each() {
    const CONNECTIONS: u64 = 1000;
    let (_folder, server) = started(&[("STREAMGATE_MAX_CONNECTIONS", (CONNECTIONS + 100).to_string())]).await;
    let mut idle = Vec::new();
    let mut before = 0;
    for number in 0..CONNECTIONS + 50 {
        let mut raw = open(server.port).await;
        // What a pool does with its connections before it lays them by.
        raw.send(&message(b'Q', b"select 1\0")).await;
        assert_eq!(raw.until_ready().await, "T, D*1, C SELECT 1, Z");
        idle.push(raw);
        if number == 49 {
            // What the first ones make for all.
            before = own_bytes(server.id());
        }
    }
    let most = 60 << 10;
    let each = || own_bytes(server.id()).saturating_sub(before) / CONNECTIONS;
    until(JOB_PATIENCE, "a session at rest is small", async || {
        // Memory that is free goes back to the system as the allocator is used.
        server.query("SELECT 1").await;
        (each() <= most).then_some(())
    })
    .await;
    println!("{} bytes for each of {CONNECTIONS} connections", each());
    // Each still works.
    for raw in &mut idle {
        raw.send(&message(b'Q', b"select 1\0")).await;
        assert_eq!(raw.until_ready().await, "T, D*1, C SELECT 1, Z");
    }
    assert_eq!(server.query("SELECT count(*) > 1000 FROM pg_stat_activity").await, ["t"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_do_not_read_hold_no_memory_and_nobody_up() {
    const SLOW: u64 = 20;
    let (_folder, server) = started(&[]).await;
    let client = server.connect().await;
    client.batch_execute("SELECT 1").await.unwrap();
    let before = own_bytes(server.id());
    let mut slow = Vec::new();
    for number in 0..SLOW {
        let mut raw = open(server.port).await;
        let wide = format!("select repeat('x', 100) || value from ({ENDLESS}) s");
        match number % 3 {
            0 => raw.send(&message(b'Q', format!("{wide}\0").as_bytes())).await,
            1 => raw.send(&message(b'Q', format!("copy ({wide}) to stdout\0").as_bytes())).await,
            _ => {
                // Many small statements whose answers nobody reads.
                let many = message(b'Q', b"select repeat('x', 1000)\0").repeat(20_000);
                let _ = tokio::time::timeout(std::time::Duration::from_millis(200), raw.send(&many)).await;
            }
        }
        slow.push(raw);
    }
    // Others are answered, however long it lasts; what the slow ones hold stays.
    for _ in 0..200 {
        client.batch_execute("SELECT count(*) FROM generate_series(1, 10000)").await.unwrap();
    }
    let grown = own_bytes(server.id()).saturating_sub(before);
    println!("{} KB for each of {SLOW} clients that do not read", (grown >> 10) / SLOW);
    assert!(grown < SLOW * (16 << 20), "{} MB for {SLOW} clients", grown >> 20);
    drop(slow);
    until(JOB_PATIENCE, "those that are gone have no sessions", async || {
        let open = server.query("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'idle'").await;
        (open == ["0"]).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kernel_is_asked_to_notice_who_has_vanished() {
    let (_folder, server) = started(&[]).await;
    let raw = open(server.port).await;
    let client = raw.stream.local_addr().unwrap().port();
    let (own, theirs) = (format!("0100007F:{:04X}", server.port), format!("0100007F:{client:04X}"));
    // In the line of the server's end: the timer 2 is that of keepalive.
    until(JOB_PATIENCE, "the timer runs", async || {
        let sockets = fs::read_to_string("/proc/net/tcp").unwrap();
        let line = sockets.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let line =
            line.into_iter().find(|words| words.get(1) == Some(&&own[..]) && words.get(2) == Some(&&theirs[..]))?;
        line[5].starts_with("02:").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_statements_of_a_session_have_a_part_of_the_servers_memory() {
    let settings =
        [("STREAMGATE_QUERY_MEMORY", "256 mb".to_owned()), ("STREAMGATE_SESSION_MEMORY", "64 mb".to_owned())];
    let (_folder, server) = started(&settings).await;
    let (one, other) = (server.connect().await, server.connect().await);
    let large = "SELECT max(c) FROM (SELECT count(s) OVER () c FROM (SELECT repeat('y', 500) || value s \
                 FROM generate_series(1, 200000)) a) b";
    for client in [&one, &other] {
        let error = client.batch_execute(large).await.unwrap_err();
        let error = error.as_db_error().unwrap();
        assert_eq!(error.code().code(), "53200");
        let told = format!("{} {}", error.message(), error.detail().unwrap_or_default());
        assert!(told.contains("session_memory"), "{told}");
    }
    // What it had is given back, and others have their own.
    for client in [&one, &other] {
        client.batch_execute("SELECT count(*) FROM generate_series(1, 100000)").await.unwrap();
    }
}
