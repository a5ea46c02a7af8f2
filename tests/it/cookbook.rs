//! docs/cookbook.md, word for word: its blocks of SQL run one after the other by `streamgate sql`, and each query gives what the page
//! shows under it.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::server::{BackendsOfProcess, JOB_PATIENCE, ServerProcess};

/// Blocks of the page, in their order.
#[derive(Debug)]
enum Block {
    Statements(String),
    /// A query and what it shows.
    Query(String, String),
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let mut body =
            || lines.by_ref().take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect::<String>();
        match line {
            "```sql" => blocks.push(Block::Statements(body())),
            "```text" => match blocks.pop() {
                Some(Block::Statements(query)) => blocks.push(Block::Query(query, body())),
                other => panic!("a result without a query, after {other:?}"),
            },
            _ => {}
        }
    }
    blocks
}

fn run(server: &ServerProcess, statements: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_streamgate"));
    command.args([
        "sql",
        "-h",
        "127.0.0.1",
        "-p",
        &server.port.to_string(),
        "-U",
        "test",
        "-d",
        "streamgate",
        "-c",
        statements,
    ]);
    command.output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cookbook_gives_what_it_shows() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cookbook.md")).unwrap();
    let blocks = blocks(&page);
    assert!(blocks.iter().filter(|block| matches!(block, Block::Query(..))).count() >= 4, "{blocks:?}");
    let folder = TempDir::new().unwrap();
    let server = ServerProcess::start(&BackendsOfProcess::shared(), &folder.path().join("data")).await;
    for block in &blocks {
        match block {
            Block::Statements(statements) => {
                let output = run(&server, statements);
                assert!(output.status.success(), "{statements}\n{}", String::from_utf8_lossy(&output.stderr));
            }
            Block::Query(query, expected) => {
                let deadline = Instant::now() + JOB_PATIENCE;
                loop {
                    let shown = String::from_utf8_lossy(&run(&server, query).stdout).into_owned();
                    if trimmed(&shown) == trimmed(expected) {
                        break;
                    }
                    assert!(Instant::now() < deadline, "{query}\nshows\n{shown}\ninstead of\n{expected}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

/// Without the blanks that a page does not keep at the ends of lines.
fn trimmed(text: &str) -> String {
    text.trim_end().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}
