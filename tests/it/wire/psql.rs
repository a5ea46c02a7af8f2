//! What psql shows of what is declared.

#![allow(clippy::unwrap_used)] // clippy allows it in functions marked as tests only

use super::{Server, server};
use crate::scripts::Psql;

const DECLARATIONS: &str = "
    CREATE SCHEMA s COMMENT 'another';
    CREATE TABLE t (user_id INT, order_id BIGINT, amount DECIMAL(10, 2), `at` TIMESTAMP(3) COMMENT '下单时间',
        PRIMARY KEY (user_id, order_id) NOT ENFORCED) COMMENT 'orders' WITH ('connector' = 'blackhole');
    CREATE VIEW v AS SELECT user_id FROM t;
    CREATE FUNCTION f(a INT) RETURNS INT LANGUAGE SQL AS 'SELECT a + 1';";

/// What psql prints; `None` where it is not installed.
fn psql(server: &Server, command: &str) -> Option<String> {
    if !Psql::is_there() {
        return None;
    }
    let output = std::process::Command::new("psql")
        .args([
            "-X",
            "-h",
            "127.0.0.1",
            "-p",
            &server.address.port().to_string(),
            "-U",
            "me",
            "-d",
            "streamgate",
            "-c",
            command,
        ])
        .env("LC_ALL", "C.UTF-8")
        .env("PGCLIENTENCODING", "UTF8")
        .output()
        .ok()?;
    let text = [output.stdout, output.stderr].concat();
    Some(String::from_utf8_lossy(&text).lines().map(str::trim_end).collect::<Vec<_>>().join("\n"))
}

/// What psql prints for commands, each behind its name.
fn shown(server: &Server, commands: &[&str]) -> Option<String> {
    let shown = commands.iter().map(|command| Some(format!("{command}\n{}\n\n", psql(server, command)?)));
    shown.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn psql_describes_what_is_there() {
    let server = server().await;
    let client = server.connect().await;
    client.batch_execute(DECLARATIONS).await.unwrap();
    let shown = shown(
        &server,
        &[
            r"\d",
            r"\dt",
            r"\dn",
            r"\dn+",
            r"\dv",
            r"\df",
            r"\du",
            r"\d t",
            r"\d+ t",
            r"\d v",
            r"\d+ v",
            r"\di",
            r"\d t_pkey",
            r"\l",
            r"\z",
            r"\sf f",
            r"\sv v",
            r"\dx",
            r"\dT",
            r"\d nowhere",
            r"\dt pg_catalog.pg_c*",
        ],
    );
    let Some(shown) = shown else { return };
    expect_test::expect_file!["../../clients/psql_15.out"].assert_eq(&shown);
}

const COMMENTS: &str = "
    COMMENT ON TABLE t IS 'what is ordered';
    COMMENT ON COLUMN t.amount IS 'in yuan';
    COMMENT ON VIEW v IS 'who orders';
    COMMENT ON COLUMN v.user_id IS 'somebody';
    COMMENT ON FUNCTION f(INT) IS 'one more';
    COMMENT ON SCHEMA s IS NULL;
    COMMENT ON DATABASE streamgate IS 'all that is declared';";

#[tokio::test(flavor = "multi_thread")]
async fn show_create_table_has_the_comments() {
    let server = server().await;
    let client = server.connect().await;
    client.batch_execute(DECLARATIONS).await.unwrap();
    client.batch_execute(COMMENTS).await.unwrap();
    let mut texts = Vec::new();
    for statement in ["SHOW CREATE TABLE t", "SHOW CREATE VIEW v"] {
        let row = client.query_one(statement, &[]).await.unwrap();
        texts.push(row.get::<_, String>(0));
    }
    assert!(texts[0].contains("`amount` DECIMAL(10, 2) COMMENT 'in yuan'"), "{texts:?}");
    assert!(texts[0].contains(")\nCOMMENT 'what is ordered'\nWITH"), "{texts:?}");
    assert!(texts[1].contains("\nCOMMENT 'who orders'\nAS SELECT"), "{texts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn psql_shows_comments_where_they_are_kept() {
    let server = server().await;
    let client = server.connect().await;
    client.batch_execute(DECLARATIONS).await.unwrap();
    client.batch_execute(COMMENTS).await.unwrap();
    let commands = [r"\d+ t", r"\d+ v", r"\dt+", r"\dv+", r"\df+ f", r"\dn+", r"\l+"];
    let Some(shown) = shown(&server, &commands) else { return };
    expect_test::expect_file!["../../clients/psql_15_comments.out"].assert_eq(&shown);
}
