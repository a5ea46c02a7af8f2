//! What one client may take: messages, memory, prepared statements, sockets. What is too much is refused, and all others go on.

#![allow(clippy::unwrap_used)] // clippy allows it in functions marked as tests only

use std::time::{Duration, Instant};

use streamgate::wire::WireOptions;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::server::{BackendsOfProcess, ServerProcess};
use crate::wire::{code, message, parse, resident_bytes, server, server_with};

/// A statement of so many bytes.
fn long_select(bytes: usize) -> String {
    format!("select length('{}')", "x".repeat(bytes))
}

#[tokio::test]
async fn a_message_beyond_the_limit_is_refused_and_the_session_goes_on() {
    let server = server_with(WireOptions { max_message_bytes: 1 << 20, ..WireOptions::default() }).await;
    let mut raw = server.raw().await;
    let (long, sync) = (long_select(3 << 20), message(b'S', b""));
    raw.send(&message(b'Q', format!("{long}\0").as_bytes())).await;
    assert_eq!(raw.until_ready().await, "E ERROR 54000, Z");
    raw.send(&message(b'Q', b"select 1\0")).await;
    assert_eq!(raw.until_ready().await, "T, D*1, C SELECT 1, Z");
    // What follows up to Sync is skipped, other messages that are too large among it.
    raw.send(&[parse(&long), parse(&long), parse("select 1"), sync.clone()].concat()).await;
    assert_eq!(raw.until_ready().await, "E ERROR 54000, Z");
    raw.send(&[parse(&long_select(1000)), sync].concat()).await;
    assert_eq!(raw.until_ready().await, "1, Z");
    // Beyond Postgres' own bound nothing behind it can be trusted.
    raw.send(b"Q\x7f\xff\xff\xff").await;
    assert_eq!(raw.until_ready().await, "E FATAL 08P01, end");
}

#[tokio::test]
async fn large_messages_take_time_that_grows_with_their_length() {
    let server = server().await;
    let client = server.connect().await;
    let literal = 4 << 20;
    client.batch_execute(&long_select(literal)).await.unwrap();
    let row = client.query_one(&long_select(literal), &[]).await.unwrap();
    assert_eq!(row.get::<_, i32>(0), i32::try_from(literal).unwrap());
    let row = client.query_one("select length($1::text)", &[&"x".repeat(literal)]).await.unwrap();
    assert_eq!(row.get::<_, i32>(0), i32::try_from(literal).unwrap());
    // A parameter that the statement has not: the message is taken in and looked through, and nothing is done with it.
    let mut raw = server.raw().await;
    let mut times = Vec::new();
    for megabytes in [2, 48] {
        let value = vec![b'x'; megabytes << 20];
        let length = u32::try_from(value.len()).unwrap().to_be_bytes();
        let bind = message(b'B', &[b"\0\0\0\0\0\x01", &length[..], &value, b"\0\0"].concat());
        let begun = Instant::now();
        raw.send(&[parse("select 1"), bind, message(b'S', b"")].concat()).await;
        assert_eq!(raw.until_ready().await, "1, E ERROR 08P01, Z");
        times.push(begun.elapsed());
    }
    // Twenty-four times as long: a copy for each piece that comes in would be six hundred times the work.
    assert!(times[1] < times[0].max(Duration::from_millis(20)) * 120, "{times:?}");
}

#[tokio::test]
async fn silent_sockets_keep_nobody_out() {
    let server = server_with(WireOptions { max_connections: 4, max_starting: 8, ..WireOptions::default() }).await;
    let first = server.connect().await;
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(TcpStream::connect(server.address).await.unwrap());
    }
    let begun = Instant::now();
    let second = server.connect().await;
    assert!(begun.elapsed() < Duration::from_secs(10));
    // Those that have waited the longest had to go.
    for silent in &mut silent[..32] {
        assert_eq!(silent.read(&mut [0; 8]).await.unwrap_or(0), 0);
    }
    assert!(begun.elapsed() < Duration::from_secs(10));
    for client in [&first, &second] {
        assert_eq!(client.query_one("select 1::bigint", &[]).await.unwrap().get::<_, i64>(0), 1);
    }
    // Sessions have places of their own.
    let third = server.connect().await;
    let fourth = server.connect().await;
    assert_eq!(code(&server.try_connect().await.unwrap_err()), "53300");
    drop((third, fourth));
}

