//! How much memory a job's state may take: operators report what they hold, whoever holds cold rows spills when it is too much.
//! Knows numbers only; what is moved to disk, and when, is the operators' choice.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};

/// Bytes of a job's state in memory unless it says otherwise (`state.memory.budget`).
pub const DEFAULT_BYTES: u64 = 1 << 30;

/// The memory of one job's state. Cheap to clone; all clones count together.
#[derive(Debug, Clone)]
pub struct MemoryBudget {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    limit: u64,
    used: AtomicU64,
}

impl Default for MemoryBudget {
    fn default() -> Self {
        Self::new(DEFAULT_BYTES)
    }
}

impl MemoryBudget {
    /// A budget of `limit` bytes.
    pub fn new(limit: u64) -> Self {
        Self { inner: Arc::new(Inner { limit, used: AtomicU64::new(0) }) }
    }

    /// A budget by its option's text.
    ///
    /// # Errors
    /// As [`parse_memory_size`].
    pub fn parse(text: &str) -> Result<Self> {
        Ok(Self::new(parse_memory_size(text)?))
    }

    /// A place for one operator's report.
    pub fn slot(&self) -> MemorySlot {
        MemorySlot { budget: self.clone(), bytes: 0 }
    }

    /// Bytes that there are.
    pub fn limit(&self) -> u64 {
        self.inner.limit
    }

    /// Bytes that all slots report.
    pub fn used(&self) -> u64 {
        self.inner.used.load(Ordering::Relaxed)
    }

    /// Whether there is less memory than is used.
    pub fn is_over(&self) -> bool {
        self.excess() > 0
    }

    /// Bytes that are used and not there.
    pub fn excess(&self) -> u64 {
        self.used().saturating_sub(self.limit())
    }
}

/// What one operator holds. Gives it back when dropped.
#[derive(Debug)]
pub struct MemorySlot {
    budget: MemoryBudget,
    bytes: u64,
}

impl MemorySlot {
    /// Reports what is held now.
    pub fn set(&mut self, bytes: u64) {
        let used = &self.budget.inner.used;
        match bytes.checked_sub(self.bytes) {
            Some(more) => used.fetch_add(more, Ordering::Relaxed),
            None => used.fetch_sub(self.bytes - bytes, Ordering::Relaxed),
        };
        self.bytes = bytes;
    }

    /// What was reported last.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The budget that it belongs to.
    pub fn budget(&self) -> &MemoryBudget {
        &self.budget
    }
}

impl Drop for MemorySlot {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// Bytes of a size as Flink writes it: `512 mb`, `1g`, `65536`; units are powers of 1024.
///
/// # Errors
/// It is no such text, zero, or too large.
pub fn parse_memory_size(text: &str) -> Result<u64> {
    let wrong = || {
        Error::invalid(format!("\"{text}\" is no memory size"))
            .hint("Write a number and a unit, as '512 mb' or '2 gb'.")
    };
    let trimmed = text.trim();
    let digits = trimmed.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" | "bytes" => 0,
        "k" | "kb" | "kibibytes" => 10,
        "m" | "mb" | "mebibytes" => 20,
        "g" | "gb" | "gibibytes" => 30,
        "t" | "tb" | "tebibytes" => 40,
        _ => return Err(wrong()),
    };
    number.checked_mul(1 << shift).filter(|bytes| *bytes > 0).ok_or_else(wrong)
}

#[cfg(test)]
mod tests;
