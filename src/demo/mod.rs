//! The whole way before one's eyes: a server with embedded backends, the scripts of `sql/`, live orders, features that change.
//! With `--check` it also proves the result. Uses the server as a client does; knows no operator and no connector.

mod backends;
mod check;
mod generator;
mod latency;
mod options;
mod progress;
mod publish;
mod scripts;
mod show;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::AttributeValue;
use rdkafka::ClientConfig;
use tokio_util::sync::CancellationToken;

use self::backends::{FEATURES_TABLE, failed};
use self::check::expected::{Month, Orders};
use self::check::log::{self, EndOffsets};
use self::generator::{FIRST_USER_ID, Generator};
use self::latency::Latencies;
use self::options::DEFAULT_RATE;
pub use self::options::{DemoOptions, Tamper};
use self::publish::Publisher;
pub use self::scripts::{SCRIPTS, Script};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::server::Server;

/// How often live orders are made; each time as many as are due.
const TICK: Duration = Duration::from_millis(10);
/// Orders a second whose latency is looked at, about.
const SAMPLES_PER_SECOND: u32 = 20;

/// Runs the demo until its orders are through, or until SIGINT or SIGTERM.
///
/// # Errors
/// The server does not start, a statement or a job fails, or the check finds a difference.
pub async fn run(config: &Config, options: &DemoOptions) -> Result<()> {
    let server = Server::start(config).await?;
    println!("streamgate listens on {}; data in {}", server.address(), config.data_dir.display());
    if server.defaults().kafka_is_embedded {
        println!("Kafka and DynamoDB are embedded: nothing leaves this machine");
    }
    let outcome = tokio::select! {
        outcome = Demo::open(&server, options) => match outcome {
            Ok(mut demo) => tokio::select! {
                outcome = demo.run() => (outcome, false),
                outcome = told_to_end() => (outcome, true),
            },
            Err(error) => (Err(error), false),
        },
        outcome = told_to_end() => (outcome, true),
    };
    let (outcome, was_told) = outcome;
    if was_told {
        // Only now, as nothing draws any more.
        println!("ending");
    }
    let address = server.address();
    server.stop().await;
    if outcome.is_ok() {
        what_next(address);
    }
    if config.data_dir == options::temporary_data_dir() {
        // What is left of it does not harm: the next demo begins with a folder of its own.
        let _ = std::fs::remove_dir_all(&config.data_dir);
    }
    outcome
}

struct Demo<'a> {
    server: &'a Server,
    options: &'a DemoOptions,
    clock: SystemClock,
    kafka: ClientConfig,
    dynamodb: aws_sdk_dynamodb::Client,
    publisher: Publisher,
    generator: Generator,
    latencies: Latencies,
    /// Where the log ended before the live orders.
    history_until: EndOffsets,
    produced: Arc<AtomicU64>,
}

impl<'a> Demo<'a> {
    /// Fills the log with history and runs the scripts.
    async fn open(server: &'a Server, options: &'a DemoOptions) -> Result<Self> {
        let clock = SystemClock;
        let kafka = backends::kafka(server.defaults())?;
        let dynamodb = backends::dynamodb(server.defaults()).await;
        backends::create_topic(&kafka).await?;
        let publisher = Publisher::new(&kafka)?;
        let produced = Arc::new(AtomicU64::new(0));

        let before: i64 = log::end_offsets(&kafka).await?.values().sum();
        // No record brings more than one new order, so these ids are new.
        let first_order_id = i32::try_from(before + 1).unwrap_or(i32::MAX / 2);
        let mut generator = Generator::new(options.seed, options.users, first_order_id);
        if before == 0 {
            for _ in 0..options.history {
                publisher.publish(&generator.history(clock.now_ms())).await?;
            }
            publisher.flush().await?;
            println!("topic \"{}\": {} orders of the past fourteen months", backends::TOPIC, options.history);
        }
        let history_until = log::end_offsets(&kafka).await?;
        produced.store(history_until.values().sum::<i64>().unsigned_abs(), Ordering::Relaxed);
        scripts::run_all(server.sql(), server.jobs()).await?;

        let orders = Orders::of(&log::read(&kafka).await?);
        let month = Month::at(clock.now_ms());
        let features = orders.features(month);
        let orders_of_month: HashMap<i32, i64> =
            features.into_iter().map(|(user, features)| (user, features.month.orders)).collect();
        let latencies = Latencies::new(dynamodb.clone(), month, orders_of_month);
        Ok(Self { server, options, clock, kafka, dynamodb, publisher, generator, latencies, history_until, produced })
    }

    async fn run(&mut self) -> Result<()> {
        let address = self.server.address();
        println!("\npsql -h {} -p {} streamgate", address.ip(), address.port());
        println!("  select * from user_features where user_id = {FIRST_USER_ID};   show jobs;\n");
        let end = CancellationToken::new();
        // Also when this future is dropped.
        let _ended = end.clone().drop_guard();
        let view = show::View {
            produced: Arc::clone(&self.produced),
            samples: self.latencies.shared_samples(),
            jobs: self.server.jobs().clone(),
            dynamodb: self.dynamodb.clone(),
            users: self.options.users,
        };
        let shown = tokio::spawn(view.run(end.clone()));
        let outcome = self.orders().await;
        end.cancel();
        let _ = shown.await;
        // Only now, as the table is drawn over what was printed below it.
        let (begun_in, report) = outcome?;
        report.iter().for_each(|line| println!("{line}"));
        for line in progress::left_out(self.server.jobs()) {
            println!("{line}");
        }
        if self.options.check {
            self.tamper().await?;
            let months = [begun_in, self.month()];
            check::check(&self.kafka, &self.dynamodb, months).await?;
        }
        Ok(())
    }

