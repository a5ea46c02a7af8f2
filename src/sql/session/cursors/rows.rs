//! The rows of one cursor, and how it goes through them. While a statement takes rows it has them to itself; afterwards, or when it is
//! given up, they are back in their slot.

use std::sync::Arc;

use datafusion::arrow::array::UInt32Array;
use datafusion::arrow::compute::take_record_batch;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, stream};
use parking_lot::Mutex;

use crate::error::{Error, Result, SqlState};

/// Where a cursor's rows are while nobody takes any.
pub(super) type Slot = Arc<Mutex<Option<CursorRows>>>;

/// How FETCH and MOVE go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Motion {
    /// So many rows forward; `None`: all that follow.
    Forward(Option<u64>),
    /// So many rows back, the nearest first; `None`: all before.
    Backward(Option<u64>),
    /// To a row, from 1; a negative one counts from the end.
    Absolute(i64),
    /// To a row, counted from this one.
    Relative(i64),
}

/// See the module.
pub(super) struct CursorRows {
    stream: SendableRecordBatchStream,
    /// Batches from row [`Self::first`] on. Of a cursor that only goes forward there is one at most.
    batches: Vec<RecordBatch>,
    /// The number of the first row of `batches`, from 1.
    first: u64,
    /// Rows read so far.
    read: u64,
    /// The stream is at its end.
    is_ended: bool,
    /// The row on which the cursor stands, from 1; 0 is before the first one.
    position: u64,
    /// Of one that scrolls: the bytes of rows that it may keep. One without goes forward only.
    kept_bytes_max: Option<usize>,
    kept_bytes: usize,
    failure: Option<Error>,
}

impl CursorRows {
    /// Before the first row. With `kept_bytes_max` it scrolls.
    pub(super) fn slot(stream: SendableRecordBatchStream, kept_bytes_max: Option<usize>) -> Slot {
        Arc::new(Mutex::new(Some(Self {
            stream,
            batches: Vec::new(),
            first: 1,
            read: 0,
            is_ended: false,
            position: 0,
            kept_bytes_max,
            kept_bytes: 0,
            failure: None,
        })))
    }

