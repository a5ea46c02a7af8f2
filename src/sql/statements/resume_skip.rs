//! RESUME JOB … SKIP RECORD | SKIP TO (…): which records a job goes over. Decides from where the job rests; the catalog keeps it.

use datafusion::sql::sqlparser::tokenizer::Token;

use crate::connectors::SkippedRecords;
use crate::error::{Error, Result, SqlState};
use crate::jobs::RestingPlace;
use crate::sql::parser::Cursor;

/// SKIP RECORD | SKIP TO ([TOPIC 'topic'] PARTITION n OFFSET n, …)
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Skip {
    /// The record that failed the job.
    Record,
    /// Everything up to an offset, in each of these partitions.
    To(Vec<Target>),
}

/// Where to go on in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    topic: Option<String>,
    partition: i32,
    offset: i64,
}

impl Skip {
    /// Reads what follows the word SKIP.
    ///
    /// # Errors
    /// A syntax error.
    pub fn parse(cursor: &mut Cursor) -> Result<Self> {
        if cursor.word("RECORD") {
            return Ok(Self::Record);
        }
        cursor.expect_word("TO")?;
        cursor.expect(&Token::LParen)?;
        let mut targets = Vec::new();
        loop {
            let topic = if cursor.word("TOPIC") { Some(cursor.string()?) } else { None };
            cursor.expect_word("PARTITION")?;
            let partition = number(cursor)?;
            cursor.expect_word("OFFSET")?;
            targets.push(Target { topic, partition, offset: number(cursor)? });
            if !cursor.token(&Token::Comma) {
                break;
            }
        }
        cursor.expect(&Token::RParen)?;
        Ok(Self::To(targets))
    }

    /// The records that `job`, which rests at `place`, goes over.
    ///
    /// # Errors
    /// No record is known, a partition is not read, or an offset is not behind where the job rests.
    pub fn records(&self, job: &str, place: &RestingPlace) -> Result<Vec<SkippedRecords>> {
        let targets = match (self, &place.record) {
            (Self::To(targets), _) => targets,
            (Self::Record, Some(record)) => {
                let skip = SkippedRecords { split: record.split.clone(), from: record.offset, to: record.offset + 1 };
                return Ok(vec![skip]);
            }
            (Self::Record, None) => {
                return Err(Error::invalid(format!(
                    "it is not known which record job \"{job}\" failed at, if it was one"
                ))
                .code(SqlState::ObjectNotInPrerequisiteState)
                .hint(
                    "RESUME JOB … SKIP TO (PARTITION 0 OFFSET …) goes on at an offset; DESCRIBE JOB shows the error.",
                ));
            }
        };
        targets.iter().map(|target| target.records(job, place)).collect()
    }
}

impl Target {
    fn records(&self, job: &str, place: &RestingPlace) -> Result<SkippedRecords> {
        let of_partition = |split: &&String| match split.rsplit_once('/') {
            Some((topic, partition)) => {
                partition.parse() == Ok(self.partition) && self.topic.as_deref().is_none_or(|wanted| wanted == topic)
            }
            None => false,
        };
        let known: Vec<&str> = place.positions.keys().map(String::as_str).collect();
        let mut found = place.positions.keys().filter(of_partition);
        let split = match (found.next(), found.next()) {
            (Some(split), None) => split,
            (Some(_), Some(_)) => {
                return Err(Error::invalid(format!(
                    "job \"{job}\" reads partition {} of several topics",
                    self.partition
                ))
                .hint(format!("Write SKIP TO (TOPIC '…' PARTITION …); it reads {}.", known.join(", "))));
            }
            (None, _) => {
                let error = Error::invalid(format!("job \"{job}\" has not read from partition {}", self.partition));
                return Err(match known.is_empty() {
                    true => error.code(SqlState::ObjectNotInPrerequisiteState).hint("It has read nothing yet."),
                    false => error.hint(format!("It reads {}.", known.join(", "))),
                });
            }
        };
        let position = &place.positions[split];
        let Some(from) = position.offset() else {
            return Err(Error::invalid(format!(
                "job \"{job}\" rests at {} of {split}, which has no offsets",
                position.described()
            )));
        };
        if self.offset <= from {
            return Err(Error::invalid(format!(
                "offset {} of {split} is not behind offset {from}, where job \"{job}\" rests",
                self.offset
            ))
            .hint("What a job has taken cannot be taken again; a job that is submitted anew reads from any offset."));
        }
        Ok(SkippedRecords { split: split.clone(), from, to: self.offset })
    }
}

fn number<T: std::str::FromStr>(cursor: &mut Cursor) -> Result<T> {
    match cursor.peek() {
        Token::Number(text, _) => {
            let number = text.parse().map_err(|_| cursor.error())?;
            cursor.take();
            Ok(number)
        }
        _ => Err(cursor.error()),
    }
}

#[cfg(test)]
mod tests;
