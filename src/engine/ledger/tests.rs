use super::*;
use crate::engine::metrics::SplitProgress;
use crate::engine::progress::ProgressBoard;

fn split(id: &str) -> Split {
    Split { id: id.to_owned(), resource: format!("kafka://broker/{id}"), group: None }
}

fn ledger(splits: &[&str]) -> Ledger {
    let progress = ProgressBoard::default().register("job", Vec::new());
    let metrics = Arc::new(JobMetrics::new(Vec::new()));
    for id in splits {
        let progress = SplitProgress { read: Position::Offset(0), acknowledged: Position::Offset(0) };
        metrics.splits.lock().insert((*id).to_owned(), progress);
    }
    Ledger::new(1, progress, metrics)
}

fn shown(ledger: &Ledger, id: &str) -> Option<Position> {
    ledger.progress.now().positions.get(&split(id).resource).cloned()
}

#[test]
fn nothing_is_shown_to_readers_before_all_splits_are_open() {
    let ledger = ledger(&["t/0", "u/0"]);
    ledger.begin("source-0", &split("t/0"), Position::Offset(5)).unwrap();
    ledger.acknowledge(0, 0).unwrap();
    assert!(!ledger.progress.now().opened, "a reader of topic u would pass");
    ledger.begin("source-1", &split("u/0"), Position::Offset(7)).unwrap();
    ledger.opened().unwrap();
    assert!(ledger.progress.now().opened);
    assert_eq!((shown(&ledger, "t/0"), shown(&ledger, "u/0")), (Some(Position::Offset(5)), Some(Position::Offset(7))));
}

#[test]
fn a_partition_that_two_branches_read_is_as_far_as_the_slower_one() {
    let ledger = ledger(&["t/0"]);
    ledger.begin("source-0", &split("t/0"), Position::Offset(0)).unwrap();
    ledger.begin("source-1", &split("t/0"), Position::Offset(0)).unwrap();
    ledger.opened().unwrap();
    ledger.note(vec![1], vec![("source-1".to_owned(), vec![(split("t/0"), Position::Offset(9))])]).unwrap();
    ledger.acknowledge(0, 1).unwrap();
    assert_eq!(shown(&ledger, "t/0"), Some(Position::Offset(0)));
    ledger.note(vec![2], vec![("source-0".to_owned(), vec![(split("t/0"), Position::Offset(4))])]).unwrap();
    ledger.acknowledge(0, 2).unwrap();
    assert_eq!(shown(&ledger, "t/0"), Some(Position::Offset(4)));
}

#[test]
fn acknowledged_positions_show_when_their_ticket_is_and_not_only_at_a_checkpoint() {
    let ledger = ledger(&["t/0", "t/1"]);
    ledger.begin("source-0", &split("t/0"), Position::Offset(0)).unwrap();
    ledger.begin("source-0", &split("t/1"), Position::Offset(0)).unwrap();
    ledger.opened().unwrap();
    ledger
        .note(
            vec![1],
            vec![(
                "source-0".to_owned(),
                vec![
                    (split("t/0"), Position::Offset(3)),
                    (split("t/1"), Position::Offset(2)),
                    (split("t/0"), Position::Offset(6)),
                ],
            )],
        )
        .unwrap();
    let acknowledged = |id: &str| ledger.metrics.splits.lock()[id].acknowledged.offset().unwrap();
    assert_eq!((acknowledged("t/0"), acknowledged("t/1")), (0, 0));
    ledger.acknowledge(0, 1).unwrap();
    assert_eq!((acknowledged("t/0"), acknowledged("t/1")), (6, 2));
    assert_eq!((shown(&ledger, "t/0"), shown(&ledger, "t/1")), (Some(Position::Offset(6)), Some(Position::Offset(2))));
    // Nothing of these rows had to be written: the ticket before them is enough.
    ledger.note(vec![1], vec![("source-0".to_owned(), vec![(split("t/1"), Position::Offset(8))])]).unwrap();
    assert_eq!(acknowledged("t/1"), 8);
}

#[test]
fn a_split_that_has_ended_holds_nobody_up_and_its_other_readers_count_still() {
    let ledger = ledger(&["t/0"]);
    ledger.begin("source-0", &split("t/0"), Position::Offset(0)).unwrap();
    ledger.begin("source-1", &split("t/0"), Position::Offset(0)).unwrap();
    ledger.opened().unwrap();
    ledger.note(vec![1], vec![("source-0".to_owned(), vec![(split("t/0"), Position::Offset(9))])]).unwrap();
    ledger.end("source-0", &split("t/0")).unwrap();
    assert_eq!(shown(&ledger, "t/0"), Some(Position::Offset(0)), "the other source is not done");
    // The acknowledgement of what was read of it comes by later than the decision.
    ledger.acknowledge(0, 1).unwrap();
    assert_eq!(shown(&ledger, "t/0"), Some(Position::Offset(0)));
    ledger.end("source-1", &split("t/0")).unwrap();
    assert_eq!(shown(&ledger, "t/0"), None);
    assert!(ledger.progress.now().ended.contains(&split("t/0").resource));
}

#[test]
fn one_split_has_positions_of_one_kind() {
    let ledger = ledger(&["t/0"]);
    ledger.begin("source-0", &split("t/0"), Position::Offset(0)).unwrap();
    let error = ledger.begin("source-1", &split("t/0"), Position::in_file("a", 0)).unwrap_err();
    let text = "kafka://broker/t/0: offset 0 and place 0 of file \"a\" cannot both be positions of one split";
    assert_eq!((error.kind(), error.message()), (crate::error::ErrorKind::Corrupt, text));
}
