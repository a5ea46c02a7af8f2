//! What the server tells of itself: tracing set-up here (text or JSON lines on standard error, filtered by `log` of the configuration), and
//! the one list of metrics.

pub mod metrics;
pub mod process;

use std::any::Any;
use std::io::IsTerminal;

use datafusion::common::runtime::{JoinSetTracer, set_join_set_tracer};
use futures::future::BoxFuture;
use tracing::{Instrument, Span};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::Directive;

use crate::error::{Error, Result};
use crate::nearest::nearest;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line, for collectors.
    Json,
}

/// Modules that write credentials and signed requests at finer levels: whatever the filter says, these stay at this one.
const SECRETIVE: &[&str] = &[
    "aws_config=info",
    "aws_credential_types=info",
    "aws_runtime=info",
    "aws_sdk_dynamodb=info",
    "aws_sdk_sts=info",
    "aws_sigv4=info",
    "aws_smithy_http_client=info",
    "aws_smithy_runtime=info",
    "aws_smithy_runtime_api=info",
    "h2=info",
    "hyper=info",
    "hyper_util=info",
];

/// Whether a filter can be read.
///
/// # Errors
/// It cannot, or a word alone in it is not a level but nearly one.
pub fn check_filter(filter: &str) -> Result<()> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let unreadable = |why: &dyn std::fmt::Display| {
        Error::invalid(format!("log filter \"{filter}\" cannot be read: {why}"))
            .hint("Write a level (error, warn, info, debug, trace), or module=level, separated by commas.")
    };
    for directive in filter.split(',').map(str::trim).filter(|directive| !directive.is_empty()) {
        directive.parse::<Directive>().map_err(|error| unreadable(&error))?;
        // A word alone is a module's name to the parser.
        let is_word = directive.chars().all(|letter| letter.is_ascii_alphabetic());
        let level = directive.to_ascii_lowercase();
        if is_word
            && !LEVELS.contains(&level.as_str())
            && let Some(near) = nearest(&level, LEVELS.into_iter())
        {
            return Err(unreadable(&format!("\"{directive}\" is not a level (did you mean {near}?)")));
        }
    }
    Ok(())
}

/// Has the tasks that DataFusion starts for a statement or a job log with its spans.
struct SameSpan;

impl JoinSetTracer for SameSpan {
    fn trace_future(&self, future: BoxFuture<'static, Box<dyn Any + Send>>) -> BoxFuture<'static, Box<dyn Any + Send>> {
        Box::pin(future.in_current_span())
    }

    fn trace_block(
        &self,
        block: Box<dyn FnOnce() -> Box<dyn Any + Send> + Send>,
    ) -> Box<dyn FnOnce() -> Box<dyn Any + Send> + Send> {
        let span = Span::current();
        Box::new(move || span.in_scope(block))
    }
}

/// Installs the global subscriber; a second call changes nothing.
pub fn init(filter: &str, format: LogFormat) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let filter = SECRETIVE.iter().fold(filter, |filter, directive| match directive.parse() {
        Ok(directive) => filter.add_directive(directive),
        Err(_) => filter,
    });
    // It may be set already, and then it is this one.
    let _ = set_join_set_tracer(&SameSpan);
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // A failed set means that a subscriber (a test's) is already there, which is then the one to keep.
    let _ = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}
