//! What of a WHERE clause DynamoDB can be asked: key conditions and a filter expression. Both only need to keep every row
//! that satisfies the clause (each predicate is evaluated again on the decoded rows), so where DynamoDB's comparison and the
//! declared type's differ the question is widened or left out.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::utils::split_conjunction_owned;
use datafusion::logical_expr::{Between, BinaryExpr, Expr, Operator};

use crate::connectors::dynamodb::key::{Key, KeySchema, value_text};
use crate::connectors::dynamodb::value::encode::{encode, timestamp};
use crate::connectors::dynamodb::value::item::key_attribute_type;
use crate::connectors::dynamodb::value::text_time::write_date;
use crate::formats::time_text::SECONDS_A_DAY;

/// DynamoDB's bound is 4 KB; a longer filter is not sent.
const FILTER_BYTES_MAX: usize = 3_500;
/// Operands that IN takes.
const IN_OPERANDS_MAX: usize = 100;
/// More keys than this are not asked for one by one.
const KEYS_MAX: usize = 10_000;

/// Whether a predicate can be evaluated here, on decoded rows alone.
pub fn is_evaluable(predicate: &Expr, schema: &Schema) -> bool {
    let mut all = true;
    let walked = predicate.apply(|expr| {
        all &= match expr {
            Expr::Column(column) => schema.index_of(&column.name).is_ok(),
            Expr::Literal(..)
            | Expr::Not(_)
            | Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::IsTrue(_)
            | Expr::IsFalse(_)
            | Expr::IsNotTrue(_)
            | Expr::IsNotFalse(_)
            | Expr::Between(_)
            | Expr::InList(_)
            | Expr::Like(_) => true,
            Expr::BinaryExpr(binary) => {
                matches!(binary.op, Operator::And | Operator::Or) || binary.op.supports_propagation()
            }
            _ => false,
        };
        Ok(if all { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    });
    all && walked.is_ok()
}

/// Splits predicates at AND and takes the table's name off their columns.
pub fn conjuncts(predicates: &[Expr]) -> Vec<Expr> {
    predicates
        .iter()
        .cloned()
        .flat_map(split_conjunction_owned)
        .map(|expr| {
            let bare = expr.clone().transform(|expr| {
                Ok(match expr {
                    Expr::Column(mut column) if column.relation.is_some() => {
                        column.relation = None;
                        Transformed::yes(Expr::Column(column))
                    }
                    other => Transformed::no(other),
                })
            });
            bare.map_or(expr, |bare| bare.data)
        })
        .collect()
}

/// Which items to ask for.
#[derive(Debug, Clone, PartialEq)]
pub enum Access {
    /// No key condition.
    Scan,
    /// Items by full key.
    Get(Vec<HashMap<String, AttributeValue>>),
    /// The items of each partition key, within a range of sort keys.
    Query {
        /// Values of the partition key.
        partitions: Vec<AttributeValue>,
        /// The sort keys wanted.
        sort: Option<SortRange>,
    },
}

/// A range of sort keys.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SortRange {
    /// Lower bound, and whether it is in the range.
    pub lower: Option<(AttributeValue, bool)>,
    /// Upper bound, and whether it is in the range.
    pub upper: Option<(AttributeValue, bool)>,
}

/// Finds the key conditions.
pub fn access(conjuncts: &[Expr], key: &KeySchema, schema: &Schema) -> Access {
    let values_of = |name: &str, attribute_type: &str| -> Option<Vec<AttributeValue>> {
        let field = schema.field_with_name(name).ok()?;
        if key_attribute_type(field.data_type()) != Some(attribute_type) || !is_exact(field.data_type()) {
            return None;
        }
        let scalars = conjuncts.iter().find_map(|expr| equal_to(expr).filter(|(column, _)| *column == name))?.1;
        let mut values = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for scalar in scalars {
            if scalar.is_null() {
                continue;
            }
            let value = literal(&scalar, field.data_type())?;
            // An empty text can be no key: no item has it.
            if let Some(key) = Key::of([&value])
                && seen.insert(key)
            {
                values.push(value);
            }
        }
        (values.len() <= KEYS_MAX).then_some(values)
    };
    let Some(partitions) = values_of(&key.partition.name, &key.partition.attribute_type) else { return Access::Scan };
    let one = |partition: &AttributeValue| HashMap::from([(key.partition.name.clone(), partition.clone())]);
    let Some(sort) = &key.sort else {
        return Access::Get(partitions.iter().map(one).collect());
    };
    if let Some(sorts) = values_of(&sort.name, &sort.attribute_type)
        && partitions.len().saturating_mul(sorts.len()) <= KEYS_MAX
    {
        let keys = partitions.iter().flat_map(|partition| {
            sorts.iter().map(move |value| {
                let mut key = one(partition);
                key.insert(sort.name.clone(), value.clone());
                key
            })
        });
        return Access::Get(keys.collect());
    }
    Access::Query { partitions, sort: sort_range(conjuncts, &sort.name, &sort.attribute_type, schema) }
}

fn sort_range(conjuncts: &[Expr], name: &str, attribute_type: &str, schema: &Schema) -> Option<SortRange> {
    let data_type = schema.field_with_name(name).ok()?.data_type();
    if key_attribute_type(data_type) != Some(attribute_type) {
        return None;
    }
    let mut range = SortRange::default();
    for (column, op, scalar) in conjuncts.iter().flat_map(comparisons) {
        if column != name || scalar.is_null() {
            continue;
        }
        let bounds = if is_exact(data_type) {
            literal(&scalar, data_type).filter(|value| Key::of([value]).is_some()).map(|value| (value.clone(), value))
        } else {
            date_bounds(&scalar, data_type)
        };
        let Some((low, high)) = bounds else { continue };
        let is_widened = low != high;
        if matches!(op, Operator::Eq | Operator::Gt | Operator::GtEq) && range.lower.is_none() {
            range.lower = Some((low, is_widened || op != Operator::Gt));
        }
        if matches!(op, Operator::Eq | Operator::Lt | Operator::LtEq) && range.upper.is_none() {
            range.upper = Some((high, is_widened || op != Operator::Lt));
        }
    }
    (range != SortRange::default()).then_some(range)
}

/// Texts of dates that lie before and after every way to write this time, whatever its offset.
fn date_bounds(scalar: &ScalarValue, data_type: &DataType) -> Option<(AttributeValue, AttributeValue)> {
    if !matches!(data_type, DataType::Timestamp(..)) || &scalar.data_type() != data_type {
        return None;
    }
    let days = timestamp(&scalar.to_array().ok()?, 0)?.0.div_euclid(SECONDS_A_DAY);
    let date = |days| {
        let mut text = Vec::with_capacity(10);
        write_date(days, &mut text).then_some(())?;
        String::from_utf8(text).ok().map(AttributeValue::S)
    };
    Some((date(days - 1)?, date(days + 2)?))
}

/// Whether equal values of this type are equal attributes, and greater ones greater. A float stands for many numbers, a
/// timestamp for many texts.
fn is_exact(data_type: &DataType) -> bool {
    data_type.is_integer()
        || matches!(
            data_type,
            DataType::Decimal128(..)
                | DataType::Decimal256(..)
                | DataType::Utf8
                | DataType::LargeUtf8
                | DataType::Utf8View
                | DataType::Binary
                | DataType::LargeBinary
                | DataType::BinaryView
                | DataType::FixedSizeBinary(_)
                | DataType::Date32
        )
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// A literal as the attribute that a column of this type would hold.
fn literal(scalar: &ScalarValue, data_type: &DataType) -> Option<AttributeValue> {
    let found = scalar.data_type();
    let scalar = if &found == data_type || (is_text(&found) && is_text(data_type)) {
        scalar.clone()
    } else {
        return None;
    };
    encode(&scalar.to_array().ok()?, 0).ok().flatten()
}

fn column_name(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Column(column) => Some(&column.name),
        _ => None,
    }
}

fn scalar(expr: &Expr) -> Option<ScalarValue> {
    match expr {
        Expr::Literal(value, _) => Some(value.clone()),
        _ => None,
    }
}

/// `a = 1`, `a IN (1, 2)`, `a = 1 OR a = 2`.
fn equal_to(expr: &Expr) -> Option<(&str, Vec<ScalarValue>)> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            let ((left, mut values), (right, more)) = (equal_to(left)?, equal_to(right)?);
            values.extend(more);
            (left == right).then_some((left, values))
        }
        Expr::InList(list) if !list.negated => {
            let values = list.list.iter().map(scalar).collect::<Option<Vec<_>>>()?;
            Some((column_name(&list.expr)?, values))
        }
        _ => match comparison(expr)? {
            (column, Operator::Eq, value) => Some((column, vec![value])),
            _ => None,
        },
    }
}

