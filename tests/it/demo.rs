//! The demo checks itself, and its check fails when something is wrong.

use std::fs::File;
use std::io::Read;
use std::os::fd::{FromRawFd, OwnedFd};
use std::process::Output;

use tempfile::TempDir;

use crate::server::BackendsOfProcess;

async fn demo(arguments: &[&str]) -> (Output, String) {
    let backends = BackendsOfProcess::take().await;
    let folder = TempDir::new().unwrap();
    let mut command = backends.command("demo", &folder.path().join("data"), 0);
    command.args(["--orders", "800", "--users", "40", "--history", "600", "--check"]).args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output, text)
}

#[tokio::test]
async fn the_demo_checks_every_feature_and_says_how_fast_it_was() {
    let (output, text) = demo(&[]).await;
    assert!(output.status.success(), "{text}");
    assert!(text.contains("all features and all monthly sums are equal to the independent computation"), "{text}");
    assert!(text.contains("rows/s") && text.contains("p99"), "{text}");
    assert!(text.contains("psql -h 127.0.0.1 -p "), "{text}");
    // Nothing to be alarmed by, and it ends with what comes next, on lines that fit.
    assert!(!text.contains("WARN"), "{text}");
    let next = text.split("What to try next:").nth(1).unwrap_or_default();
    assert!(next.contains("streamgate serve") && next.contains("sql/pipeline.sql"), "{text}");
    assert!(next.lines().all(|line| line.chars().count() < 80), "{next}");
}

#[tokio::test]
async fn an_altered_item_fails_the_check() {
    let (output, text) = demo(&["--tamper", "item"]).await;
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("items differ: user 10001: expected month "), "{text}");
}

#[tokio::test]
async fn a_dropped_order_fails_the_check() {
    let (output, text) = demo(&["--tamper", "order"]).await;
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("items differ: user 10001: expected month "), "{text}");
}

/// A terminal of so many columns and lines: the side that shows, and the program's.
fn terminal(columns: u16, lines: u16) -> (File, OwnedFd) {
    let size = libc::winsize { ws_row: lines, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let (mut shows, mut program) = (-1, -1);
    // SAFETY: both descriptors are written to, no name and no settings are asked for, and the size is alive.
    let opened = unsafe {
        libc::openpty(&raw mut shows, &raw mut program, std::ptr::null_mut(), std::ptr::null(), &raw const size)
    };
    assert_eq!(opened, 0, "{}", std::io::Error::last_os_error());
    // SAFETY: both were opened just now, and nobody else has them.
    unsafe { (File::from_raw_fd(shows), OwnedFd::from_raw_fd(program)) }
}

/// What a demo draws on a terminal of 80 × 24.
async fn drawn(variables: &[(&str, &str)], arguments: &[&str]) -> String {
    let backends = BackendsOfProcess::take().await;
    let folder = TempDir::new().unwrap();
    let (mut shows, program) = terminal(80, 24);
    let mut command = backends.command("demo", &folder.path().join("data"), 0);
    command.args(arguments).env("TERM", "xterm-256color").env_remove("NO_COLOR").envs(variables.iter().copied());
    command.stdout(program.try_clone().unwrap()).stderr(program.try_clone().unwrap()).stdin(program);
    tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().unwrap();
        // Ours go with it: the end of the child is the end of the terminal.
        drop(command);
        let mut bytes = Vec::new();
        // Linux tells by an error that nobody is left on the other side.
        let _ = shows.read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes).replace("\r\n", "\n");
        assert!(child.wait().unwrap().success(), "{text}");
        text
    })
    .await
    .unwrap()
}

/// Without the codes of colours.
fn plain(text: &str) -> String {
    let mut pieces = text.split("\x1b[");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |plain, piece| match piece.split_once('m') {
        Some((code, rest)) if code.chars().all(|letter| letter.is_ascii_digit() || letter == ';') => plain + rest,
        _ => format!("{plain}\x1b[{piece}"),
    })
}

#[tokio::test]
async fn on_a_terminal_the_picture_stays_where_it_is_and_marks_what_changed() {
    let text = drawn(&[], &["--orders", "300", "--rate", "100", "--users", "40", "--history", "3000"]).await;
    let frames: Vec<&str> = text.split("\x1b[J").filter(|frame| frame.contains("\x1b[2K")).collect();
    assert!(frames.len() > 2, "{text}");
    for (number, frame) in frames.iter().enumerate() {
        let lines: Vec<&str> = frame.split("\x1b[2K").skip(1).collect();
        assert!(lines.len() <= 23, "{} lines: {frame}", lines.len());
        for line in &lines {
            assert!(line.ends_with('\n') && plain(line).trim_end().chars().count() < 80, "{line:?}");
        }
        // Each picture begins where the one before it did.
        if number > 0 {
            let before = frames[number - 1].split("\x1b[2K").count() - 1;
            assert!(frame.starts_with(&format!("\x1b[{before}A")), "{before} lines before {frame:?}");
        }
    }
    // The first one tells why there is nothing yet; later ones mark the users whose features have changed.
    let told = plain(frames[0]);
    assert!(
        told.contains("read behind insert_into_dynamodb_orders") || told.contains("are reading the history"),
        "{told}"
    );
    let marked = frames.iter().find(|frame| frame.contains('▸')).unwrap_or_else(|| panic!("nothing is marked: {text}"));
    assert!(marked.contains("\x1b[1;32m▸\x1b[0m") && plain(marked).contains("this month"), "{marked:?}");
    assert!(!text.contains("WARN"), "{text}");
}

#[tokio::test]
async fn a_terminal_without_colours_gets_none() {
    let arguments = ["--orders", "120", "--rate", "60", "--users", "3", "--history", "10"];
    let text = drawn(&[("NO_COLOR", "1")], &arguments).await;
    assert!(text.contains('▸') && text.contains("\x1b[2K"), "{text}");
    assert_eq!(plain(&text), text);
}
