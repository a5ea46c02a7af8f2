use super::*;
use crate::connectors::dynamodb::own_attributes::VERSION_BYTES_MAX;
use proptest::prelude::*;

fn lineage(job: &str, writer: &str, first_epoch: u64) -> Lineage {
    Lineage { job: job.into(), writer: writer.into(), first_epoch }
}

fn write(count: i64, epoch: u64, serial: u64) -> VersionedItem {
    VersionedItem { item: Item::new(), count, epoch, serial }
}

fn by(version: i64, base: i64, epoch: u64, writer: &str, serial: u64) -> Stored {
    Stored { version, by: Some(Origin { job: "j".into(), base, epoch, writer: writer.into(), serial, at_ms: 1000 }) }
}

#[test]
fn a_refused_write_is_judged_by_what_is_stored() {
    let me = lineage("j", "w2", 5);
    let again = |base| Verdict::Again { base };
    let judge = |lineage: &Lineage, write: &VersionedItem, stored: &Stored| judge(lineage, write, stored, 2000);
    // Another job's, or nobody's.
    assert_eq!(judge(&lineage("k", "w", 1), &write(3, 1, 1), &by(1000, 0, 9, "w1", 7)), again(1000));
    assert_eq!(judge(&me, &write(3, 5, 1), &Stored { version: 8, by: None }), again(8));
    // A replay of what was written after the checkpoint.
    assert_eq!(judge(&me, &write(3, 5, 1), &by(10, 0, 6, "w1", 7)), Verdict::Done);
    assert_eq!(judge(&me, &write(10, 5, 1), &by(10, 0, 5, "w1", 7)), Verdict::Done);
    // The state of that time has forgotten the key.
    let late = 1000 + FORGOTTEN_AFTER_MS;
    assert_eq!(super::judge(&me, &write(3, 5, 1), &by(10, 0, 4, "w1", 7), late), again(10));
    assert_eq!(super::judge(&me, &write(3, 5, 1), &by(10, 0, 5, "w1", 7), late), Verdict::Done);
    // So short a time ago it may be the second replay in a row, in which the epoch was counted again.
    assert_eq!(judge(&me, &write(3, 5, 1), &by(10, 0, 4, "w1", 7)), Verdict::Done);
    // So it has while this writer ran.
    assert_eq!(judge(&me, &write(3, 9, 8), &by(10, 0, 7, "w2", 7)), again(10));
    assert_eq!(judge(&me, &write(10, 9, 8), &by(10, 0, 7, "w2", 7)), again(10));
    // Only the answer was lost.
    assert_eq!(judge(&me, &write(10, 9, 7), &by(10, 0, 9, "w2", 7)), Verdict::Done);
    // A base from before.
    assert_eq!(judge(&me, &write(4, 5, 1), &by(1003, 1000, 4, "w1", 7)), again(1000));
    assert_eq!(judge(&me, &write(2, 5, 1), &by(1003, 1000, 5, "w1", 7)), Verdict::Done);
}

#[test]
fn version_and_origin_survive_the_item() {
    let me = lineage("j", "w2", 5);
    let item = complete(&me, &write(4, 6, 9), 1000, "_v", 1000);
    assert_eq!(stored(&item, "_v"), Some(by(1004, 1000, 6, "w2", 9)));
    assert!(crate::connectors::dynamodb::value::encode::item_bytes(&item) < VERSION_BYTES_MAX);
    assert_eq!(stored(&Item::from([("_v".to_owned(), AttributeValue::S("x".into()))]), "_v"), None);
}

/// One key of a table, with the condition of `VersionedPut::put`.
#[derive(Default)]
struct Table {
    stored: Option<Stored>,
    value: i64,
}

impl Table {
    /// As `VersionedPut::send`, with one key.
    fn send(&mut self, lineage: &Lineage, write: &VersionedItem, value: i64, bases: &mut i64) {
        let (mut base, mut seen) = (*bases, None);
        for _ in 0..TRIES_MAX {
            let version = base + write.count;
            let holds = match (&self.stored, seen) {
                (None, None) => true,
                (None, Some(_)) => false,
                (Some(stored), Some(seen)) => stored.version == seen,
                (Some(stored), None) => stored
                    .by
                    .as_ref()
                    .is_some_and(|by| by.job == lineage.job && by.base == base && stored.version < version),
            };
            if holds {
                let by = Origin {
                    job: lineage.job.clone(),
                    base,
                    epoch: write.epoch,
                    writer: lineage.writer.clone(),
                    serial: write.serial,
                    at_ms: 0,
                };
                (self.stored, self.value) = (Some(Stored { version, by: Some(by) }), value);
                *bases = base;
                return;
            }
            let stored = self.stored.as_ref().expect("a condition fails over an item");
            match judge(lineage, write, stored, 0) {
                Verdict::Done => {
                    *bases = base;
                    return;
                }
                Verdict::Again { base: found } => (base, seen) = (found, Some(stored.version)),
            }
        }
        panic!("a single writer comes to an end");
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// So many input rows are folded, then the key is emitted.
    Rows(i64),
    Barrier,
    /// Back to the last barrier, with another writer.
    Restart,
    /// The job is dropped and created anew: from the beginning of the input.
    Recreate,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1i64..5).prop_map(Step::Rows),
        2 => Just(Step::Barrier),
        2 => Just(Step::Restart),
        1 => Just(Step::Recreate),
    ]
}

proptest! {
    /// The value is the input position. Within one job it never steps back; after all, the last position stands.
    #[test]
    fn replays_never_win_and_the_end_is_right(steps in proptest::collection::vec(step(), 1..60)) {
        let mut table = Table::default();
        let (mut position, mut checkpoint, mut epoch, mut serial) = (0, (0, 0u64), 1, 0);
        let (mut job, mut restarts, mut bases) = (0, 0, 0);
        let (mut job_wrote, mut highest, mut first_epoch) = (false, 0, 1);
        for step in steps {
            match step {
                Step::Rows(rows) => {
                    position += rows;
                    serial += 1;
                    let me = lineage(&format!("job{job}"), &format!("w{restarts}"), first_epoch);
                    table.send(&me, &write(position, epoch, serial), position, &mut bases);
                    if job_wrote {
                        prop_assert!(table.value >= highest, "stepped back from {highest} to {}", table.value);
                    }
                    (job_wrote, highest) = (true, table.value);
                    prop_assert!(table.value >= position, "a new position was ignored");
                }
                Step::Barrier => {
                    checkpoint = (position, epoch);
                    epoch += 1;
                }
                Step::Restart => {
                    restarts += 1;
                    (position, epoch, serial, bases) = (checkpoint.0, checkpoint.1 + 1, 0, 0);
                    first_epoch = epoch;
                }
                Step::Recreate => {
                    job += 1;
                    restarts += 1;
                    (position, checkpoint, epoch, serial, bases, job_wrote) = (0, (0, 0), 1, 0, 0, false);
                    first_epoch = 1;
                }
            }
        }
    }
}
