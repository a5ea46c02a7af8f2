//! What a person sees while the demo runs: on a terminal a small table that is redrawn and fits 80 × 24, elsewhere a line every two
//! seconds. What changed since the last picture is marked, and coloured where the terminal has colours.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::AttributeValue;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::backends::FEATURES_TABLE;
use super::check::Found;
use super::check::expected::{Features, money};
use super::generator::FIRST_USER_ID;
use super::latency::Samples;
use super::progress;
use crate::jobs::{JobStatus, Jobs};

const USERS_SHOWN: u32 = 8;
const REDRAW: Duration = Duration::from_millis(500);
const LINE_EVERY: Duration = Duration::from_secs(2);
/// A line that is longer would wrap, and the next picture would not cover it.
const COLUMNS_MAX: usize = 79;

/// What is shown.
pub struct View {
    /// Records handed to Kafka, history included.
    pub produced: Arc<AtomicU64>,
    /// Latencies measured so far.
    pub samples: Arc<Mutex<Samples>>,
    /// Its jobs.
    pub jobs: Jobs,
    /// Where the features are.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// How many users there are.
    pub users: u32,
}

/// How text is set off on a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    /// Headings.
    Faint,
    /// What changed.
    Changed,
    /// What needs a look.
    Alarming,
}

/// A line in pieces, each with its style.
#[derive(Debug, Default)]
struct Line(Vec<(String, Style)>);

impl Line {
    fn of(text: impl Into<String>, style: Style) -> Self {
        Self(vec![(text.into(), style)])
    }

    fn add(&mut self, text: impl Into<String>, style: Style) {
        self.0.push((text.into(), style));
    }

    /// At most so many characters, with the terminal's codes if it has colours.
    fn drawn(&self, columns_max: usize, has_colours: bool) -> String {
        let mut text = String::new();
        let mut left = columns_max;
        for (piece, style) in &self.0 {
            let length = piece.chars().count();
            let shown: String = match length > left {
                true => piece.chars().take(left.saturating_sub(1)).chain("…".chars().take(left.min(1))).collect(),
                false => piece.clone(),
            };
            left -= length.min(left);
            let code = match style {
                _ if !has_colours => "",
                Style::Plain => "",
                Style::Faint => "\x1b[2m",
                Style::Changed => "\x1b[1;32m",
                Style::Alarming => "\x1b[1;31m",
            };
            match code {
                "" => text.push_str(&shown),
                code => text.push_str(&format!("{code}{shown}\x1b[0m")),
            }
        }
        text
    }
}

impl View {
    /// Shows until told to end.
    pub async fn run(self, end: CancellationToken) {
        let on_terminal = std::io::stdout().is_terminal();
        let has_colours = on_terminal && has_colours();
        let started = Instant::now();
        let mut interval = tokio::time::interval(if on_terminal { REDRAW } else { LINE_EVERY });
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut drawn = 0;
        let mut before = HashMap::new();
        let (mut last_at, mut last_done, mut rate) = (started, self.done(), 0.0);
        loop {
            tokio::select! {
                _ = interval.tick() => {}
                () = end.cancelled() => return,
            }
            if last_at.elapsed() >= Duration::from_secs(1) {
                let done = self.done();
                rate = (done - last_done) as f64 / last_at.elapsed().as_secs_f64();
                (last_at, last_done) = (Instant::now(), done);
            }
            let mut lines = self.summary(started.elapsed(), rate);
            if !on_terminal {
                let pieces = lines.iter().map(|line| line.drawn(usize::MAX, false).trim().to_owned());
                println!("{}", pieces.filter(|piece| !piece.is_empty()).collect::<Vec<_>>().join(", "));
                continue;
            }
            lines.push(Line::default());
            let features = self.features().await;
            lines.extend(table(&features, &before));
            before = features.into_iter().collect();
            if end.is_cancelled() {
                return;
            }
            let lines: Vec<String> = lines.iter().map(|line| line.drawn(COLUMNS_MAX, has_colours)).collect();
            redraw(&lines, drawn);
            drawn = lines.len();
        }
    }

    /// Records whose features are in DynamoDB.
    fn done(&self) -> i64 {
        progress::job_for(&self.jobs, FEATURES_TABLE)
            .map_or(0, |job| job.splits.iter().filter_map(|split| split.acknowledged.offset()).sum())
    }