fn comparison(expr: &Expr) -> Option<(&str, Operator, ScalarValue)> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = expr else { return None };
    match (column_name(left), scalar(right)) {
        (Some(column), Some(value)) => Some((column, *op, value)),
        _ => Some((column_name(right)?, op.swap()?, scalar(left)?)),
    }
}

/// A comparison with a literal; BETWEEN is two.
fn comparisons(expr: &Expr) -> Vec<(&str, Operator, ScalarValue)> {
    match expr {
        Expr::Between(Between { expr, negated: false, low, high }) => {
            match (column_name(expr), scalar(low), scalar(high)) {
                (Some(column), Some(low), Some(high)) => {
                    vec![(column, Operator::GtEq, low), (column, Operator::LtEq, high)]
                }
                _ => Vec::new(),
            }
        }
        _ => comparison(expr).into_iter().collect(),
    }
}

/// An expression for DynamoDB, with its placeholders.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Expression {
    /// The text.
    pub text: String,
    /// Attribute behind each `#name`.
    pub names: HashMap<String, String>,
    /// Value behind each `:value`.
    pub values: HashMap<String, AttributeValue>,
}

impl Expression {
    /// A placeholder for an attribute name.
    pub fn name(&mut self, prefix: &str, attribute: &str) -> String {
        let known = self.names.iter().find(|(_, name)| *name == attribute).map(|(placeholder, _)| placeholder.clone());
        known.unwrap_or_else(|| {
            let placeholder = format!("#{prefix}{}", self.names.len());
            self.names.insert(placeholder.clone(), attribute.to_owned());
            placeholder
        })
    }

