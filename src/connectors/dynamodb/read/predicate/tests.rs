use super::*;
use crate::connectors::dynamodb::key::KeyAttribute;
use datafusion::arrow::datatypes::{Field, TimeUnit};
use datafusion::logical_expr::{col, lit};

fn schema() -> Schema {
    Schema::new(vec![
        Field::new("id", DataType::Int32, true),
        Field::new("at", DataType::Timestamp(TimeUnit::Millisecond, None), true),
        Field::new("name", DataType::Utf8, true),
        Field::new("score", DataType::Float64, true),
        Field::new("on", DataType::Boolean, true),
    ])
}

fn key() -> KeySchema {
    let attribute = |name: &str, kind: &str| KeyAttribute { name: name.into(), attribute_type: kind.into() };
    KeySchema { partition: attribute("id", "N"), sort: Some(attribute("at", "S")) }
}

fn at(ms: i64) -> Expr {
    Expr::Literal(ScalarValue::TimestampMillisecond(Some(ms), None), None)
}

#[test]
fn a_timestamp_sort_key_is_widened_to_dates() {
    let found = access(&[col("id").eq(lit(7)), col("at").gt_eq(at(1_704_103_200_000))], &key(), &schema());
    let expected = SortRange { lower: Some((AttributeValue::S("2023-12-31".into()), true)), upper: None };
    assert_eq!(found, Access::Query { partitions: vec![AttributeValue::N("7".into())], sort: Some(expected) });
    // Equal times may be written in several forms: no GetItem.
    let found = access(&[col("id").eq(lit(7)), col("at").eq(at(1_704_103_200_000))], &key(), &schema());
    assert!(matches!(found, Access::Query { sort: Some(SortRange { lower: Some(_), upper: Some(_) }), .. }));
}

#[test]
fn only_what_dynamodb_compares_alike_is_sent() {
    let text = |expr: Expr| filter_expression(&[expr], &schema(), &["id"]).0.map(|filter| filter.text);
    assert_eq!(text(col("score").eq(lit(0.1))), None, "many numbers are one float");
    assert_eq!(text(col("name").not_eq(lit("a"))), None);
    assert_eq!(text(col("id").gt(lit(1))), None, "a key attribute in a Query");
    assert_eq!(text(Expr::Not(Box::new(col("name").eq(lit("a"))))), None);
    assert_eq!(text(col("name").lt(lit("a"))).as_deref(), Some("(#f0 < :f0 OR attribute_type(#f0, :f1))"));
    assert_eq!(text(col("on").and(col("score").gt(lit(1.0)))).as_deref(), Some("#f0 = :f0"));
    assert_eq!(text(col("on").or(col("score").gt(lit(1.0)))), None, "half of an OR would lose rows");
    assert_eq!(text(lit("b").lt(col("name"))).as_deref(), Some("(#f0 > :f0 OR attribute_type(#f0, :f1))"));
}

#[test]
fn functions_and_casts_are_left_to_the_engine() {
    assert!(is_evaluable(&col("id").eq(lit(1)).or(col("name").is_null()), &schema()));
    assert!(!is_evaluable(&datafusion::logical_expr::cast(col("id"), DataType::Utf8).eq(lit("1")), &schema()));
    assert!(!is_evaluable(&col("other").eq(lit(1)), &schema()));
}
