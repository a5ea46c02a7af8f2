use std::sync::Arc;

use datafusion::execution::context::SessionContext;

use super::ConstantRow;

async fn row(text: &str) -> Option<(ConstantRow, datafusion::arrow::datatypes::SchemaRef)> {
    let state = SessionContext::new().state();
    let plan = state.create_logical_plan(text).await.unwrap();
    let plan = state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {}).unwrap();
    let schema = Arc::new(plan.schema().as_arrow().clone());
    Some((ConstantRow::of(&plan)?, schema))
}

#[tokio::test]
async fn what_reads_and_calls_nothing_is_computed_at_once() {
    for text in ["SELECT 1", "SELECT 1 + 2 AS x, 'a' || 'b', NULL IS NULL", "SELECT CAST('7' AS INT) > 3 AND NOT false"]
    {
        let (row, schema) = row(text).await.unwrap();
        let batch = row.compute(&schema).unwrap();
        assert_eq!((batch.num_rows(), batch.schema()), (1, schema), "{text}");
    }
    let (division, schema) = row("SELECT 1 / 0").await.unwrap();
    assert_eq!(division.compute(&schema).unwrap_err().sqlstate().code(), "22012");
}

#[tokio::test]
async fn everything_else_is_a_query() {
    for text in [
        "SELECT now()",
        "SELECT 'a' ~ 'b'",
        "SELECT 'a' LIKE 'b'",
        "SELECT 1 WHERE false",
        "SELECT 1 LIMIT 0",
        "SELECT (SELECT 1)",
        "SELECT 1 IN (SELECT 1)",
        "SELECT abs(1)",
        "SELECT 1 UNION ALL SELECT 2",
        "SELECT * FROM (VALUES (1)) v",
        "SELECT $1",
    ] {
        assert!(row(text).await.is_none(), "{text}");
    }
}
