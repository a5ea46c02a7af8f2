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
        metrics.splits.lock().insert((*id).to_owned(), SplitProgress::default());
    }
    Ledger::new(1, progress, metrics)
}

fn shown(ledger: &Ledger, id: &str) -> Option<Position> {
    ledger.progress.now().positions.get(&split(id).resource).copied()
}

#[test]
fn nothing_is_shown_to_readers_before_all_splits_are_open() {
    let ledger = ledger(&["t/0", "u/0"]);
    ledger.begin("source-0", &split("t/0"), 5);
    ledger.acknowledge(0, 0);
    assert!(!ledger.progress.now().opened, "a reader of topic u would pass");
    ledger.begin("source-1", &split("u/0"), 7);
    ledger.opened();
    assert!(ledger.progress.now().opened);
    assert_eq!((shown(&ledger, "t/0"), shown(&ledger, "u/0")), (Some(5), Some(7)));
}

#[test]
fn a_partition_that_two_branches_read_is_as_far_as_the_slower_one() {
    let ledger = ledger(&["t/0"]);
    ledger.begin("source-0", &split("t/0"), 0);
    ledger.begin("source-1", &split("t/0"), 0);
    ledger.opened();
    ledger.note(vec![1], vec![("source-1".to_owned(), vec![(split("t/0"), 9)])]);
    ledger.acknowledge(0, 1);
    assert_eq!(shown(&ledger, "t/0"), Some(0));
    ledger.note(vec![2], vec![("source-0".to_owned(), vec![(split("t/0"), 4)])]);
    ledger.acknowledge(0, 2);
    assert_eq!(shown(&ledger, "t/0"), Some(4));
}

#[test]
fn acknowledged_positions_show_when_their_ticket_is_and_not_only_at_a_checkpoint() {
    let ledger = ledger(&["t/0", "t/1"]);
    ledger.begin("source-0", &split("t/0"), 0);
    ledger.begin("source-0", &split("t/1"), 0);
    ledger.opened();
    ledger.note(vec![1], vec![("source-0".to_owned(), vec![(split("t/0"), 3), (split("t/1"), 2), (split("t/0"), 6)])]);
    let acknowledged = |id: &str| ledger.metrics.splits.lock()[id].acknowledged;
    assert_eq!((acknowledged("t/0"), acknowledged("t/1")), (0, 0));
    ledger.acknowledge(0, 1);
    assert_eq!((acknowledged("t/0"), acknowledged("t/1")), (6, 2));
    assert_eq!((shown(&ledger, "t/0"), shown(&ledger, "t/1")), (Some(6), Some(2)));
    // Nothing of these rows had to be written: the ticket before them is enough.
    ledger.note(vec![1], vec![("source-0".to_owned(), vec![(split("t/1"), 8)])]);
    assert_eq!(acknowledged("t/1"), 8);
}
