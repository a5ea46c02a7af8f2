use super::*;
use crate::connectors::Position;
use crate::error::RecordPlace;

fn place(record: Option<(&str, i64)>, positions: &[(&str, i64)]) -> RestingPlace {
    RestingPlace {
        record: record.map(|(split, offset)| RecordPlace { split: split.to_owned(), offset }),
        positions: positions.iter().map(|(split, offset)| ((*split).to_owned(), Position::Offset(*offset))).collect(),
    }
}

fn to(topic: Option<&str>, partition: i32, offset: i64) -> Skip {
    Skip::To(vec![Target { topic: topic.map(str::to_owned), partition, offset }])
}

#[test]
fn a_record_is_gone_over_if_it_is_known() {
    let skips = Skip::Record.records("j", &place(Some(("orders/1", 150)), &[("orders/1", 150)])).unwrap();
    assert_eq!(skips, [SkippedRecords { split: "orders/1".to_owned(), from: 150, to: 151 }]);
    assert_eq!(Skip::Record.records("j", &place(None, &[("orders/1", 150)])).unwrap_err().sqlstate().code(), "55000");
}

#[test]
fn an_offset_is_behind_where_the_job_rests() {
    let rests = place(None, &[("orders/0", 7), ("orders/1", 9)]);
    let skips = to(None, 1, 12).records("j", &rests).unwrap();
    assert_eq!(skips, [SkippedRecords { split: "orders/1".to_owned(), from: 9, to: 12 }]);
    for (skip, text) in [
        (to(None, 1, 9), "offset 9 of orders/1 is not behind offset 9, where job \"j\" rests"),
        (to(None, 0, 3), "offset 3 of orders/0 is not behind offset 7, where job \"j\" rests"),
        (to(None, 2, 3), "job \"j\" has not read from partition 2"),
        (to(Some("other"), 0, 8), "job \"j\" has not read from partition 0"),
    ] {
        assert_eq!(skip.records("j", &rests).unwrap_err().message(), text);
    }
    let mut files = place(None, &[]);
    files.positions.insert("orders/0".to_owned(), Position::in_file("a.csv", 3));
    let text = "job \"j\" rests at place 3 of file \"a.csv\" of orders/0, which has no offsets";
    assert_eq!(to(None, 0, 5).records("j", &files).unwrap_err().message(), text);
    let several = place(None, &[("orders/0", 7), ("a/b/0", 9)]);
    assert!(to(None, 0, 10).records("j", &several).unwrap_err().message().contains("several topics"));
    assert_eq!(to(Some("a/b"), 0, 10).records("j", &several).unwrap()[0].from, 9);
}