#[tokio::test]
async fn prepared_statements_of_a_session_are_bounded_by_bytes() {
    let server = server().await;
    let client = server.connect().await;
    let long = "x".repeat(1 << 20);
    let mut kept = Vec::new();
    let error = loop {
        match client.prepare(&format!("select '{long}', {}", kept.len())).await {
            Ok(statement) => kept.push(statement),
            Err(error) => break error,
        }
        assert!(kept.len() < 100, "a hundred statements of a megabyte are held");
    };
    assert_eq!(code(&error), "53400");
    drop(kept);
    client.prepare("select 1").await.unwrap();
    let mut names = 0;
    let error = loop {
        match client.batch_execute(&format!("prepare p{names} as select '{long}'")).await {
            Ok(()) => names += 1,
            Err(error) => break error,
        }
        assert!(names < 100, "a hundred statements of a megabyte are held");
    };
    assert_eq!(code(&error), "53400");
    client.batch_execute("deallocate all; prepare p as select 1; execute p").await.unwrap();
    // Small ones count with what their plans hold, not with their text alone.
    let before = resident_bytes();
    let mut names = 0;
    let error = loop {
        match client.batch_execute(&format!("prepare small{names} as select $1::int + 1, $2::text")).await {
            Ok(()) => names += 1,
            Err(error) => break error,
        }
        assert!(names < 20_000, "twenty thousand statements are held");
    };
    assert_eq!(code(&error), "53400");
    let held = resident_bytes().saturating_sub(before) >> 20;
    assert!(names > 1000 && held < 256, "{names} statements hold {held} MB");
}

#[tokio::test]
async fn suspended_portals_of_a_session_are_bounded_by_bytes() {
    let server = server().await;
    let mut client = server.connect().await;
    let transaction = client.transaction().await.unwrap();
    let wide = transaction.prepare("select repeat('x', 100) || value from generate_series(1, 100000)").await.unwrap();
    let mut portals = Vec::new();
    let error = loop {
        let portal = transaction.bind(&wide, &[]).await.unwrap();
        match transaction.query_portal(&portal, 1).await {
            Ok(_) => portals.push(portal),
            Err(error) => break error,
        }
        assert!(portals.len() < 50, "fifty batches of wide rows are held");
    };
    assert_eq!(code(&error), "53400");
    drop((portals, transaction));
    let row = client.query_one("select count(*) from generate_series(1, 10)", &[]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 10);
}

/// Statements that need more memory than there is, with what they give where the answer fits.
const LARGE: &[(&str, Option<&str>)] = &[
    ("select length(repeat('x', 1500000000))", None),
    ("select length(repeat('x', 1500000000)) from generate_series(1, 8192)", None),
    ("select sum(length(repeat('x', value * 100000))) from generate_series(1, 8192)", None),
    ("select sum(length(repeat('x', 200000 + value % 2))) from generate_series(1, 300)", Some("60000150")),
    (
        "select max(length(s)) from (select repeat('x', 100000 + value % 10) s from generate_series(1, 600))",
        Some("100009"),
    ),
    ("select count(*) from generate_series(1, 300) where length(repeat('x', 200000 + value)) > 5", Some("300")),
    ("select length(lpad('x', 1500000000)), length(rpad('x', 1500000000, 'ab'))", None),
    ("select length(replace(replace(repeat('a', 30000), 'a', repeat('b', 30000)), 'b', 'cc'))", None),
    ("select cardinality(range(0, 1000000000))", None),
    ("select cardinality(generate_series(0, value * 1000000)) from generate_series(1000, 1000)", None),
    ("select cardinality(array_repeat('x', 1000000000))", None),
    ("select cardinality(array_resize(make_array(1), 1000000000, 0))", None),
    (
        "select length(concat_ws(repeat('x', 60000), value, value, value)) from generate_series(1, 3) limit 1",
        Some("120003"),
    ),
    ("select length(array_to_string(range(0, 60000), repeat('x', 60000)))", None),
    ("select length(regexp_replace(repeat('a', 60000), 'a', repeat('b', 60000), 'g'))", None),
    ("select length(string_agg(repeat('x', 1000000 + value % 2), ',')) from generate_series(1, 3000)", None),
    ("select cardinality(array_agg(repeat('x', 10000 + value % 2))) from generate_series(1, 100000)", None),
    (
        "select count(*) from (select md5(value::text) k, count(*) from generate_series(1, 200000) group by 1)",
        Some("200000"),
    ),
    (
        "select count(*) from (select value, lag(value) over (order by md5(value::text) || repeat('y', 300)) l \
         from generate_series(1, 150000)) where l is null",
        Some("1"),
    ),
    (
        "select max(c) from (select count(s) over () c from (select repeat('y', 500) || value s \
         from generate_series(1, 200000)))",
        None,
    ),
];

