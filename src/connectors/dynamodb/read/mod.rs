//! Reading items: `scan` for queries, `lookup` for jobs, and in `predicate` what of a WHERE clause DynamoDB can be asked.

pub(super) mod lookup;
pub(super) mod predicate;
pub(super) mod scan;