    /// A placeholder for a value.
    pub fn value(&mut self, prefix: &str, value: AttributeValue) -> String {
        let placeholder = format!(":{prefix}{}", self.values.len());
        self.values.insert(placeholder.clone(), value);
        placeholder
    }
}

/// The KeyConditionExpression of one partition.
pub fn key_condition(key: &KeySchema, partition: &AttributeValue, sort: Option<&SortRange>) -> Expression {
    let mut expression = Expression::default();
    let name = expression.name("k", &key.partition.name);
    let value = expression.value("k", partition.clone());
    let mut text = format!("{name} = {value}");
    if let (Some(range), Some(attribute)) = (sort, &key.sort) {
        let name = expression.name("k", &attribute.name);
        // DynamoDB takes one condition on the sort key. BETWEEN is inclusive; what is too much falls to the filter here.
        let condition = match (&range.lower, &range.upper) {
            (Some((low, _)), Some((high, _))) if is_ordered(low, high) => {
                let low = expression.value("k", low.clone());
                let high = expression.value("k", high.clone());
                format!("{name} BETWEEN {low} AND {high}")
            }
            (Some((low, inclusive)), _) => {
                let low = expression.value("k", low.clone());
                format!("{name} {} {low}", if *inclusive { ">=" } else { ">" })
            }
            (None, Some((high, inclusive))) => {
                let high = expression.value("k", high.clone());
                format!("{name} {} {high}", if *inclusive { "<=" } else { "<" })
            }
            (None, None) => String::new(),
        };
        if !condition.is_empty() {
            text = format!("{text} AND {condition}");
        }
    }
    expression.text = text;
    expression
}

