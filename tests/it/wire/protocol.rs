//! Messages: simple and extended, pipelines with errors, frames that are malformed, portals.

use super::*;

#[tokio::test]
async fn simple_queries_answer_statement_by_statement() {
    let server = server().await;
    let mut raw = server.raw().await;
    raw.send(&message(b'Q', b"select 1; select 2 where false; select nowhere; select 3\0")).await;
    assert_eq!(raw.until_ready().await, "T, D*1, C SELECT 1, T, C SELECT 0, E ERROR 42703, Z");
    raw.send(&message(b'Q', b" ; \0")).await;
    assert_eq!(raw.until_ready().await, "I, Z");
}

#[tokio::test]
async fn startup_tells_every_parameter() {
    let server = server().await;
    let mut raw = Raw { stream: TcpStream::connect(server.address).await.unwrap() };
    raw.send(b"\0\0\0\x08\x04\xd2\x16\x2f").await;
    assert_eq!(raw.stream.read_u8().await.unwrap(), b'N');
    raw.send(b"\0\0\0\x25\0\x03\x27\x0fuser\0me\0database\0streamgate\0\0").await;
    raw.stream.set_nodelay(true).unwrap();
    let mut parameters = Vec::new();
    let mut tags = String::new();
    while let Some((tag, body)) = raw.next().await {
        tags.push(tag);
        if tag == 'S' {
            parameters.push(String::from_utf8_lossy(&body).split('\0').next().unwrap().to_owned());
        }
        if tag == 'K' {
            // Protocol 3.2: a long secret.
            assert_eq!(body.len(), 4 + 32);
        }
        if tag == 'Z' {
            break;
        }
    }
    assert!(tags.starts_with("vRS") && tags.contains('K') && tags.ends_with('Z'), "{tags}");
    for name in [
        "server_version",
        "client_encoding",
        "TimeZone",
        "DateStyle",
        "integer_datetimes",
        "standard_conforming_strings",
    ] {
        assert!(parameters.iter().any(|parameter| parameter == name), "{name} is missing");
    }
}

#[tokio::test]
async fn extended_results_are_binary() {
    let client = server().await.connect().await;
    let row = client
        .query_one(
            "select true, 1::smallint, 2::int, 3::bigint, 0.5::real, 1.5::double precision, 'x', date '2024-02-29',
             timestamp '2024-02-29 01:02:03.5', [1::bigint, 2::bigint], null",
            &[],
        )
        .await
        .unwrap();
    assert!(row.get::<_, bool>(0));
    assert_eq!(row.get::<_, i16>(1), 1);
    assert_eq!(row.get::<_, i32>(2), 2);
    assert_eq!(row.get::<_, i64>(3), 3);
    assert!((row.get::<_, f32>(4) - 0.5).abs() < f32::EPSILON);
    assert!((row.get::<_, f64>(5) - 1.5).abs() < f64::EPSILON);
    assert_eq!(row.get::<_, String>(6), "x");
    assert_eq!(row.get::<_, chrono::NaiveDate>(7).to_string(), "2024-02-29");
    assert_eq!(row.get::<_, chrono::NaiveDateTime>(8).to_string(), "2024-02-29 01:02:03.500");
    assert_eq!(row.get::<_, Vec<i64>>(9), [1, 2]);
    assert_eq!(row.get::<_, Option<String>>(10), None);
}

#[tokio::test]
async fn a_portal_is_suspended_and_goes_on() {
    let server = server().await;
    let mut raw = server.raw().await;
    let flush = message(b'H', b"");
    let mut batch = [parse(ENDLESS), bind(), execute(3), flush.clone()].concat();
    raw.send(&batch).await;
    assert_eq!(raw.until('s').await, "1, 2, D*3, s");
    batch = [execute(10_000), flush].concat();
    raw.send(&batch).await;
    assert_eq!(raw.until('s').await, "D*10000, s");
    raw.send(&message(b'S', b"")).await;
    assert_eq!(raw.until_ready().await, "Z");
    // Outside of a block the portal ended with its message.
    raw.send(&[execute(0), message(b'S', b"")].concat()).await;
    assert_eq!(raw.until_ready().await, "E ERROR 34000, Z");
}