    /// The rows of a motion. The cursor is back in its slot when the stream ends or is dropped.
    ///
    /// # Errors
    /// The cursor only goes forward, and the motion does not (55000).
    pub(super) fn moved(self, motion: Motion, slot: &Slot) -> Result<SendableRecordBatchStream> {
        let taken = Taken { rows: Some(self), slot: slot.clone() };
        let Some(rows) = taken.rows.as_ref() else { return Err(Error::internal("a cursor without rows")) };
        let steps = steps(motion, rows.position);
        if rows.kept_bytes_max.is_none() && steps.as_ref().is_none_or(Steps::goes_back) {
            return Err(Error::invalid("cursor can only scan forward")
                .code(SqlState::ObjectNotInPrerequisiteState)
                .hint("Declare it with SCROLL option to enable backward scan."));
        }
        let schema = rows.stream.schema();
        let rows = stream::try_unfold((taken, steps), |(mut taken, mut steps)| async move {
            let Some(rows) = taken.rows.as_mut() else { return Ok(None) };
            let batch = rows.step(&mut steps).await?;
            Ok::<_, DataFusionError>(batch.map(|batch| (batch, (taken, steps))))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }

    /// The next batch of a motion; `None` at its end.
    async fn step(&mut self, steps: &mut Option<Steps>) -> Result<Option<RecordBatch>> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let now = match steps.take() {
            Some(now) => now,
            None => return Ok(None),
        };
        match now {
            Steps::Forward { skip, count } => {
                self.skip(skip).await?;
                let batch = if count == Some(0) { None } else { self.forward(count).await? };
                let taken = batch.as_ref().map_or(0, |batch| batch.num_rows() as u64);
                let left = count.map(|count| count - taken);
                *steps = batch.is_some().then_some(Steps::Forward { skip: 0, count: left });
                Ok(batch)
            }
            Steps::Backward { count } => {
                let batch = if count == Some(0) { None } else { self.backward(count)? };
                let taken = batch.as_ref().map_or(0, |batch| batch.num_rows() as u64);
                let left = count.map(|count| count - taken);
                *steps = batch.is_some().then_some(Steps::Backward { count: left });
                Ok(batch)
            }
            Steps::To(row) => {
                self.position = row.saturating_sub(1);
                if row == 0 {
                    return Ok(None);
                }
                self.forward(Some(1)).await
            }
            Steps::FromEnd(distance) => {
                while !self.is_ended {
                    self.read_on().await?;
                }
                let row = (self.read + 1).saturating_sub(distance);
                self.position = row.saturating_sub(1);
                if row == 0 { Ok(None) } else { self.forward(Some(1)).await }
            }
        }
    }

    /// Reads one batch more.
    async fn read_on(&mut self) -> Result<()> {
        let batch = match self.stream.next().await {
            None => {
                self.is_ended = true;
                return Ok(());
            }
            Some(Ok(batch)) => batch,
            Some(Err(error)) => {
                let error = Error::from(error);
                self.failure = Some(error.clone());
                return Err(error);
            }
        };
        let rows = batch.num_rows() as u64;
        if let Some(most) = self.kept_bytes_max {
            self.kept_bytes += batch.get_array_memory_size();
            if self.kept_bytes > most {
                let error = Error::invalid(format!(
                    "the rows that a SCROLL cursor keeps would hold more than {} MiB",
                    most >> 20
                ))
                .code(SqlState::ConfigurationLimitExceeded)
                .hint("Declare it with NO SCROLL, or narrow the query.");
                self.failure = Some(error.clone());
                return Err(error);
            }
        } else {
            self.batches.clear();
            self.first = self.read + 1;
        }
        if rows > 0 {
            self.batches.push(batch);
        }
        self.read += rows;
        Ok(())
    }

    async fn skip(&mut self, rows: u64) -> Result<()> {
        let mut left = rows;
        while left > 0
            && let Some(batch) = self.forward(Some(left)).await?
        {
            left -= batch.num_rows() as u64;
        }
        Ok(())
    }

    /// Up to so many rows behind the position, of one batch. At the end the cursor stands behind the last row.
    async fn forward(&mut self, most: Option<u64>) -> Result<Option<RecordBatch>> {
        let wanted = self.position + 1;
        while self.read < wanted && !self.is_ended {
            self.read_on().await?;
        }
        if self.read < wanted {
            self.position = self.read + 1;
            return Ok(None);
        }
        let (batch, at) = self.place(wanted).ok_or_else(|| Error::internal("a cursor has lost a row"))?;
        let left = batch.num_rows() - at;
        let count = most.and_then(|most| usize::try_from(most).ok()).map_or(left, |most| left.min(most));
        let rows = batch.slice(at, count);
        self.position += count as u64;
        Ok(Some(rows))
    }

    /// Up to so many rows before the position, the nearest first, of one batch. At the end the cursor stands before the first row.
    fn backward(&mut self, most: Option<u64>) -> Result<Option<RecordBatch>> {
        let nearest = self.position.saturating_sub(1).min(self.read);
        if nearest == 0 {
            self.position = 0;
            return Ok(None);
        }
        let (batch, at) = self.place(nearest).ok_or_else(|| Error::internal("a cursor has lost a row"))?;
        let all = at + 1;
        let count = most.and_then(|most| usize::try_from(most).ok()).map_or(all, |most| all.min(most));
        let places = (0..count).filter_map(|back| u32::try_from(at - back).ok()).collect::<UInt32Array>();
        let rows = take_record_batch(batch, &places)?;
        self.position = nearest + 1 - count as u64;
        Ok(Some(rows))
    }

    /// The batch of a row, and its place there.
    fn place(&self, row: u64) -> Option<(&RecordBatch, usize)> {
        let mut at = usize::try_from(row.checked_sub(self.first)?).ok()?;
        for batch in &self.batches {
            if at < batch.num_rows() {
                return Some((batch, at));
            }
            at -= batch.num_rows();
        }
        None
    }
}

/// What is left of a motion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Steps {
    Forward {
        skip: u64,
        count: Option<u64>,
    },
    Backward {
        count: Option<u64>,
    },
    /// The row of that number, from 1; 0 is before the first one.
    To(u64),
    /// The row so far from the end: 1 is the last one.
    FromEnd(u64),
}

impl Steps {
    fn goes_back(&self) -> bool {
        !matches!(self, Steps::Forward { .. })
    }
}

/// The steps of a motion from a position; `None` if there are none and nothing is given.
fn steps(motion: Motion, position: u64) -> Option<Steps> {
    let to = |row: u64| match row.checked_sub(position + 1) {
        Some(skip) => Steps::Forward { skip, count: Some(1) },
        None => Steps::To(row),
    };
    Some(match motion {
        // The row on which it stands, once more.
        Motion::Forward(Some(0)) | Motion::Backward(Some(0)) | Motion::Relative(0) => Steps::To(position),
        Motion::Forward(count) => Steps::Forward { skip: 0, count },
        Motion::Backward(count) => Steps::Backward { count },
        Motion::Absolute(row) if row < 0 => Steps::FromEnd(row.unsigned_abs()),
        Motion::Absolute(row) => to(row.unsigned_abs()),
        Motion::Relative(rows) => to(position.saturating_add_signed(rows)),
    })
}

