//! SHOW JOBS: a line for each job that fits a terminal of 100 columns. Long reasons and errors go on below, the rest of them and
//! the statement are shown by DESCRIBE JOB and streamgate.jobs.

use std::sync::Arc;

use chrono_tz::Tz;
use datafusion::arrow::array::{ArrayRef, Int64Array, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;

use crate::error::Result;
use crate::jobs::JobStatus;

/// Columns of a terminal that the table fits into, as psql prints it, while names are of a usual length.
const WIDTH: usize = 100;
/// What psql puts around and between the seven columns.
const BORDERS: usize = 20;
/// Lines of one job at most.
const LINES_MAX: usize = 4;
const NAMES: [&str; 7] = ["name", "state", "waits for", "lag", "rows/s", "since", "last error"];

/// Its columns.
pub fn schema() -> SchemaRef {
    let of = |name: &&str| {
        let data_type = if matches!(*name, "lag" | "rows/s") { DataType::Int64 } else { DataType::Utf8 };
        Field::new(*name, data_type, true)
    };
    Arc::new(Schema::new(NAMES.iter().map(of).collect::<Vec<_>>()))
}

/// One job, before it is laid out.
#[derive(Debug, Clone, Default)]
pub struct Line {
    name: String,
    state: String,
    waits_for: Option<String>,
    lag: Option<u64>,
    rows_per_second: Option<u64>,
    since: Option<String>,
    last_error: Option<String>,
}

impl Line {
    /// What is known of a job at `now_ms`, times in `zone`.
    pub fn of(status: &JobStatus, now_ms: i64, zone: Tz) -> Self {
        let at = |ms: i64| time(ms, now_ms, zone);
        let error = status.last_error.as_ref().map(|error| match status.last_error_ms {
            Some(ms) => format!("{} {error}", at(ms)),
            None => error.clone(),
        });
        let wait = status.waits.first();
        Self {
            name: status.name.clone(),
            state: status.state.to_owned(),
            waits_for: wait.map(|wait| wait.reason.clone()),
            lag: status.lag(),
            rows_per_second: Some(status.rows_per_second().round() as u64),
            since: wait.map(|wait| wait.since_ms).or(status.since_ms).map(at),
            // What was left out matters most where nothing else is wrong.
            last_error: error.or_else(|| status.left_out()),
        }
    }

    /// A job that the server has not seen yet: of the session's own transaction.
    pub fn created(name: &str) -> Self {
        Self { name: name.to_owned(), state: "CREATED".to_owned(), ..Self::default() }
    }
}

/// The time alone on the same day, else the day and the time.
fn time(ms: i64, now_ms: i64, zone: Tz) -> String {
    let local = |ms| chrono::DateTime::from_timestamp_millis(ms).map(|at| at.with_timezone(&zone));
    match (local(ms), local(now_ms)) {
        (Some(at), Some(now)) if at.date_naive() == now.date_naive() => at.format("%H:%M:%S").to_string(),
        (Some(at), _) => at.format("%m-%d %H:%M").to_string(),
        (None, _) => String::new(),
    }
}

/// The rows.
///
/// # Errors
/// Never: the columns have one length.
pub fn rows(lines: &[Line]) -> Result<RecordBatch> {
    let width = |text: &str| text.chars().count();
    let widest = |name: &str, of: &dyn Fn(&Line) -> usize| lines.iter().map(of).max().unwrap_or(0).max(width(name));
    let digits = |number: Option<u64>| number.map_or(0, |number| number.to_string().len());
    let text = |text: &Option<String>| text.as_deref().map_or(0, width);
    let fixed = widest("name", &|line| width(&line.name))
        + widest("state", &|line| width(&line.state))
        + widest("lag", &|line| digits(line.lag))
        + widest("rows/s", &|line| digits(line.rows_per_second))
        + widest("since", &|line| text(&line.since));
    let waits = widest("waits for", &|line| text(&line.waits_for));
    let errors = widest("last error", &|line| text(&line.last_error));
    let (waits, errors) =
        share(WIDTH.saturating_sub(BORDERS + fixed), (width("waits for"), waits), (width("last error"), errors));

    let texts =
        |of: &dyn Fn(&Line) -> Option<String>| -> ArrayRef { Arc::new(lines.iter().map(of).collect::<StringArray>()) };
    let numbers = |of: &dyn Fn(&Line) -> Option<u64>| -> ArrayRef {
        let number = |line| of(line).map(|number| i64::try_from(number).unwrap_or(i64::MAX));
        Arc::new(lines.iter().map(number).collect::<Int64Array>())
    };
    let columns = vec![
        texts(&|line| Some(line.name.clone())),
        texts(&|line| Some(line.state.clone())),
        texts(&|line| line.waits_for.as_ref().map(|text| wrap(text, waits))),
        numbers(&|line| line.lag),
        numbers(&|line| line.rows_per_second),
        texts(&|line| line.since.clone()),
        texts(&|line| line.last_error.as_ref().map(|text| wrap(text, errors))),
    ];
    Ok(RecordBatch::try_new(schema(), columns)?)
}

/// Divides the room among two columns (least, wanted): evenly, what one does not want is the other's.
fn share(room: usize, first: (usize, usize), second: (usize, usize)) -> (usize, usize) {
    if first.1 + second.1 <= room {
        return (first.1, second.1);
    }
    let half = room / 2;
    let given = if first.1 <= half {
        first.1
    } else if second.1 <= room - half {
        room - second.1
    } else {
        half
    };
    let first = given.clamp(first.0, room.saturating_sub(second.0).max(first.0));
    (first, room.saturating_sub(first).max(second.0))
}

/// Breaks a text at spaces, and within what is too long for a line; what goes beyond the last line ends in "…".
fn wrap(text: &str, width: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    let mut length = 0;
    for word in text.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        if length > 0 && length + 1 + word.len() <= width {
            line.push(' ');
            length += 1;
        } else if length > 0 {
            lines.push(std::mem::take(&mut line));
            length = 0;
        }
        while word.len() > width {
            // After a sign within a name or an address, if one is in the line's second half.
            let after_sign = (width / 2..width).rev().find(|at| matches!(word[*at], '_' | '.' | '/' | ':' | '-' | ','));
            let rest = word.split_off(after_sign.map_or(width, |at| at + 1));
            lines.push(word.into_iter().collect());
            word = rest;
        }
        length += word.len();
        line.extend(word);
    }
    if length > 0 {
        lines.push(line);
    }
    if lines.len() > LINES_MAX {
        lines.truncate(LINES_MAX);
        if let Some(last) = lines.last_mut() {
            while last.chars().count() >= width {
                last.pop();
            }
            last.push('…');
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests;