#[tokio::test]
async fn after_an_error_everything_is_skipped_until_sync() {
    let server = server().await;
    let mut raw = server.raw().await;
    let sync = message(b'S', b"");
    let bytes = [
        parse("select nowhere"),
        bind(),
        execute(0),
        parse("select 1"),
        sync.clone(),
        parse("select 1"),
        bind(),
        execute(0),
        sync,
    ];
    raw.send(&bytes.concat()).await;
    assert_eq!(raw.until_ready().await, "E ERROR 42703, Z");
    assert_eq!(raw.until_ready().await, "1, 2, D*1, C SELECT 1, Z");
    raw.send(&[parse("select 1; select 2"), message(b'S', b"")].concat()).await;
    assert_eq!(raw.until_ready().await, "E ERROR 42601, Z");
    raw.send(&[message(b'B', b"\0none\0\0\0\0\0\0\0"), message(b'S', b"")].concat()).await;
    assert_eq!(raw.until_ready().await, "E ERROR 26000, Z");
}

#[tokio::test]
async fn malformed_messages_do_not_end_the_session_and_malformed_frames_do() {
    let server = server().await;
    let mut raw = server.raw().await;
    raw.send(&[message(b'P', b"\0\0"), message(b'S', b"")].concat()).await;
    assert_eq!(raw.until_ready().await, "E ERROR 08P01, Z");
    raw.send(&message(b'Q', b"select '\xff'\0")).await;
    assert_eq!(raw.until_ready().await, "E ERROR 22021, Z");
    raw.send(&message(b'F', b"\0\0\0\x01\0\0\0\0\0\0")).await;
    assert_eq!(raw.until_ready().await, "E ERROR 0A000, Z");
    raw.send(&message(b'Q', b"select 1\0")).await;
    assert_eq!(raw.until_ready().await, "T, D*1, C SELECT 1, Z");
    raw.send(b"Q\x7f\xff\xff\xff").await;
    assert_eq!(raw.until_ready().await, "E FATAL 08P01, end");
    let mut raw = server.raw().await;
    raw.send(b"z\0\0\0\x04").await;
    assert_eq!(raw.until_ready().await, "E FATAL 08P01, end");
}

#[tokio::test]
async fn portals_live_as_long_as_their_transaction() {
    let server = server().await;
    let mut client = server.connect().await;
    let transaction = client.transaction().await.unwrap();
    let portal = transaction.bind("select value from generate_series(1, 5)", &[]).await.unwrap();
    let mut seen = Vec::new();
    loop {
        let rows = transaction.query_portal(&portal, 2).await.unwrap();
        if rows.is_empty() {
            break;
        }
        seen.extend(rows.iter().map(|row| row.get::<_, i64>(0)));
    }
    assert_eq!(seen, [1, 2, 3, 4, 5]);
    let error = transaction.query("select nowhere", &[]).await.unwrap_err();
    assert_eq!(code(&error), "42703");
    let error = transaction.query("select 1", &[]).await.unwrap_err();
    assert_eq!(code(&error), "25P02");
    transaction.rollback().await.unwrap();
    client.query("select 1", &[]).await.unwrap();
}

#[tokio::test]
async fn other_machines_are_not_served_without_tls_and_logins() {
    for (without_tls, expected) in [(false, "without TLS"), (true, "without logins")] {
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        let access = streamgate::access::Access::default().without_tls(without_tls);
        let options = WireOptions { access, ..WireOptions::default() };
        let error = serve(listener, sql_server(directory.path()), options, CancellationToken::new()).await.unwrap_err();
        assert!(error.message().contains(&format!("{expected} only loopback addresses are allowed")), "{error}");
    }
}
