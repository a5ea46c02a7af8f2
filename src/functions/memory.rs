//! How large a value that a function makes may become. A function knows neither its statement nor its job: the limit comes with
//! the options that it is given, and what is made within one evaluation is counted together where somebody opened a [`Scope`].

use std::any::Any;
use std::cell::Cell;

use datafusion::common::config::{ConfigEntry, ConfigExtension, ConfigOptions, ExtensionOptions};
use datafusion::error::{DataFusionError, Result};

use crate::error::{Error, SqlState};

/// What is made while a statement is planned, where no limit was set: a larger constant is computed when the statement runs.
pub const PLANNING_BYTES_MAX: usize = 64 << 10;
/// What a call may make for one batch of a job.
pub const JOB_BYTES_MAX: usize = 256 << 20;

thread_local! {
    /// Bytes that may still be made on this thread, within a scope.
    static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
}

/// The most bytes that one call makes for a batch; part of the options with which functions run.
#[derive(Debug, Clone, Copy)]
pub struct ValueLimit(pub usize);

impl ConfigExtension for ValueLimit {
    const PREFIX: &'static str = "streamgate_values";
}

impl ExtensionOptions for ValueLimit {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn cloned(&self) -> Box<dyn ExtensionOptions> {
        Box::new(*self)
    }

    fn set(&mut self, key: &str, _value: &str) -> Result<()> {
        Err(Error::invalid(format!("unknown option {key}")).into())
    }

    fn entries(&self) -> Vec<ConfigEntry> {
        Vec::new()
    }
}

/// What all calls on this thread make together, until it is dropped.
pub struct Scope(());

impl Scope {
    /// Opens a scope of so many bytes; scopes do not nest.
    pub fn open(bytes: usize) -> Self {
        LEFT.set(Some(bytes));
        Self(())
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        LEFT.set(None);
    }
}

/// Asks for the memory of what `name` is about to make.
///
/// # Errors
/// 53200: it is more than may be.
pub fn admit(name: &str, bytes: usize, options: &ConfigOptions) -> Result<()> {
    let limit = options.extensions.get::<ValueLimit>().map_or(PLANNING_BYTES_MAX, |limit| limit.0);
    if bytes > limit {
        return Err(too_large(name, bytes, limit));
    }
    match LEFT.get() {
        Some(left) if bytes > left => Err(too_large(name, bytes, left)),
        Some(left) => {
            LEFT.set(Some(left - bytes));
            Ok(())
        }
        None => Ok(()),
    }
}

/// The error of a value, or of a batch of values, for which there is no memory. It is one of a row: fewer rows at a time may go, and
/// what is too much for one alone may be left out.
pub fn too_large(name: &str, bytes: usize, limit: usize) -> DataFusionError {
    Error::row(format!("out of memory: {name} would make {}, at most {} are allowed", mib(bytes), mib(limit)))
        .code(SqlState::OutOfMemory)
        .hint("A value and all that is made with it may have a quarter of query.memory.limit, in a job 256 MiB.")
        .into()
}

/// Whether an error says that a batch is too large, so that fewer rows at a time may go.
pub fn is_too_large(error: &DataFusionError) -> bool {
    matches!(error.find_root(), DataFusionError::External(inner)
        if inner.downcast_ref::<Error>().is_some_and(|error| error.sqlstate() == SqlState::OutOfMemory))
}

fn mib(bytes: usize) -> String {
    match bytes {
        0..1_048_576 => format!("{bytes} bytes"),
        _ => format!("{} MiB", bytes.div_ceil(1 << 20)),
    }
}