/// Whether BETWEEN takes these bounds: it refuses a lower bound above the upper one.
fn is_ordered(low: &AttributeValue, high: &AttributeValue) -> bool {
    match (low, high) {
        (AttributeValue::S(low), AttributeValue::S(high)) => low <= high,
        (AttributeValue::B(low), AttributeValue::B(high)) => low.as_ref() <= high.as_ref(),
        (AttributeValue::N(low), AttributeValue::N(high)) => {
            match (low.parse::<i128>(), high.parse::<i128>()) {
                (Ok(low), Ok(high)) => low <= high,
                // Decimals near each other could be read in the wrong order as floats; then one bound must do.
                _ => matches!((low.parse::<f64>(), high.parse::<f64>()), (Ok(low), Ok(high)) if low < high),
            }
        }
        _ => false,
    }
}

/// The FilterExpression for these conjuncts, without those that name one of `left_out` (Query takes no key attributes in
/// it), and for each conjunct whether it is in it.
pub fn filter_expression(conjuncts: &[Expr], schema: &Schema, left_out: &[&str]) -> (Option<Expression>, Vec<bool>) {
    let mut is_sent = vec![false; conjuncts.len()];
    let mut expression = Expression::default();
    let mut parts = Vec::new();
    let mut bytes = 0;
    for (index, conjunct) in conjuncts.iter().enumerate() {
        if conjunct.column_refs().iter().any(|column| left_out.contains(&column.name.as_str())) {
            continue;
        }
        let mut attempt = expression.clone();
        if let Some(part) = filter_part(conjunct, schema, &mut attempt)
            && bytes + part.len() <= FILTER_BYTES_MAX
        {
            bytes += part.len();
            parts.push(part);
            is_sent[index] = true;
            expression = attempt;
        }
    }
    expression.text = parts.join(" AND ");
    ((!parts.is_empty()).then_some(expression), is_sent)
}

fn filter_part(expr: &Expr, schema: &Schema, out: &mut Expression) -> Option<String> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            match (filter_part(left, schema, out), filter_part(right, schema, out)) {
                (Some(left), Some(right)) => Some(format!("({left} AND {right})")),
                (left, right) => left.or(right),
            }
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            let (left, right) = (filter_part(left, schema, out)?, filter_part(right, schema, out)?);
            Some(format!("({left} OR {right})"))
        }
        Expr::IsNull(inner) => {
            let name = out.name("f", physical_column(inner, schema)?);
            let null = out.value("f", AttributeValue::S("NULL".to_owned()));
            Some(format!("(attribute_not_exists({name}) OR attribute_type({name}, {null}))"))
        }
        Expr::IsNotNull(inner) => Some(format!("attribute_exists({})", out.name("f", physical_column(inner, schema)?))),
        Expr::Column(_) => {
            let name = out.name("f", physical_column(expr, schema)?);
            let value = out.value("f", AttributeValue::Bool(true));
            Some(format!("{name} = {value}"))
        }
        Expr::InList(list) if !list.negated && list.list.len() <= IN_OPERANDS_MAX => {
            let column = column_name(&list.expr)?;
            let data_type = comparable_type(column, schema)?;
            let values =
                list.list.iter().map(|value| literal(&scalar(value)?, data_type)).collect::<Option<Vec<_>>>()?;
            let name = out.name("f", column);
            let values: Vec<_> = values.into_iter().map(|value| out.value("f", value)).collect();
            Some(or_number(format!("{name} IN ({})", values.join(", ")), &name, data_type, out))
        }
        _ => {
            let parts = comparisons(expr)
                .into_iter()
                .map(|(column, op, value)| {
                    let sign = match op {
                        Operator::Eq => "=",
                        Operator::Lt => "<",
                        Operator::LtEq => "<=",
                        Operator::Gt => ">",
                        Operator::GtEq => ">=",
                        _ => return None,
                    };
                    let data_type = comparable_type(column, schema)?;
                    let value = literal(&value, data_type)?;
                    let name = out.name("f", column);
                    let value = out.value("f", value);
                    Some(or_number(format!("{name} {sign} {value}"), &name, data_type, out))
                })
                .collect::<Option<Vec<_>>>()?;
            (!parts.is_empty()).then(|| parts.join(" AND "))
        }
    }
}