    /// Always as many lines, so that the table below stays where it is.
    fn summary(&self, elapsed: Duration, rate: f64) -> Vec<Line> {
        let produced = self.produced.load(Ordering::Relaxed);
        let done = self.done();
        let counts = format!(
            "{:6.1} s  {produced} orders produced, {done} in the features, {rate:.0} rows/s",
            elapsed.as_secs_f64(),
        );
        let samples = self.samples.lock().clone();
        let jobs = self.jobs.status();
        let ailing = jobs.iter().find(|job| matches!(job.state, "RETRYING" | "FAILED" | "QUARANTINED"));
        let second = match (ailing, samples.quantile(0.5), samples.quantile(0.99)) {
            (Some(job), ..) => {
                let error = job.last_error.as_deref().unwrap_or_default();
                Line::of(format!("job \"{}\" {}: {error}", job.name, job.state), Style::Alarming)
            }
            _ if rate < 1.0 && u64::try_from(done).is_ok_and(|done| done < produced) => {
                Line::of(why_it_waits(&jobs), Style::Plain)
            }
            (_, Some(p50), Some(p99)) => {
                Line::of(format!("order → feature p50 {} ms p99 {} ms", p50.as_millis(), p99.as_millis()), Style::Plain)
            }
            _ => Line::default(),
        };
        vec![Line::of(counts, Style::Plain), second]
    }

    /// The features of the first users; one without any is left out.
    async fn features(&self) -> Vec<(i32, Features)> {
        let mut found = Vec::new();
        for rank in 0..USERS_SHOWN.min(self.users) {
            let user = FIRST_USER_ID + rank.cast_signed();
            let answer = self
                .dynamodb
                .get_item()
                .table_name(FEATURES_TABLE)
                .key("user_id", AttributeValue::N(user.to_string()))
                .send()
                .await;
            if let Some(features) = answer.ok().and_then(|answer| Found::of(answer.item()?).features) {
                found.push((user, features));
            }
        }
        found
    }
}

/// Why no features come though there are orders.
fn why_it_waits(jobs: &[JobStatus]) -> String {
    let features = jobs.iter().find(|job| super::scripts::insert_target(&job.statement) == Some(FEATURES_TABLE));
    match features.map(|job| job.reads_behind.as_slice()) {
        Some([writer, ..]) => format!("features read behind {writer}: they wait for its writes"),
        _ => "the jobs are reading the history".to_owned(),
    }
}

/// Headings, and a line for each user; values that are not as before are marked.
fn table(features: &[(i32, Features)], before: &HashMap<i32, Features>) -> Vec<Line> {
    let mut lines = vec![
        Line::of(format!("{:>7} │ {:^32} │ {:^32}", "", "this month", "twelve months"), Style::Faint),
        Line::of(
            format!(
                "{:>7} │ {:>7} {:>13} {:>10} │ {:>7} {:>13} {:>10}",
                "user", "orders", "amount", "discount", "orders", "amount", "discount"
            ),
            Style::Faint,
        ),
    ];
    for (user, now) in features {
        let old = before.get(user);
        let has_changed = old.is_some_and(|old| old != now);
        let mut line = Line::default();
        line.add(if has_changed { "▸" } else { " " }, Style::Changed);
        line.add(format!("{user:>6} "), Style::Plain);
        for (now, old) in [(now.month, old.map(|old| old.month)), (now.year, old.map(|old| old.year))] {
            let style = |is_same: bool| if is_same { Style::Plain } else { Style::Changed };
            let same = |same: fn(&super::check::expected::Sum) -> i64| old.is_none_or(|old| same(&old) == same(&now));
            line.add("│ ", Style::Faint);
            line.add(format!("{:>7} ", now.orders), style(same(|sum| sum.orders)));
            line.add(format!("{:>13} ", money(now.amount_cents)), style(same(|sum| sum.amount_cents)));
            line.add(format!("{:>10} ", money(now.discount_cents)), style(same(|sum| sum.discount_cents)));
        }
        lines.push(line);
    }
    lines
}

/// Whether the terminal shows colours, and its user wants them (no-color.org).
pub fn has_colours() -> bool {
    let wants_none = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !wants_none && std::env::var("TERM").is_ok_and(|term| !term.is_empty() && term != "dumb")
}

fn redraw(lines: &[String], drawn: usize) {
    let mut out = std::io::stdout().lock();
    let mut frame = String::new();
    if drawn > 0 {
        frame.push_str(&format!("\x1b[{drawn}A"));
    }
    for line in lines {
        // Clears what the last frame left on the line, and below the last one.
        frame.push_str(&format!("\x1b[2K{line}\n"));
    }
    frame.push_str("\x1b[J");
    // Nobody reads any more: the demo goes on.
    let _ = out.write_all(frame.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests;
