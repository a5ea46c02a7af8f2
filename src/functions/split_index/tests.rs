use datafusion::execution::context::SessionContext;
use datafusion::prelude::SessionConfig;

use super::*;
use crate::clock::{Clock, SystemClock};

async fn value(sql: &str) -> Option<String> {
    let config = SessionConfig::new().set_bool("datafusion.sql_parser.parse_float_as_decimal", true);
    let context = SessionContext::new_with_config(config);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    for function in crate::functions::for_queries(&clock) {
        context.register_udf(function.as_ref().clone());
    }
    let batches = context.sql(&format!("SELECT {sql}")).await.unwrap().collect().await.unwrap();
    let column = cast(batches[0].column(0), &DataType::Utf8).unwrap();
    column.is_valid(0).then(|| column.as_string::<i32>().value(0).to_owned())
}

#[tokio::test]
async fn parts_are_counted_from_zero_and_null_beyond_the_last() {
    for (sql, expected) in [
        ("SPLIT_INDEX('3_12.50_0', '_', 0)", Some("3")),
        ("SPLIT_INDEX('3_12.50_0', '_', 1)", Some("12.50")),
        ("SPLIT_INDEX('3_12.50_0', '_', 3)", None),
        ("SPLIT_INDEX('3_12.50_0', '_', -1)", None),
        ("SPLIT_INDEX('a,b', 44, 1)", Some("b")),
        ("SPLIT_INDEX(NULL, '_', 0)", None),
        ("SPLIT_INDEX('', '_', 0)", None),
        ("SPLIT_INDEX('_a', '_', 0)", Some("")),
        ("CONCAT_WS('_', 1, NULL, 'x', 2.50)", Some("1_x_2.50")),
        ("CONCAT_WS(NULL, 'a', 'b')", None),
        ("CONCAT_WS('_', to_numeric('2.50'), to_numeric('0'))", Some("2.5_0")),
    ] {
        assert_eq!(value(sql).await.as_deref(), expected, "{sql}");
    }
}
