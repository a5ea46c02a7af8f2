//! What an aggregate function keeps for each group, in columns over the group's number. Knows neither keys nor change kinds.
//! An accumulator takes rows and is read without being consumed, unlike DataFusion's, and gives its state out for checkpoints.

use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::datatypes::DataType;

use crate::engine::state::RowStore;
use crate::error::Result;

/// A row that belongs to no group: it was filtered out, or takes back what is not there.
pub const SKIPPED: u32 = u32::MAX;

/// The rows of a batch, as accumulators see them.
pub struct GroupedRows<'a> {
    /// Each row's group, or [`SKIPPED`].
    pub groups: &'a [u32],
    /// Which rows are taken back; `None` when none is.
    pub retracted: Option<&'a [bool]>,
    /// Number of the first row in the order of arrival.
    pub sequence: u64,
}

impl GroupedRows<'_> {
    /// Calls `row(index, group, retracted)` for each row that is in a group and not NULL.
    #[inline(always)]
    pub fn each(&self, nulls: Option<&NullBuffer>, mut row: impl FnMut(usize, usize, bool)) {
        match (nulls, self.retracted) {
            (None, None) => {
                for (index, group) in self.groups.iter().enumerate() {
                    if *group != SKIPPED {
                        row(index, *group as usize, false);
                    }
                }
            }
            (nulls, retracted) => {
                for (index, group) in self.groups.iter().enumerate() {
                    if *group != SKIPPED && nulls.is_none_or(|nulls| nulls.is_valid(index)) {
                        row(index, *group as usize, retracted.is_some_and(|retracted| retracted[index]));
                    }
                }
            }
        }
    }
}

/// Rows in which none of the columns is NULL.
pub fn without_nulls(columns: &[ArrayRef]) -> Option<NullBuffer> {
    columns.iter().fold(None, |nulls, column| NullBuffer::union(nulls.as_ref(), column.logical_nulls().as_ref()))
}

/// See the module.
pub trait Accumulator: Send {
    /// Makes room for groups below `groups`; new ones are empty.
    fn resize(&mut self, groups: usize);

    /// Takes rows in or back. `columns` are the arguments, then what the aggregate is ordered by.
    ///
    /// # Errors
    /// An internal error: the columns were checked before.
    fn accumulate(&mut self, columns: &[ArrayRef], grouped: &GroupedRows<'_>) -> Result<()>;

    /// The results of groups.
    ///
    /// # Errors
    /// A result is beyond its type.
    fn evaluate(&self, groups: &[u32]) -> Result<ArrayRef>;

    /// Empties a group.
    fn reset(&mut self, group: u32);

    /// Names and types of the columns of [`Self::state`]; none if everything is in [`Self::stores`].
    fn state_fields(&self) -> Vec<(&'static str, DataType)> {
        Vec::new()
    }

    /// What is kept of groups, apart from [`Self::stores`].
    ///
    /// # Errors
    /// An internal error.
    fn state(&self, _groups: &[u32]) -> Result<Vec<ArrayRef>> {
        Ok(Vec::new())
    }

    /// Takes up what [`Self::state`] gave, in types that were checked.
    ///
    /// # Errors
    /// A value is damaged.
    fn restore(&mut self, _groups: &[u32], _columns: &[ArrayRef]) -> Result<()> {
        Ok(())
    }

    /// Tables of single values within a group.
    fn stores(&mut self) -> Vec<&mut dyn ValueStore> {
        Vec::new()
    }

    /// Rows of those tables.
    fn values(&self) -> u64 {
        0
    }

    /// Bytes of those tables' rows, or of other values that stand apart.
    fn value_bytes(&self) -> usize {
        0
    }

    /// Those of them that the next checkpoint must have.
    fn changed_value_bytes(&self) -> usize {
        0
    }

    /// Bytes in memory, as far as known.
    fn memory_bytes(&self) -> usize;
}

/// A table of single values within groups: the slots are the groups.
pub trait ValueStore: RowStore {
    /// Its name; with the aggregate's number behind it, stable.
    fn name(&self) -> &'static str;

    /// Types of the columns that, behind the group's key, identify a value.
    fn key_types(&self) -> Vec<DataType>;

    /// Types of the other columns.
    fn value_types(&self) -> Vec<DataType>;
}
