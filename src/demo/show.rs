//! What a person sees while the demo runs: a small table that is redrawn on a terminal, a line every two seconds elsewhere.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::AttributeValue;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::back_ends::FEATURES_TABLE;
use super::check::Found;
use super::check::expected::money;
use super::generator::FIRST_USER_ID;
use super::latency::Samples;
use super::progress;
use crate::jobs::Jobs;

const USERS_SHOWN: u32 = 8;
const REDRAW: Duration = Duration::from_millis(500);
const LINE_EVERY: Duration = Duration::from_secs(2);

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

impl View {
    /// Shows until told to end.
    pub async fn run(self, end: CancellationToken) {
        let on_terminal = std::io::stdout().is_terminal();
        let started = Instant::now();
        let mut interval = tokio::time::interval(if on_terminal { REDRAW } else { LINE_EVERY });
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut drawn = 0;
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
            let summary = self.summary(started.elapsed(), rate);
            if !on_terminal {
                println!("{summary}");
                continue;
            }
            let mut lines = vec![summary, String::new()];
            lines.extend(self.table().await);
            redraw(&lines, drawn);
            drawn = lines.len();
        }
    }

    /// Records whose features are in DynamoDB.
    fn done(&self) -> i64 {
        progress::job_for(&self.jobs, FEATURES_TABLE)
            .map_or(0, |job| job.splits.iter().map(|split| split.acknowledged).sum())
    }

    fn summary(&self, elapsed: Duration, rate: f64) -> String {
        let samples = self.samples.lock().clone();
        let latency = match (samples.quantile(0.5), samples.quantile(0.99)) {
            (Some(p50), Some(p99)) => {
                format!(", order → feature p50 {} ms p99 {} ms", p50.as_millis(), p99.as_millis())
            }
            _ => String::new(),
        };
        let failing = self.jobs.status().into_iter().find(|job| job.state == "RETRYING" || job.state == "FAILED");
        let failing = failing.map_or(String::new(), |job| {
            format!(", job \"{}\" {}: {}", job.name, job.state, job.last_error.unwrap_or_default())
        });
        format!(
            "{:6.1} s  {} orders produced, {} in the features, {rate:.0} rows/s{latency}{failing}",
            elapsed.as_secs_f64(),
            self.produced.load(Ordering::Relaxed),
            self.done(),
        )
    }

    async fn table(&self) -> Vec<String> {
        let mut lines = vec![
            format!("{:>8} │ {:>35} │ {:>35}", "", "this month", "twelve months"),
            format!(
                "{:>8} │ {:>8} {:>14} {:>11} │ {:>8} {:>14} {:>11}",
                "user", "orders", "amount", "discount", "orders", "amount", "discount"
            ),
        ];
        for rank in 0..USERS_SHOWN.min(self.users) {
            let user = FIRST_USER_ID + rank.cast_signed();
            let answer = self
                .dynamodb
                .get_item()
                .table_name(FEATURES_TABLE)
                .key("user_id", AttributeValue::N(user.to_string()))
                .send()
                .await;
            let Some(features) = answer.ok().and_then(|answer| Found::of(answer.item()?).features) else { continue };
            let (month, year) = (features.month, features.year);
            lines.push(format!(
                "{user:>8} │ {:>8} {:>14} {:>11} │ {:>8} {:>14} {:>11}",
                month.orders,
                money(month.amount_cents),
                money(month.discount_cents),
                year.orders,
                money(year.amount_cents),
                money(year.discount_cents),
            ));
        }
        lines
    }
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
