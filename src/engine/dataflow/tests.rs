use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, IntervalUnit, Schema, TimeUnit};

use super::*;
use crate::engine::operators::project::ProjectSpec;

#[test]
fn columns_of_every_kind_are_read_as_they_were_stored() {
    let item = |data_type| Arc::new(Field::new("item", data_type, true));
    let types = [
        DataType::Null,
        DataType::UInt8,
        DataType::Decimal128(38, 18),
        DataType::Decimal256(76, 0),
        DataType::Timestamp(TimeUnit::Microsecond, Some("Europe/Berlin".into())),
        DataType::Interval(IntervalUnit::MonthDayNano),
        DataType::List(item(DataType::Utf8)),
        DataType::Struct(vec![Field::new("a", DataType::Date32, false)].into()),
    ];
    let fields = types.into_iter().enumerate().map(|(place, data_type)| {
        let metadata = [("key".to_owned(), "value".to_owned())].into();
        Field::new(format!("#{place}"), data_type, place % 2 == 0).with_metadata(metadata)
    });
    let node = Node {
        id: "sink-0".to_owned(),
        kind: NodeKind::Operator(OperatorKind::Project(ProjectSpec { expressions: Vec::new() })),
        inputs: vec![
            Input::of(&[0, 1], Some(vec![0])),
            Input { from: vec![Output { node: 2, side: Some(0) }], keyed_by: None },
        ],
        schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())),
        side_outputs: vec![Arc::new(Schema::empty())],
        changelog: Changelog::Retract,
    };
    let settings =
        JobSettings::new("Asia/Shanghai", [("table.exec.state.ttl", "1 d"), ("parallelism.default", "3")]).unwrap();
    let dataflow = Dataflow { version: FORMAT_VERSION, settings, nodes: vec![node] };
    assert_eq!(Dataflow::from_json(&dataflow.to_json().unwrap()).unwrap(), dataflow);
}

#[test]
fn a_job_of_another_version_is_refused_with_the_way_out() {
    for version in [1, 2] {
        let error = Dataflow::from_json(&serde_json::json!({ "version": version })).unwrap_err();
        assert_eq!(error.sqlstate().code(), "0A000");
        assert!(error.message().contains("an earlier version"), "{error}");
    }
    let error = Dataflow::from_json(&serde_json::json!({ "version": 4 })).unwrap_err();
    assert!(error.message().contains("a later version"), "{error}");
    assert_eq!(Dataflow::from_json(&serde_json::json!({})).unwrap_err().kind(), crate::error::ErrorKind::Corrupt);
}

#[test]
fn every_default_is_one_that_its_setting_takes_and_is_kept_as_it_is_shown() {
    for setting in JOB_SETTINGS {
        let named = JobSettings::new("UTC", [(setting.name, setting.default)]).unwrap();
        assert_eq!(named, JobSettings::default(), "{}", setting.name);
    }
    let settings = JobSettings::default();
    assert_eq!(settings.checkpoint_interval, std::time::Duration::from_secs(1));
    assert_eq!((settings.parallelism(), settings.checkpoints_retained), (1, 3));
    assert_eq!(settings.memory_budget, 1 << 30);
    assert!(settings.read_behind && settings.mini_batch_latency().is_none());
}

#[test]
fn names_and_values_that_no_job_takes_are_refused() {
    assert_eq!(JobSettings::new("UTC", [("parallelism", "2")]).unwrap_err().sqlstate().code(), "42704");
    assert_eq!(JobSettings::new("UTC", [("parallelism.default", "129")]).unwrap_err().sqlstate().code(), "22023");
    assert_eq!(JobSettings::new("Mars", []).unwrap_err().message(), "time zone \"Mars\" not recognized");
}
