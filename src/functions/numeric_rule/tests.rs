use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::execution::context::SessionContext;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::prelude::SessionConfig;

use super::*;
use crate::clock::{Clock, SystemClock};

async fn value(sql: &str) -> String {
    let config = SessionConfig::new().set_bool("datafusion.sql_parser.parse_float_as_decimal", true);
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_default_features()
        .with_analyzer_rule(Arc::new(NumericCasts::new()))
        .build();
    let mut context = SessionContext::new_with_state(state);
    datafusion::execution::FunctionRegistry::register_expr_planner(&mut context, crate::functions::expr_planner())
        .unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    for function in crate::functions::for_queries(&clock) {
        context.register_udf(function.as_ref().clone());
    }
    let frame = context.sql(&format!("SELECT {sql} AS v")).await.unwrap();
    match frame.collect().await {
        Ok(batches) => {
            let text = pretty_format_batches(&batches).unwrap().to_string();
            text.lines().nth(3).unwrap().trim_matches(['|', ' ']).to_owned()
        }
        Err(error) => crate::error::Error::from(error).to_string(),
    }
}

#[tokio::test]
async fn strings_compute_as_exact_decimals_and_print_trimmed() {
    for (sql, expected) in [
        ("CAST('2' + '3' AS VARCHAR)", "5"),
        ("CAST('1.10' + 2 AS VARCHAR)", "3.1"),
        ("CAST('10' / 4 AS VARCHAR)", "2.5"),
        ("CAST(('2' + '3') * 1.5 AS VARCHAR)", "7.5"),
        ("('2' + '3') || '_'", "5_"),
        ("CAST(CAST(CAST(12.1 AS REAL) AS DECIMAL(76, 38)) AS VARCHAR)", "12.1"),
        ("CAST('0.1' + '0.2' AS DECIMAL(10, 2))", "0.30"),
        ("CAST('x' + '2' AS VARCHAR)", "invalid input syntax for type numeric: \"x\""),
        ("CAST(TIMESTAMP '2026-01-01 00:00:00' + '1 day' AS VARCHAR)", "2026-01-02T00:00:00"),
    ] {
        assert_eq!(value(sql).await, expected, "{sql}");
    }
}