fn physical_column<'a>(expr: &'a Expr, schema: &Schema) -> Option<&'a str> {
    column_name(expr).filter(|name| schema.field_with_name(name).is_ok())
}

fn comparable_type<'a>(column: &str, schema: &'a Schema) -> Option<&'a DataType> {
    let data_type = schema.field_with_name(column).ok()?.data_type();
    (is_exact(data_type) || data_type == &DataType::Boolean).then_some(data_type)
}

/// A text column reads numbers too, which DynamoDB would not compare with a text.
fn or_number(condition: String, name: &str, data_type: &DataType, out: &mut Expression) -> String {
    if !is_text(data_type) {
        return condition;
    }
    let number = out.value("f", AttributeValue::S("N".to_owned()));
    format!("({condition} OR attribute_type({name}, {number}))")
}

/// The key part of EXPLAIN.
pub fn describe_access(access: &Access, key: &KeySchema) -> String {
    let list = |values: &[AttributeValue]| match values {
        [] => format!("{} that no item has", key.partition.name),
        [one] => format!("{} = {}", key.partition.name, value_text(one)),
        many if many.len() <= 5 => {
            let values: Vec<_> = many.iter().map(value_text).collect();
            format!("{} in ({})", key.partition.name, values.join(", "))
        }
        many => format!("{} in ({} values)", key.partition.name, many.len()),
    };
    match access {
        Access::Scan => String::new(),
        Access::Get(keys) if keys.len() == 1 => {
            format!(" key {}", crate::connectors::dynamodb::key::key_text(&keys[0], key))
        }
        Access::Get(keys) if keys.is_empty() => format!(" key {} that no item has", key.describe()),
        Access::Get(keys) => format!(" {} keys {}", keys.len(), key.describe()),
        Access::Query { partitions, sort } => {
            let mut text = format!(" key {}", list(partitions));
            if let (Some(range), Some(sort)) = (sort, &key.sort) {
                if let Some((low, inclusive)) = &range.lower {
                    text += &format!(" and {} {} {}", sort.name, if *inclusive { ">=" } else { ">" }, value_text(low));
                }
                if let Some((high, inclusive)) = &range.upper {
                    text += &format!(" and {} {} {}", sort.name, if *inclusive { "<=" } else { "<" }, value_text(high));
                }
            }
            text
        }
    }
}

/// Whether the key conditions already say all that this conjunct says.
pub fn is_answered_by_key(conjunct: &Expr, access: &Access, key: &KeySchema, schema: &Schema) -> bool {
    let equals = |attribute: &str| equal_to(conjunct).is_some_and(|(column, _)| column == attribute);
    match access {
        Access::Scan => false,
        Access::Get(_) => key.attributes().any(|attribute| equals(&attribute.name)),
        Access::Query { sort, .. } => {
            let is_range = key.sort.as_ref().filter(|_| sort.is_some()).is_some_and(|attribute| {
                let is_exact = schema.field_with_name(&attribute.name).is_ok_and(|field| is_exact(field.data_type()));
                let parts = comparisons(conjunct);
                is_exact
                    && !parts.is_empty()
                    && parts.iter().all(|(column, op, _)| {
                        *column == attribute.name
                            && matches!(
                                op,
                                Operator::Eq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq
                            )
                    })
            });
            equals(&key.partition.name) || is_range
        }
    }
}

/// Conjuncts as text, for EXPLAIN.
pub fn describe_filter<'a>(conjuncts: impl Iterator<Item = &'a Expr>) -> String {
    conjuncts.map(ToString::to_string).collect::<Vec<_>>().join(" AND ")
}

#[cfg(test)]
mod tests;
