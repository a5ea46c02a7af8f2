//! Finds the record behind an error of a row: the batch that failed is halved, and what keeps nothing (filters, projections, lookups,
//! the sinks' checks) is asked again, until one row is left. Only for a job that ends because of it: nothing is passed on here.

use std::collections::VecDeque;

use super::nodes::{Nodes, Work};
use super::readers::ReadBatch;
use crate::changelog::ChangeBatch;
use crate::engine::operators::Emitted;
use crate::error::{Error, ErrorKind, Result};

impl Nodes {
    /// The error, with the record that it is about, if that is one of those just read into the source at `place`.
    pub(super) async fn with_record(&mut self, place: usize, read: &[ReadBatch], error: Error) -> Error {
        if error.kind() != ErrorKind::Row || error.record().is_some() {
            return error;
        }
        for part in read {
            if let Some(row) = self.failing_row(place, &part.changes).await
                && let Some(offset) = part.offsets.of(row)
                // Of several bad rows the first one is told, whichever was met first.
                && let Err(of_row) = self.try_rows(place, part.changes.slice(row, 1)).await
            {
                return of_row
                    .context(format!("record {offset} of {}", part.split.id))
                    .of_record(&part.split.id, offset);
            }
        }
        error
    }

    async fn failing_row(&mut self, place: usize, batch: &ChangeBatch) -> Option<usize> {
        if !self.fails(place, batch.clone()).await {
            return None;
        }
        let (mut first, mut rows) = (0, batch.len());
        while rows > 1 {
            let half = rows / 2;
            if self.fails(place, batch.slice(first, half)).await {
                rows = half;
            } else {
                first += half;
                rows -= half;
            }
        }
        Some(first)
    }

    async fn fails(&mut self, place: usize, batch: ChangeBatch) -> bool {
        self.try_rows(place, batch).await.is_err_and(|error| error.kind() == ErrorKind::Row)
    }

    async fn try_rows(&mut self, place: usize, batch: ChangeBatch) -> Result<()> {
        // What keeps nothing has no side outputs either.
        let locals = |nodes: &Self, place: usize| {
            nodes.all[place].outputs.first().map_or_else(Vec::new, |output| output.locals.clone())
        };
        let mut queue: VecDeque<_> = locals(self, place).into_iter().map(|local| (local, batch.clone())).collect();
        while let Some((entry, batch)) = queue.pop_front() {
            let Emitted { rows: given, rest, .. } = match &mut self.all[entry.place].work {
                Work::Operator(operator) if operator.keeps_nothing() => operator.process(entry.input, batch).await?,
                Work::Sink(sink) => {
                    sink.check(&batch)?;
                    continue;
                }
                Work::Operator(_) | Work::Source(_) => continue,
            };
            // As in `enter`: what comes of a part goes all the way before the next part.
            if let Some(rest) = rest {
                queue.push_front((entry, rest));
            }
            for local in locals(self, entry.place) {
                queue.push_front((local, given.clone()));
            }
        }
        Ok(())
    }
}