/// A join whose sides do not fit: sorts and a merge, with files, in place of the hash table.
const LARGE_JOIN: &str = "select count(*) from (select value, repeat('y', 300) || value s from generate_series(1, 150000)) a \
     join (select value, repeat('y', 300) || value s from generate_series(1, 150000)) b on a.s = b.s";

#[tokio::test(flavor = "multi_thread")]
async fn no_statement_takes_the_servers_memory() {
    let directory = tempfile::tempdir().unwrap();
    let backends = BackendsOfProcess::take().await;
    let mut server = ServerProcess::spawn(
        &backends,
        &directory.path().join("data"),
        &[("STREAMGATE_QUERY_MEMORY", "256 mb".into()), ("STREAMGATE_MAX_MESSAGE_SIZE", "13 mb".into())],
    );
    assert!(server.until_it_answers().await.is_none(), "{}", server.log());
    let client = server.connect().await;
    client.batch_execute("set 'query.memory.limit' = '64 mb'").await.unwrap();
    for (statement, expected) in LARGE {
        let begun = Instant::now();
        let answer = match client.simple_query(statement).await {
            Ok(messages) => messages.iter().find_map(|message| match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("NULL").to_owned()),
                _ => None,
            }),
            Err(error) => {
                println!("{error:?}");
                Some(code(&error))
            }
        };
        println!("{:>8.1?} {:>5} MB {answer:?} {statement}", begun.elapsed(), server.peak_bytes() >> 20);
        assert_eq!(answer.as_deref(), expected.or(Some("53200")), "{statement}");
    }
    client.batch_execute("set 'query.memory.limit' = '24 mb'").await.unwrap();
    assert_eq!(client.query_one(LARGE_JOIN, &[]).await.unwrap().get::<_, i64>(0), 150_000);
    // Messages count, too: one has room, several at a time have not.
    client.batch_execute(&long_select(8 << 20)).await.unwrap();
    let others = futures::future::join_all((0..3).map(|_| async {
        let client = server.connect().await;
        let answer = client.simple_query(&long_select(12 << 20)).await.map(drop);
        assert_eq!(client.query_one("select 1::bigint", &[]).await.unwrap().get::<_, i64>(0), 1);
        answer.err().map(|error| code(&error))
    }));
    let others = others.await;
    assert!(others.iter().any(|answer| answer.as_deref() == Some("53200")), "{others:?}");
    assert_eq!(code(&client.batch_execute(&long_select(14 << 20)).await.unwrap_err()), "54000");
    let peak = server.peak_bytes() >> 20;
    assert!(peak < 1000, "{peak} MB");
    assert_eq!(client.query_one("select 1::bigint", &[]).await.unwrap().get::<_, i64>(0), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_of_two_gigabytes_is_right_or_refused_where_the_limit_permits_it() {
    // It takes some 8 GB for a moment.
    if std::env::var("STREAMGATE_TEST_LONG").is_err() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let backends = BackendsOfProcess::take().await;
    let limits = [("STREAMGATE_QUERY_MEMORY", "16 gb".into())];
    let mut server = ServerProcess::spawn(&backends, &directory.path().join("data"), &limits);
    assert!(server.until_it_answers().await.is_none(), "{}", server.log());
    let client = server.connect().await;
    client.batch_execute("set 'query.memory.limit' = '16 gb'").await.unwrap();
    let of_all = "string_agg(repeat('x', 1000000 + value % 2), ',')";
    for statement in [
        format!("select length({of_all}) from generate_series(1, 2300)"),
        format!("select g, length({of_all}) from (select value % 1 as g, value from generate_series(1, 2300)) s group by g"),
        format!("select {of_all} from generate_series(1, 2300)"),
        "select length(string_agg(s, ',')) from (select repeat('x', 1000000 + value % 2) s from generate_series(1, 2300)) t".to_owned(),
    ] {
        match client.simple_query(&statement).await {
            // Out of memory, or a row that no message can hold.
            Err(error) => assert!(["53200", "54000"].contains(&code(&error).as_str()), "{statement}: {error:?}"),
            Ok(messages) => {
                let length = messages.iter().find_map(|message| match message {
                    tokio_postgres::SimpleQueryMessage::Row(row) => row.get(row.len() - 1),
                    _ => None,
                });
                // 2300 texts, of which every second has a letter more, and what is between them.
                assert_eq!(length, Some("2300003449"), "{statement}");
            }
        }
        println!("{} MB for {statement}", server.peak_bytes() >> 20);
        assert_eq!(client.query_one("select 1::bigint", &[]).await.unwrap().get::<_, i64>(0), 1);
    }
}

/// Calls of functions that take a number, or more than one.
const CALLS: &[&str] = &[
    "lpad('x', N)",
    "rpad('x', N, 'ab')",
    "repeat('x', N)",
    "left('abc', N)",
    "right('abc', N)",
    "substr('abc', N)",
    "substr('abc', 2, N)",
    "substring('abc' from N for N)",
    "split_part('a,b', ',', N)",
    "split_index('a b', ' ', N)",
    "split_index('a b', N, 0)",
    "chr(N)",
    "to_hex(N)",
    "overlay('abcdef' placing 'x' from N)",
    "substr_index('a,b', ',', N)",
    "array_repeat('x', N)",
    "array_resize(make_array(1), N, 0)",
    "array_element(make_array(1), N)",
    "array_slice(make_array(1, 2), N, N)",
    "range(N)",
    "range(0, N)",
    "range(N, 0, -1)",
    "generate_series(0, N, N)",
    "round(1.5::double, N)",
    "round(1.5, N)",
    "trunc(1.5::double, N)",
    "power(2, N)",
    "factorial(N)",
    "gcd(N, N)",
    "lcm(N, N)",
    "abs(N)",
    "-(N)",
    "N / -1",
    "N % -1",
    "N << 70",
    "from_unixtime(N)",
    "from_unixtime(N, 'yyyy')",
    "date_format(timestamp '2024-01-01 00:00:00', repeat('y', N))",
    "date_format(timestamp '2024-01-01 00:00:00', repeat('S', N))",
    "date_format(N::timestamp, 'yyyy-MM-dd')",
    "to_timestamp(N)",
    "to_timestamp_millis(N)",
    "make_date(N, 1, 1)",
    "make_date(2024, N, 1)",
    "N::timestamp",
    "N::date",
    "N::decimal(38, 10)",
    "N::text || 'x'",
    "date '2024-01-01' + N",
    "date_trunc('year', to_timestamp(N))",
    "timestamp '2024-01-01 00:00:00' + (N::text || ' days')::interval",
    "(N::text || ' months')::interval::text",
    "extract(epoch from to_timestamp(N))",
    "ascii(chr(N))",
    "strpos('abc', N::text)",
    "sum(N) over ()",
    "nth_value(N, 2) over ()",
];

#[tokio::test(flavor = "multi_thread")]
async fn no_function_fails_by_a_defect_at_the_ends_of_its_numbers() {
    let server = server().await;
    let client = server.connect().await;
    client.batch_execute("set 'query.memory.limit' = '64 mb'").await.unwrap();
    let mut defects = Vec::new();
    for call in CALLS {
        for number in ["0", "-1", "65536", "2147483648", "9223372036854775807", "(-9223372036854775807 - 1)"] {
            let constant = format!("select {}", call.replace('N', number));
            let column = format!("select {} from (values ({number}::bigint), (1)) t(n)", call.replace('N', "n"));
            for statement in [constant, column] {
                if let Err(error) = client.simple_query(&statement).await {
                    let code = code(&error);
                    if code.starts_with("XX") || code.len() != 5 {
                        defects.push(format!("{statement}: {code} {error:?}"));
                    }
                    assert!(!client.is_closed(), "{statement}: {error:?}");
                }
            }
        }
    }
    assert!(defects.is_empty(), "{}", defects.join("\n"));
}
