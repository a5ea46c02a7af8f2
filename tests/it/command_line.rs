//! The commands beside `serve` at the front door: `sql` on a server of its own, completions and man pages.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::server::{BackendsOfProcess, ServerProcess};

/// Runs `streamgate` with this input to its end.
fn streamgate(arguments: &[&str], environment: &[(&str, &str)], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_streamgate"));
    for name in ["PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGPASSWORD", "PGSSLMODE", "PGSSLROOTCERT"] {
        command.env_remove(name);
    }
    command.args(arguments).envs(environment.iter().copied());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs `streamgate sql` on the server: what it prints, and what it says aside.
fn sql(server: &ServerProcess, arguments: &[&str], input: &str) -> (bool, String, String) {
    let port = server.port.to_string();
    let output = streamgate(&[&["sql", "-p", &port], arguments].concat(), &[("PGUSER", "test")], input);
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_runs_statements_of_files_and_of_the_command_line() {
    let folder = TempDir::new().unwrap();
    let server = ServerProcess::start(&BackendsOfProcess::shared(), &folder.path().join("data")).await;
    let file = folder.path().join("script.sql");
    fs::write(
        &file,
        "-- a comment\nCREATE TABLE seeds (id INT PRIMARY KEY, name TEXT);\nINSERT INTO seeds VALUES (1, 'one;'), (2, NULL);\n\n\
         SELECT * FROM seeds ORDER BY id;\n",
    )
    .unwrap();
    let file = file.to_str().unwrap();
    let (ok, printed, aside) = sql(&server, &["-f", file], "");
    assert!(ok, "{aside}");
    assert_eq!(printed, " id | name\n----+------\n 1  | one;\n 2  | \n(2 rows)\n\n");
    // A second time the table is there: the error names the line, and what follows is not run.
    let (ok, printed, aside) = sql(&server, &["-f", file], "");
    assert!(!ok && printed.is_empty(), "{printed}");
    assert!(aside.contains(&format!("{file}:2: ERROR: ")) && aside.contains("(42P07)"), "{aside}");
    // NOTICEs are shown aside; -c comes before -f, standard input is a file called -.
    let arguments = ["-t", "--format", "unaligned", "-c", "DROP TABLE IF EXISTS nothing_here", "-f", "-"];
    let (ok, printed, aside) = sql(&server, &arguments, "SELECT id, name FROM seeds ORDER BY id; SELECT 3, 'x'");
    assert!(ok, "{aside}");
    assert_eq!(printed, "1|one;\n2|\n3|x\n");
    assert!(aside.contains("NOTICE:  ") && aside.contains("nothing_here"), "{aside}");
    // COPY goes through standard input and output.
    let (ok, printed, aside) = sql(&server, &["-c", "COPY seeds FROM STDIN (FORMAT csv)"], "3,three\n4,\n");
    assert!(ok && printed == "COPY 2\n", "{printed} {aside}");
    let (ok, printed, _) = sql(&server, &["-c", "COPY (SELECT * FROM seeds ORDER BY id) TO STDOUT (FORMAT csv)"], "");
    assert!(ok);
    assert_eq!(printed, "1,one;\n2,\n3,three\n4,\n");
    let (ok, printed, _) = sql(&server, &["--format", "csv", "-c", "SELECT 'a,b' AS \"x,y\", NULL, ''"], "");
    assert!(ok);
    assert!(printed.starts_with("\"x,y\",") && printed.ends_with("\"a,b\",,\"\"\n"), "{printed}");
    let (ok, _, aside) = sql(&server, &["-c", "\\d seeds"], "");
    assert!(!ok && aside.contains("\\d is a command of psql, not SQL"), "{aside}");
    // Rows of a result that goes on are shown while it does.
    let (_, printed, _) = sql(
        &server,
        &[
            "-c",
            "SET statement_timeout = '2s'",
            "-c",
            "SELECT 1 AS first_row UNION ALL SELECT 2 FROM (SELECT pg_sleep(60)) AS s",
        ],
        "",
    );
    assert!(printed.contains("first_row"), "{printed}");
}

#[test]
fn sql_says_what_it_cannot_reach() {
    let output = streamgate(&["sql", "-h", "127.0.0.1", "-p", "1", "-c", "SELECT 1"], &[], "");
    let aside = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(aside.contains("cannot connect to 127.0.0.1:1: "), "{aside}");
}

#[test]
fn completions_and_man_pages_know_every_command() {
    let folder = TempDir::new().unwrap();
    let commands = ["serve", "doctor", "sql", "init", "demo", "completions", "man"];
    for shell in ["bash", "zsh", "fish"] {
        let output = streamgate(&["completions", shell], &[], "");
        let script = text(&output.stdout);
        assert!(output.status.success() && commands.iter().all(|command| script.contains(command)), "{shell}");
    }
    let pages = folder.path().join("man");
    assert!(streamgate(&["man", pages.to_str().unwrap()], &[], "").status.success());
    let page = |name: &str| fs::read_to_string(Path::new(&pages).join(name)).unwrap();
    assert!(page("streamgate.1").contains("serve"));
    for command in commands {
        let page = page(&format!("streamgate-{command}.1"));
        assert!(command != "serve" || page.contains("listen"), "{page}");
    }
}
