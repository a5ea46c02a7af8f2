//! What psql shows of what is there.

use super::*;

const DECLARATIONS: &str = "
    CREATE SCHEMA s COMMENT 'another';
    CREATE TABLE t (user_id INT, order_id BIGINT, amount DECIMAL(10, 2), `at` TIMESTAMP(3) COMMENT '下单时间',
        PRIMARY KEY (user_id, order_id) NOT ENFORCED) COMMENT 'orders' WITH ('connector' = 'blackhole');
    CREATE VIEW v AS SELECT user_id FROM t;
    CREATE FUNCTION f(a INT) RETURNS INT LANGUAGE SQL AS 'SELECT a + 1';";

/// What psql prints; `None` where it is not installed.
fn psql(server: &Server, command: &str) -> Option<String> {
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

#[tokio::test(flavor = "multi_thread")]
async fn psql_describes_what_is_there() {
    let server = server().await;
    let client = server.connect().await;
    client.batch_execute(DECLARATIONS).await.unwrap();
    let mut all = String::new();
    for command in [
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
    ] {
        let Some(output) = psql(&server, command) else { return };
        all.push_str(&format!("{command}\n{output}\n\n"));
    }
    expect_test::expect_file!["../../clients/psql_15.out"].assert_eq(&all);
}
