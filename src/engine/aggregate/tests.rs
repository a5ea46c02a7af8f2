use datafusion::arrow::datatypes::{DataType, Field, TimeUnit};
use std::sync::Arc;

use super::*;
use crate::engine::operators::testing::plan;

fn error(select: &str) -> String {
    let planned = plan("k VARCHAR, i BIGINT, s VARCHAR", select, Changelog::Retract, Changelog::Retract);
    let error = planned.err().unwrap();
    format!("{} {} / {}", error.sqlstate().code(), error.message(), error.hint_text().unwrap_or_default())
}

#[test]
fn what_cannot_be_kept_up_to_date_is_refused_with_a_way_out() {
    assert_eq!(
        error("SELECT median(i) FROM t"),
        "0A000 aggregate median cannot run in a job: it cannot be kept up to date row by row (median(CAST(t.i AS Float64))) / Use one of \
         COUNT, SUM, AVG, MIN, MAX, FIRST_VALUE, LAST_VALUE, ANY_VALUE, LISTAGG, ARRAY_AGG, STDDEV_SAMP, STDDEV_POP, VAR_SAMP, VAR_POP, \
         APPROX_COUNT_DISTINCT, BOOL_AND, BOOL_OR, or compute it in a query over the sink's table."
    );
    assert!(error("SELECT string_agg(s, k) FROM t").starts_with("0A000 the delimiter of string_agg must be a literal"));
    assert!(error("SELECT array_agg(DISTINCT i ORDER BY s) FROM t").contains("can be ordered by its argument only"));
}

#[test]
fn the_registry_says_of_each_aggregate_whether_jobs_keep_it() {
    let of_registry: Vec<&str> =
        aggregations().entries().filter(|entry| entry.maker.is_for_jobs).map(|entry| entry.name).collect();
    let here = KEPT_UP_TO_DATE.map(|(_, name, _)| name);
    let sorted = |mut names: Vec<&'static str>| {
        names.sort_unstable();
        names
    };
    assert_eq!(sorted(of_registry), sorted(here.to_vec()));
}

#[test]
fn result_types_survive_storing() {
    let list = |item| DataType::List(Arc::new(Field::new_list_field(item, true)));
    for data_type in [
        DataType::Int64,
        DataType::Decimal128(20, 2),
        DataType::Decimal256(76, 38),
        DataType::LargeUtf8,
        DataType::Utf8View,
        DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
        DataType::Timestamp(TimeUnit::Nanosecond, None),
        DataType::Time32(TimeUnit::Millisecond),
        list(DataType::Utf8),
        list(list(DataType::Decimal128(10, 2))),
        list(DataType::Struct(vec![Field::new("a", DataType::Int32, true)].into())),
    ] {
        let stored = StoredAggregate {
            text: String::new(),
            function: AggregateFunction::Max,
            arguments: vec![0],
            distinct: false,
            filter: None,
            parameter: None,
            order_by: Vec::new(),
            ignore_nulls: false,
            data_type,
        };
        let json = serde_json::to_string(&stored).unwrap();
        assert_eq!(serde_json::from_str::<StoredAggregate>(&json).unwrap(), stored);
    }
}
