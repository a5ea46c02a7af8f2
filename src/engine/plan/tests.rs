use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::datasource::empty::EmptyTable;
use datafusion::logical_expr::LogicalPlanBuilder;
use datafusion::prelude::{SessionContext, col};

use super::*;

async fn optimised(sql: &str) -> String {
    let context = SessionContext::new();
    let time = DataType::Timestamp(TimeUnit::Millisecond, None);
    let fields = vec![
        Field::new("a", DataType::Int64, true),
        Field::new("b", DataType::Int64, true),
        Field::new("ts", time, true),
    ];
    let table = Arc::new(EmptyTable::new(Arc::new(Schema::new(fields))));
    let scan = LogicalPlanBuilder::scan("t", datafusion::datasource::provider_as_source(table), None).unwrap();
    let watermark = Watermark { column: "ts".to_owned(), expression: col("t.ts") };
    let noted = StateTtl(Duration::from_secs(1)).over(watermark.over(scan.build().unwrap()));
    let view = datafusion::catalog::view::ViewTable::new(noted, None);
    context.register_table("v", Arc::new(view)).unwrap();
    let plan = context.sql(sql).await.unwrap().into_optimized_plan().unwrap();
    let bare = for_query(plan.clone()).unwrap();
    assert!(!bare.display_indent().to_string().contains("Watermark"), "{}", bare.display_indent());
    assert_eq!(bare.schema(), plan.schema());
    plan.display_indent().to_string()
}

#[tokio::test]
async fn filters_limits_and_unused_columns_pass_through_what_is_said_of_rows() {
    let plan = optimised("SELECT a FROM v WHERE a > 1 LIMIT 3").await;
    let lines: Vec<&str> = plan.lines().map(str::trim).collect();
    let place =
        |what: &str| lines.iter().position(|line| line.starts_with(what)).unwrap_or_else(|| panic!("{what}: {plan}"));
    assert!(place("StateTtl: 1000 ms") < place("Watermark: ts AS t.ts"));
    assert!(place("Watermark") < place("Filter: t.a > Int64(1)"), "{plan}");
    assert!(plan.contains("projection=[a, ts]"), "the watermark's column is read, b is not: {plan}");
}
