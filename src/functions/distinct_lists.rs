//! ARRAY_AGG and LISTAGG (`string_agg`) in queries: DataFusion's, but that DISTINCT gives values in the order in which they came, as
//! jobs do. With ORDER BY they sort their values themselves, so that other aggregates still see the rows as they come.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::error::Result;
use datafusion::functions_aggregate::array_agg::ArrayAgg;
use datafusion::functions_aggregate::string_agg::StringAgg;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, ReversedUDAF, Signature,
};
use datafusion::scalar::ScalarValue;
use hashbrown::HashMap;

use super::entry::{Aggregation, Entry};

/// What the list of aggregates knows of them.
pub(super) const ENTRIES: &[Entry<Aggregation>] = &[
    Entry::public(
        "array_agg",
        &["anyelement → anyarray"],
        "An array of all values, NULLs among them, in an order, else by arrival.",
        Aggregation::OF_JOBS.made(array_agg).in_order(),
    )
    .example("ARRAY_AGG(x ORDER BY x DESC)", "{2,1}"),
    Entry::public(
        "string_agg",
        &["text → text", "text, text → text"],
        "The values that are not NULL as one text with the second argument, a literal, between them, \
         or a comma; in an order, else by arrival.",
        Aggregation::OF_JOBS.made(string_agg).in_order(),
    )
    .aliases(&["listagg"])
    .example("LISTAGG(CAST(x AS STRING), '-' ORDER BY x)", "1-2"),
];

/// ARRAY_AGG
pub fn array_agg() -> AggregateUDF {
    AggregateUDF::from(InOrder { inner: AggregateUDF::from(ArrayAgg::default()), joins: false })
}

/// STRING_AGG, and LISTAGG
pub fn string_agg() -> AggregateUDF {
    AggregateUDF::from(InOrder { inner: AggregateUDF::from(StringAgg::new()), joins: true })
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct InOrder {
    inner: AggregateUDF,
    /// Whether values are joined to a text.
    joins: bool,
}

impl InOrder {
    fn is_ours(args: &AccumulatorArgs<'_>) -> bool {
        args.is_distinct && args.order_bys.is_empty()
    }

    fn distinct(&self, args: &AccumulatorArgs<'_>, retracts: bool) -> Result<Box<dyn Accumulator>> {
        let delimiter = match (self.joins, args.exprs.get(1)) {
            (true, Some(delimiter)) => Some(delimiter_of(delimiter)?),
            (true, None) => Some(String::new()),
            (false, _) => None,
        };
        Ok(Box::new(Distinct {
            data_type: args.expr_fields[0].data_type().clone(),
            ignores_nulls: self.joins || args.ignore_nulls,
            delimiter,
            retracts,
            values: HashMap::new(),
            next: 0,
            bytes: 0,
        }))
    }
}

fn delimiter_of(expr: &Arc<dyn datafusion::physical_expr::PhysicalExpr>) -> Result<String> {
    let literal = expr.downcast_ref::<datafusion::physical_expr::expressions::Literal>();
    match literal.map(|literal| literal.value()) {
        Some(value) if value.is_null() => Ok(String::new()),
        Some(value) => Ok(value.try_as_str().flatten().unwrap_or_default().to_owned()),
        None => Err(crate::error::Error::unsupported("the delimiter of LISTAGG must be a constant")
            .hint("Write LISTAGG(x, ','), or put the delimiter into the values.")
            .into()),
    }
}

impl AggregateUDFImpl for InOrder {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(arguments)
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arguments)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        self.inner.state_fields(args)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if Self::is_ours(&args) { self.distinct(&args, false) } else { self.inner.accumulator(args) }
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if Self::is_ours(&args) { self.distinct(&args, true) } else { self.inner.create_sliding_accumulator(args) }
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        !Self::is_ours(&args) && self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        self.inner.create_groups_accumulator(args)
    }

    /// They sort what is sorted, too: DataFusion takes an input in the opposite order for one in order.
    fn with_beneficial_ordering(self: Arc<Self>, _beneficial: bool) -> Result<Option<Arc<dyn AggregateUDFImpl>>> {
        Ok(Some(self))
    }

    /// Both sort by themselves. A sort of the input would change the order for the aggregates beside them.
    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Beneficial
    }

    /// Backwards they would be DataFusion's own, which want their input in order.
    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::NotSupported
    }

    fn supports_null_handling_clause(&self) -> bool {
        self.inner.supports_null_handling_clause()
    }
}

/// The distinct values of one group.
#[derive(Debug)]
struct Distinct {
    data_type: DataType,
    ignores_nulls: bool,
    /// Joins values, or gives an array.
    delimiter: Option<String>,
    /// Whether rows may be taken back.
    retracts: bool,
    /// Value to its arrivals; only the first where rows stay.
    values: HashMap<ScalarValue, VecDeque<u64>>,
    next: u64,
    bytes: usize,
}

impl Distinct {
    fn each(&self, values: &ArrayRef, mut with: impl FnMut(ScalarValue) -> Result<()>) -> Result<()> {
        for row in 0..values.len() {
            if !(self.ignores_nulls && values.is_null(row)) {
                with(ScalarValue::try_from_array(values, row)?)?;
            }
        }
        Ok(())
    }

    fn insert(&mut self, value: ScalarValue) {
        let arrival = self.next;
        self.next += 1;
        match self.values.get_mut(&value) {
            Some(arrivals) => {
                if self.retracts {
                    arrivals.push_back(arrival);
                }
            }
            None => {
                self.bytes += value.size() + size_of::<(ScalarValue, VecDeque<u64>)>();
                // Values of a batch would keep all of it.
                let mut value = value;
                value.compact();
                self.values.insert(value, VecDeque::from([arrival]));
            }
        }
    }

    fn in_order(&self) -> Vec<ScalarValue> {
        let mut values: Vec<_> = self.values.iter().map(|(value, arrivals)| (arrivals.front(), value)).collect();
        values.sort_unstable_by_key(|(arrival, _)| *arrival);
        values.into_iter().map(|(_, value)| value.clone()).collect()
    }

    fn list(&self) -> ScalarValue {
        ScalarValue::List(ScalarValue::new_list_nullable(&self.in_order(), &self.data_type))
    }
}

impl Accumulator for Distinct {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let mut found = Vec::new();
        self.each(&values[0], |value| {
            found.push(value);
            Ok(())
        })?;
        found.into_iter().for_each(|value| self.insert(value));
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let Some(delimiter) = &self.delimiter else {
            return Ok(match self.values.is_empty() {
                true => ScalarValue::new_null_list(self.data_type.clone(), true, 1),
                false => self.list(),
            });
        };
        if self.values.is_empty() {
            return Ok(ScalarValue::LargeUtf8(None));
        }
        let list = ScalarValue::iter_to_array(self.in_order())?;
        let texts = cast(&list, &DataType::LargeUtf8)?;
        let texts: Vec<&str> = texts.as_string::<i64>().iter().flatten().collect();
        Ok(ScalarValue::LargeUtf8(Some(texts.join(delimiter))))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.bytes
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.list()])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for values in states[0].as_list::<i32>().iter().flatten() {
            self.update_batch(&[values])?;
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let mut found = Vec::new();
        self.each(&values[0], |value| {
            found.push(value);
            Ok(())
        })?;
        for value in found {
            if let Some(arrivals) = self.values.get_mut(&value) {
                arrivals.pop_front();
                if arrivals.is_empty() {
                    self.values.remove(&value);
                }
            }
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        self.retracts
    }
}
