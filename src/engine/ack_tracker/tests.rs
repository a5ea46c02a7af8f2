use super::*;
use crate::engine::metrics::SplitProgress;
use crate::engine::progress::ReadBehindRegistry;

fn split(id: &str) -> Split {
    Split { id: id.to_owned(), resource: format!("kafka://broker/{id}"), group: None }
}

fn ack_tracker(splits: &[&str]) -> AckTracker {
    let progress = ReadBehindRegistry::default().register("job", Vec::new());
    let metrics = Arc::new(JobMetrics::new(Vec::new()));
    for id in splits {
        let progress = SplitProgress { read: Position::Offset(0), acknowledged: Position::Offset(0) };
        metrics.splits.lock().insert((*id).to_owned(), progress);
    }
    AckTracker::new(1, progress, metrics)
}

fn shown(ack_tracker: &AckTracker, id: &str) -> Option<Position> {
    ack_tracker.progress.now().positions.get(&split(id).resource).cloned()
}

#[test]
fn nothing_is_shown_to_readers_before_all_splits_are_open() {
    let ack_tracker = ack_tracker(&["t/0", "u/0"]);
    ack_tracker.begin("source-0", &split("t/0"), Position::Offset(5)).unwrap();
    ack_tracker.acknowledge(0, 0).unwrap();
    assert!(!ack_tracker.progress.now().opened, "a reader of topic u would pass");
    ack_tracker.begin("source-1", &split("u/0"), Position::Offset(7)).unwrap();
    ack_tracker.opened().unwrap();
    assert!(ack_tracker.progress.now().opened);
    assert_eq!(
        (shown(&ack_tracker, "t/0"), shown(&ack_tracker, "u/0")),
        (Some(Position::Offset(5)), Some(Position::Offset(7)))
    );
}

#[test]
fn a_partition_that_two_branches_read_is_as_far_as_the_slower_one() {
    let ack_tracker = ack_tracker(&["t/0"]);
    ack_tracker.begin("source-0", &split("t/0"), Position::Offset(0)).unwrap();
    ack_tracker.begin("source-1", &split("t/0"), Position::Offset(0)).unwrap();
    ack_tracker.opened().unwrap();
    ack_tracker.note(vec![1], vec![("source-1".to_owned(), vec![(split("t/0"), Position::Offset(9))])]).unwrap();
    ack_tracker.acknowledge(0, 1).unwrap();
    assert_eq!(shown(&ack_tracker, "t/0"), Some(Position::Offset(0)));
    ack_tracker.note(vec![2], vec![("source-0".to_owned(), vec![(split("t/0"), Position::Offset(4))])]).unwrap();
    ack_tracker.acknowledge(0, 2).unwrap();
    assert_eq!(shown(&ack_tracker, "t/0"), Some(Position::Offset(4)));
}

#[test]
fn acknowledged_positions_show_when_their_sequence_is_and_not_only_at_a_checkpoint() {
    let ack_tracker = ack_tracker(&["t/0", "t/1"]);
    ack_tracker.begin("source-0", &split("t/0"), Position::Offset(0)).unwrap();
    ack_tracker.begin("source-0", &split("t/1"), Position::Offset(0)).unwrap();
    ack_tracker.opened().unwrap();
    ack_tracker
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
    let acknowledged = |id: &str| ack_tracker.metrics.splits.lock()[id].acknowledged.offset().unwrap();
    assert_eq!((acknowledged("t/0"), acknowledged("t/1")), (0, 0));
    ack_tracker.acknowledge(0, 1).unwrap();
    assert_eq!((acknowledged("t/0"), acknowledged("t/1")), (6, 2));
    assert_eq!(
        (shown(&ack_tracker, "t/0"), shown(&ack_tracker, "t/1")),
        (Some(Position::Offset(6)), Some(Position::Offset(2)))
    );
    // Nothing of these rows had to be written: the sequence before them is enough.
    ack_tracker.note(vec![1], vec![("source-0".to_owned(), vec![(split("t/1"), Position::Offset(8))])]).unwrap();
    assert_eq!(acknowledged("t/1"), 8);
}

#[test]
fn a_split_that_has_ended_holds_nobody_up_and_its_other_readers_count_still() {
    let ack_tracker = ack_tracker(&["t/0"]);
    ack_tracker.begin("source-0", &split("t/0"), Position::Offset(0)).unwrap();
    ack_tracker.begin("source-1", &split("t/0"), Position::Offset(0)).unwrap();
    ack_tracker.opened().unwrap();
    ack_tracker.note(vec![1], vec![("source-0".to_owned(), vec![(split("t/0"), Position::Offset(9))])]).unwrap();
    ack_tracker.end("source-0", &split("t/0")).unwrap();
    assert_eq!(shown(&ack_tracker, "t/0"), Some(Position::Offset(0)), "the other source is not done");
    // The acknowledgement of what was read of it comes by later than the decision.
    ack_tracker.acknowledge(0, 1).unwrap();
    assert_eq!(shown(&ack_tracker, "t/0"), Some(Position::Offset(0)));
    ack_tracker.end("source-1", &split("t/0")).unwrap();
    assert_eq!(shown(&ack_tracker, "t/0"), None);
    assert!(ack_tracker.progress.now().ended.contains(&split("t/0").resource));
}

#[test]
fn one_split_has_positions_of_one_kind() {
    let ack_tracker = ack_tracker(&["t/0"]);
    ack_tracker.begin("source-0", &split("t/0"), Position::Offset(0)).unwrap();
    let error = ack_tracker.begin("source-1", &split("t/0"), Position::in_file("a", 0)).unwrap_err();
    let text = "kafka://broker/t/0: offset 0 and place 0 of file \"a\" cannot both be positions of one split";
    assert_eq!((error.kind(), error.message()), (crate::error::ErrorKind::Corrupt, text));
}
