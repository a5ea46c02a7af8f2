//! What ends a query or a session: cancel, time-outs, a client that is gone, a stop; and what does not.

use super::*;

#[tokio::test]
async fn a_cancel_request_ends_a_streaming_query() {
    let server = server().await;
    let client = server.connect().await;
    let cancel = client.cancel_token();
    let rows = client.query_raw(ENDLESS, Vec::<i32>::new()).await.unwrap();
    let mut rows = std::pin::pin!(rows);
    assert!(rows.next().await.unwrap().is_ok());
    cancel.cancel_query(NoTls).await.unwrap();
    let error = loop {
        match rows.next().await {
            Some(Ok(_)) => {}
            Some(Err(error)) => break error,
            None => panic!("the query ended"),
        }
    };
    assert_eq!(code(&error), "57014");
    assert_eq!(client.query_one("select 1::bigint", &[]).await.unwrap().get::<_, i64>(0), 1);
}

#[tokio::test]
async fn a_cancel_request_ends_a_query_without_rows() {
    let server = server().await;
    let client = server.connect().await;
    let cancel = client.cancel_token();
    let query = tokio::spawn(async move {
        client.simple_query("select count(*) from generate_series(1, 1000000000000)").await.map(drop)
    });
    // The request may come before the statement; then it finds nothing to cancel.
    let started = Instant::now();
    while !query.is_finished() {
        assert!(started.elapsed() < Duration::from_secs(30), "the cancel has no effect");
        cancel.cancel_query(NoTls).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(code(&query.await.unwrap().unwrap_err()), "57014");
}

#[tokio::test]
async fn ten_million_rows_are_streamed() {
    let server = server().await;
    let client = server.connect().await;
    let before = resident_bytes();
    let stream = client.simple_query_raw("select value from generate_series(1, 10000000)").await.unwrap();
    let mut stream = std::pin::pin!(stream);
    let (mut count, mut largest) = (0_u64, 0);
    while let Some(message) = stream.try_next().await.unwrap() {
        match message {
            SimpleQueryMessage::Row(_) => count += 1,
            SimpleQueryMessage::CommandComplete(rows) => assert_eq!(rows, 10_000_000),
            _ => {}
        }
        if count % 100_000 == 0 {
            largest = largest.max(resident_bytes());
        }
    }
    assert_eq!(count, 10_000_000);
    assert!(largest < before + (300 << 20), "{before} bytes grew to {largest}");
}

#[tokio::test]
async fn a_vanished_client_ends_its_query_and_frees_its_place() {
    let server = server_with(WireOptions { max_connections: 1, ..WireOptions::default() }).await;
    let mut raw = server.raw().await;
    raw.send(&message(b'Q', b"select count(*) from generate_series(1, 1000000000000)\0")).await;
    let refused = server.try_connect().await.expect_err("there is no place");
    assert_eq!(code(&refused), "53300");
    drop(raw);
    let started = Instant::now();
    while server.try_connect().await.is_err() {
        assert!(started.elapsed() < Duration::from_secs(30), "the place stays taken");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_stop_ends_idle_sessions_at_once_and_running_ones_after_the_grace() {
    let server =
        server_with(WireOptions { shutdown_grace: Duration::from_millis(100), ..WireOptions::default() }).await;
    let (mut idle, mut busy) = (server.raw().await, server.raw().await);
    busy.send(&message(b'Q', format!("{ENDLESS}\0").as_bytes())).await;
    assert_eq!(busy.next().await.unwrap().0, 'T');
    server.shutdown.cancel();
    assert_eq!(idle.until_ready().await, "E FATAL 57P01, end");
    assert!(busy.until_ready().await.ends_with("E FATAL 57P01, end"));
    server.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_statement_timeout_ends_streams_and_silent_queries() {
    let client = server().await.connect().await;
    client.batch_execute("SET statement_timeout = '200ms'").await.unwrap();
    for sql in [ENDLESS, "select count(*) from generate_series(1, 1000000000000)"] {
        let error = client.query(sql, &[]).await.unwrap_err();
        assert_eq!(code(&error), "57014");
        assert!(error.as_db_error().unwrap().message().contains("statement timeout"));
    }
    client.batch_execute("RESET statement_timeout").await.unwrap();
}

#[tokio::test]
async fn idle_sessions_end_after_their_time_outs() {
    let server = server().await;
    let query = |sql: &str| message(b'Q', format!("{sql}\0").as_bytes());
    let mut raw = server.raw().await;
    // Outside of a transaction the other setting counts.
    raw.send(&query("set idle_in_transaction_session_timeout = '50ms'")).await;
    assert_eq!(raw.until_ready().await, "C SET, Z");
    tokio::time::sleep(Duration::from_millis(300)).await;
    raw.send(&query("begin")).await;
    assert_eq!(raw.until_ready().await, "C BEGIN, Z");
    assert_eq!(raw.until_ready().await, "E FATAL 25P03, end");
    let mut raw = server.raw().await;
    raw.send(&query("set idle_session_timeout = '50ms'")).await;
    assert_eq!(raw.until_ready().await, "C SET, Z");
    assert_eq!(raw.until_ready().await, "E FATAL 57P05, end");
    // 0 is no limit, and a statement that runs is not idle.
    let mut raw = server.raw().await;
    raw.send(&query("set idle_session_timeout = 0; set idle_session_timeout = '2s'; select count(*) from generate_series(1, 3000000) g(x) where x % 7 = 1")).await;
    assert_eq!(raw.until_ready().await, "C SET, C SET, T, D*1, C SELECT 1, Z");
}