/// Rows that a statement has to itself; dropped, they are back.
struct Taken {
    rows: Option<CursorRows>,
    slot: Slot,
}

impl Drop for Taken {
    fn drop(&mut self) {
        *self.slot.lock() = self.rows.take();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{AsArray, Int64Array};
    use datafusion::arrow::datatypes::{DataType, Field, Int64Type, Schema};
    use futures::executor::block_on;

    use super::*;

    /// A cursor over the numbers 1 to 7, in batches of 3, an empty one among them.
    fn cursor(scrolls: bool) -> Slot {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
        let batches = [vec![1, 2, 3], vec![], vec![4, 5, 6], vec![7]].map(|numbers| {
            Ok(RecordBatch::try_new(schema.clone(), vec![Arc::new(Int64Array::from(numbers))]).unwrap())
        });
        CursorRows::slot(
            Box::pin(RecordBatchStreamAdapter::new(schema, stream::iter(batches))),
            scrolls.then_some(1 << 20),
        )
    }

    fn taken(slot: &Slot, motion: Motion) -> Result<Vec<i64>> {
        let rows = slot.lock().take().unwrap();
        let batches = block_on(rows.moved(motion, slot)?.collect::<Vec<_>>());
        let numbers = batches
            .into_iter()
            .flat_map(|batch| batch.unwrap().column(0).as_primitive::<Int64Type>().values().to_vec());
        Ok(numbers.collect())
    }

    #[test]
    fn a_cursor_goes_forward() {
        let slot = cursor(false);
        assert_eq!(taken(&slot, Motion::Forward(Some(2))).unwrap(), [1, 2]);
        assert_eq!(taken(&slot, Motion::Forward(Some(2))).unwrap(), [3, 4]);
        assert_eq!(taken(&slot, Motion::Relative(2)).unwrap(), [6]);
        let error = taken(&slot, Motion::Backward(Some(1))).unwrap_err();
        assert_eq!(error.sqlstate().code(), "55000");
        for back in [Motion::Absolute(2), Motion::Absolute(-1), Motion::Relative(0), Motion::Forward(Some(0))] {
            assert_eq!(taken(&slot, back).unwrap_err().sqlstate().code(), "55000", "{back:?}");
        }
        assert_eq!(taken(&slot, Motion::Forward(None)).unwrap(), [7], "what was refused has not moved it");
        assert_eq!(taken(&slot, Motion::Forward(None)).unwrap(), [] as [i64; 0]);
    }

    #[test]
    fn a_cursor_that_scrolls_goes_both_ways() {
        let slot = cursor(true);
        for (motion, expected) in [
            (Motion::Backward(Some(1)), &[][..]),
            (Motion::Forward(Some(5)), &[1, 2, 3, 4, 5]),
            (Motion::Relative(0), &[5]),
            (Motion::Backward(Some(3)), &[4, 3, 2]),
            (Motion::Forward(Some(1)), &[3]),
            (Motion::Absolute(-1), &[7]),
            (Motion::Forward(Some(1)), &[]),
            // It stands behind the last row now.
            (Motion::Backward(Some(2)), &[7, 6]),
            (Motion::Absolute(2), &[2]),
            (Motion::Relative(-1), &[1]),
            (Motion::Relative(-1), &[]),
            (Motion::Absolute(9), &[]),
            (Motion::Backward(None), &[7, 6, 5, 4, 3, 2, 1]),
            (Motion::Forward(Some(1)), &[1]),
            (Motion::Absolute(-7), &[1]),
            (Motion::Absolute(-8), &[]),
            (Motion::Forward(None), &[1, 2, 3, 4, 5, 6, 7]),
        ] {
            assert_eq!(taken(&slot, motion).unwrap(), expected, "{motion:?}");
        }
    }

    #[test]
    fn a_cursor_is_back_when_its_reader_is_dropped() {
        let slot = cursor(false);
        let rows = slot.lock().take().unwrap();
        let mut stream = rows.moved(Motion::Forward(None), &slot).unwrap();
        assert!(slot.lock().is_none());
        block_on(stream.next()).unwrap().unwrap();
        drop(stream);
        assert_eq!(taken(&slot, Motion::Forward(Some(1))).unwrap(), [4]);
    }
}