    /// Produces the orders and waits until they are through. Returns the month in which it began, and what was measured.
    async fn orders(&mut self) -> Result<(Month, Vec<String>)> {
        let begun_in = self.month();
        let mut report = Vec::new();
        // History first, so that the orders measured wait for nothing but themselves.
        progress::past(self.server.jobs(), &self.history_until).await?;

        let (steady, burst) = phases(self.options);
        let rate = self.options.rate.unwrap_or(DEFAULT_RATE);
        let started = Instant::now();
        self.steady(steady, rate).await?;
        if steady.is_some() {
            self.through().await?;
            report.push(format!(
                "steady: {} orders at {rate}/s, through all jobs after {:.1} s: {:.0} rows/s",
                steady.unwrap_or(0),
                started.elapsed().as_secs_f64(),
                steady.unwrap_or(0) as f64 / started.elapsed().as_secs_f64()
            ));
        }
        self.latencies.settle().await;
        let samples = self.latencies.samples();
        if let (Some(p50), Some(p99)) = (samples.quantile(0.5), samples.quantile(0.99)) {
            report.push(format!(
                "latency order → visible item of user_features: p50 {:.1} ms, p99 {:.1} ms ({} orders sampled at {rate}/s, {} not seen; \
                 from handing the order to the Kafka client to the first GetItem that counts it, polled every {} ms)",
                p50.as_secs_f64() * 1000.0,
                p99.as_secs_f64() * 1000.0,
                samples.count(),
                samples.missed,
                latency::POLL.as_millis(),
            ));
        }
        if burst > 0 {
            let started = Instant::now();
            for _ in 0..burst {
                self.publish_one(false).await?;
            }
            self.through().await?;
            let seconds = started.elapsed().as_secs_f64();
            report.push(format!(
                "burst: {burst} orders as fast as they go, through all jobs after {seconds:.1} s: {:.0} rows/s",
                burst as f64 / seconds
            ));
        }
        Ok((begun_in, report))
    }

    /// Makes orders at a rate; without a count, for ever.
    async fn steady(&mut self, count: Option<u64>, rate: u32) -> Result<()> {
        let started = Instant::now();
        let sample_every = u64::from((rate / SAMPLES_PER_SECOND).max(1));
        let mut interval = tokio::time::interval(TICK);
        let mut made = 0;
        while count.is_none_or(|count| made < count) {
            interval.tick().await;
            let due = (started.elapsed().as_secs_f64() * f64::from(rate)) as u64;
            while made < due.min(count.unwrap_or(u64::MAX)) {
                self.publish_one(made.is_multiple_of(sample_every)).await?;
                made += 1;
            }
        }
        Ok(())
    }

    async fn publish_one(&mut self, sample: bool) -> Result<()> {
        let now_ms = self.clock.now_ms();
        self.latencies.in_month(Month::at(now_ms));
        let record = self.generator.live(now_ms);
        let handed_over = Instant::now();
        self.publisher.publish(&record).await?;
        self.produced.fetch_add(1, Ordering::Relaxed);
        if let Some(user) = record.counts_for {
            self.latencies.order(user, handed_over, sample);
        }
        Ok(())
    }

    /// Waits until all that was produced is in Kafka and through the jobs.
    async fn through(&self) -> Result<()> {
        self.publisher.flush().await?;
        progress::past(self.server.jobs(), &log::end_offsets(&self.kafka).await?).await
    }

    /// Spoils what the check must find.
    async fn tamper(&mut self) -> Result<()> {
        match self.options.tamper {
            None => Ok(()),
            Some(Tamper::Item) => {
                self.dynamodb
                    .update_item()
                    .table_name(FEATURES_TABLE)
                    .key("user_id", AttributeValue::N(FIRST_USER_ID.to_string()))
                    .update_expression("ADD total_order_amount_latest_month :cent")
                    .expression_attribute_values(":cent", AttributeValue::N("0.01".to_owned()))
                    .send()
                    .await
                    .map_err(|error| failed("cannot alter the item", &error))?;
                Ok(())
            }
            Some(Tamper::Order) => {
                self.server.jobs().shutdown().await;
                let record = self.generator.hidden(self.clock.now_ms());
                self.publisher.publish(&record).await?;
                self.publisher.flush().await
            }
        }
    }

    fn month(&self) -> Month {
        Month::at(self.clock.now_ms())
    }
}

/// How many orders at a rate (`None`: without end), and how many after them as fast as they go.
fn phases(options: &DemoOptions) -> (Option<u64>, u64) {
    match options.orders {
        Some(orders) if options.check && options.rate.is_none() => {
            let steady = (orders / 10).clamp(200, 2000).min(orders);
            (Some(steady), orders - steady)
        }
        orders => (orders, 0),
    }
}

/// Ends the demo with what to type next.
fn what_next(address: std::net::SocketAddr) {
    let psql = format!("psql -h {} -p {} streamgate", address.ip(), crate::config::DEFAULT_PORT);
    println!("\nWhat to try next:");
    println!("  streamgate serve                       a server that keeps its data");
    println!("  {psql} -f sql/pipeline.sql");
    println!("  {psql}   then SHOW JOBS; \\d user_features");
    println!("  README.md                              with a real Kafka and AWS");
}

async fn told_to_end() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let failed = |error: std::io::Error| Error::internal(format!("cannot listen for signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
