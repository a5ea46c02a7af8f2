//! Predicates on the metadata columns partition, offset and timestamp that become seeks. They only narrow what is read;
//! the query applies them again.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use datafusion::scalar::ScalarValue;

use super::consumer::Consumer;
use super::offsets::{self, Offsets};
use crate::connectors::kafka::options::{ColumnSource, KafkaOptions, Metadata};
use crate::connectors::kafka::range::Startup;
use crate::error::Result;

/// `metadata operator value`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bound {
    metadata: Metadata,
    operator: Operator,
    value: i64,
}

/// Reads a predicate that can narrow the read.
pub(crate) fn read(options: &Arc<KafkaOptions>, filter: &Expr) -> Option<Bound> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = filter else { return None };
    let (column, operator, value) = match (left.as_ref(), right.as_ref()) {
        (Expr::Column(column), Expr::Literal(value, _)) => (column, *op, value),
        (Expr::Literal(value, _), Expr::Column(column)) => (column, op.swap()?, value),
        _ => return None,
    };
    if !matches!(operator, Operator::Eq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq) {
        return None;
    }
    let index = options.schema.index_of(&column.name).ok()?;
    let ColumnSource::Metadata { metadata, .. } = options.columns[index] else { return None };
    let value = match metadata {
        Metadata::Partition | Metadata::Offset => match value.cast_to(&DataType::Int64).ok()? {
            ScalarValue::Int64(Some(value)) => value,
            _ => return None,
        },
        // Only instants: a zone-less time depends on the session. Cutting off below a millisecond only widens the read.
        Metadata::Timestamp if matches!(operator, Operator::Gt | Operator::GtEq | Operator::Eq) => {
            if !matches!(value.data_type(), DataType::Timestamp(_, Some(_))) {
                return None;
            }
            match value.cast_to(&DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))).ok()? {
                ScalarValue::TimestampMillisecond(Some(value), _) => value,
                _ => return None,
            }
        }
        _ => return None,
    };
    Some(Bound { metadata, operator, value })
}

/// All bounds of a read.
pub(super) struct Limits(Vec<Bound>);

impl Limits {
    pub fn of(options: &Arc<KafkaOptions>, filters: &[Expr]) -> Self {
        Self(filters.iter().filter_map(|filter| read(options, filter)).collect())
    }

    pub fn wants_partition(&self, partition: i32) -> bool {
        let id = i64::from(partition);
        self.0.iter().filter(|bound| bound.metadata == Metadata::Partition).all(|bound| match bound.operator {
            Operator::Eq => id == bound.value,
            Operator::Lt => id < bound.value,
            Operator::LtEq => id <= bound.value,
            Operator::Gt => id > bound.value,
            _ => id >= bound.value,
        })
    }

    /// Moves starts up and ends down.
    pub fn narrow(&self, consumer: &Consumer, topic: &str, starts: &mut Offsets, ends: &mut Offsets) -> Result<()> {
        let (mut first, mut behind) = (0, i64::MAX);
        for bound in self.0.iter().filter(|bound| bound.metadata == Metadata::Offset) {
            let next = bound.value.saturating_add(1);
            match bound.operator {
                Operator::Eq => (first, behind) = (first.max(bound.value), behind.min(next)),
                Operator::Lt => behind = behind.min(bound.value),
                Operator::LtEq => behind = behind.min(next),
                Operator::Gt => first = first.max(next),
                _ => first = first.max(bound.value),
            }
        }
        starts.values_mut().for_each(|start| *start = first.max(*start));
        ends.values_mut().for_each(|end| *end = behind.min(*end));
        let time = self.0.iter().filter(|bound| bound.metadata == Metadata::Timestamp).map(|bound| bound.value).max();
        if let Some(time) = time {
            let ids: Vec<i32> = starts.keys().copied().collect();
            for (id, offset) in offsets::starts(consumer, topic, &ids, &Startup::Timestamp(time))? {
                starts.entry(id).and_modify(|start| *start = offset.max(*start));
            }
        }
        Ok(())
    }
}
