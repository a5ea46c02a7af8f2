use std::collections::BTreeMap;

use super::*;
use crate::connectors::Position;

fn manifest(epoch: u64, origin: Origin) -> Manifest {
    let position = Position::Offset(epoch as i64 * 10);
    let positions = BTreeMap::from([("source-0".to_owned(), BTreeMap::from([("t/0".to_owned(), position)]))]);
    let mut manifest = Manifest::new("job", epoch, positions, Vec::new());
    manifest.origin = origin;
    manifest.encode().unwrap();
    manifest
}

fn decision(manifest: &Manifest) -> Decision {
    Decision {
        epoch: manifest.epoch,
        positions: manifest.positions.clone(),
        checksum: manifest.checksum(),
        logs: manifest.logs.clone(),
        enumerators: manifest.enumerators.clone(),
    }
}

fn show(resume: &Resume) -> String {
    match resume {
        Resume::Fresh => "fresh".to_owned(),
        Resume::At(epoch) => format!("at {epoch}"),
        Resume::RebuildMuted { from, through } => {
            let from = from.map_or("nothing".to_owned(), |epoch| epoch.to_string());
            let through: Vec<String> = through
                .iter()
                .map(|decision| {
                    assert_eq!(decision.positions, manifest(decision.epoch, Origin::Barrier).positions);
                    decision.epoch.to_string()
                })
                .collect();
            format!("rebuild from {from} through {}", through.join(" "))
        }
        Resume::Refuse(error) => format!("refuse: {:?}", error.kind()),
    }
}

/// What is stored and lost, as text: `1 2 3`; `r3` a rebuilt one, `a1` an adopted one, `d4` one with a damaged file of state, `x5` one
/// that cannot be read at all.
#[derive(Default)]
struct Stored {
    manifests: Vec<Manifest>,
    lost: Vec<(u64, Option<Manifest>)>,
}

impl Stored {
    fn of(text: &str) -> Self {
        let mut stored = Self::default();
        for word in text.split_whitespace() {
            let epoch = word.trim_start_matches(char::is_alphabetic).parse().unwrap();
            match &word[..1] {
                "r" => stored.manifests.push(manifest(epoch, Origin::Rebuilt)),
                "a" => stored.manifests.push(manifest(epoch, Origin::Adopted)),
                "d" => stored.lost.push((epoch, Some(manifest(epoch, Origin::Barrier)))),
                "x" => stored.lost.push((epoch, None)),
                _ => stored.manifests.push(manifest(epoch, Origin::Barrier)),
            }
        }
        stored
    }

    fn resume(&self, facts: Facts<'_>) -> Resume {
        let lost: Vec<Lost<'_>> = self
            .lost
            .iter()
            .map(|(epoch, manifest)| Lost { epoch: Some(*epoch), manifest: manifest.as_ref() })
            .collect();
        resume_from(&Facts { stored: &self.manifests, lost: &lost, ..facts })
    }
}

#[test]
fn without_transactions_the_newest_readable_checkpoint_is_the_decision() {
    for (text, expected) in [
        ("", "fresh"),
        ("1", "at 1"),
        ("3 5 4", "at 5"),
        ("3 4 x5", "at 4"),
        ("3 4 d5", "at 4"),
        ("a1", "at 1"),
        ("x1", "refuse: Corrupt"),
        ("x1 x2", "refuse: Corrupt"),
    ] {
        assert_eq!(show(&Stored::of(text).resume(Facts::default())), expected, "stored: {text}");
    }
}

#[test]
fn where_writes_wait_for_their_epoch_every_lost_barrier_is_gone_through_again() {
    for (text, expected) in [
        ("", "fresh"),
        ("3 4 5", "at 5"),
        // An older one that is lost is of no more use.
        ("d3 x4 5", "at 5"),
        ("3 4 d5", "rebuild from 4 through 5"),
        ("3 d5 d4", "rebuild from 3 through 4 5"),
        ("3 r4 d5", "rebuild from 4 through 5"),
        // Where the job was at a barrier is not known.
        ("3 4 x5", "refuse: Corrupt"),
        ("3 x4 d5", "refuse: Corrupt"),
        ("3 d5", "refuse: Corrupt"),
        ("d1", "refuse: Corrupt"),
    ] {
        let facts = Facts { defers: true, is_repeatable: true, ..Facts::default() };
        assert_eq!(show(&Stored::of(text).resume(facts)), expected, "stored: {text}");
        let expected = if expected.starts_with("rebuild") { "refuse: Corrupt" } else { expected };
        let facts = Facts { is_repeatable: false, ..facts };
        assert_eq!(show(&Stored::of(text).resume(facts)), expected, "not repeatable, stored: {text}");
    }
}

#[test]
fn a_refusal_says_which_checkpoint_is_damaged_and_what_can_be_done() {
    let facts = Facts { defers: true, is_repeatable: true, ..Facts::default() };
    let Resume::Refuse(error) = Stored::of("3 4 x5").resume(facts) else { panic!("it is not refused") };
    let expected = "checkpoint 5 of the job is damaged, and the positions of epoch 5 are not known";
    assert_eq!(error.message(), expected);
    assert!(error.to_string().contains(expected));
}

#[test]
fn with_transactions_the_committed_record_is_the_decision() {
    for (text, decided, expected, deferring) in [
        ("3 4 5", 5, "at 5", "at 5"),
        // 6 was prepared only.
        ("4 5 6", 5, "at 5", "at 5"),
        ("3 4", 5, "rebuild from 4 through 5", "rebuild from 4 through 5"),
        ("3 4 x5", 5, "rebuild from 4 through 5", "rebuild from 4 through 5"),
        ("3 d4 x5", 5, "rebuild from 3 through 5", "rebuild from 3 through 4 5"),
        // What is newer than the decision is of no use for it.
        ("3 6", 5, "rebuild from 3 through 5", "refuse: Corrupt"),
        ("x5", 5, "rebuild from nothing through 5", "refuse: Corrupt"),
        ("", 5, "rebuild from nothing through 5", "refuse: Corrupt"),
        ("", 1, "rebuild from nothing through 1", "rebuild from nothing through 1"),
        ("4 r5", 5, "at 5", "at 5"),
    ] {
        let decision = decision(&manifest(decided, Origin::Barrier));
        let facts = Facts { decides_in_kafka: true, decided: Some(&decision), is_repeatable: true, ..Facts::default() };
        assert_eq!(show(&Stored::of(text).resume(facts)), expected, "stored: {text}");
        let facts = Facts { defers: true, ..facts };
        assert_eq!(show(&Stored::of(text).resume(facts)), deferring, "with deferred writes, stored: {text}");
    }
}

#[test]
fn a_checkpoint_of_the_decided_number_that_is_another_one_is_not_taken() {
    let (prepared, older) = (manifest(5, Origin::Barrier), manifest(4, Origin::Barrier));
    let other = Decision { checksum: prepared.checksum() ^ 1, ..decision(&prepared) };
    let facts = Facts { decides_in_kafka: true, decided: Some(&other), ..Facts::default() };
    assert_eq!(show(&Stored::of("4 5").resume(facts)), "rebuild from 4 through 5");
    // Rebuilt, but for other positions than those that were decided.
    let mut other = decision(&prepared);
    other.positions.clear();
    let stored = [older, manifest(5, Origin::Rebuilt)];
    let resume = resume_from(&Facts { decided: Some(&other), stored: &stored, ..facts });
    assert!(matches!(resume, Resume::RebuildMuted { from: Some(4), .. }), "{resume:?}");
}

#[test]
fn with_transactions_and_no_record_only_the_first_checkpoint_may_be_forgotten() {
    for (text, expected) in [
        ("", "fresh"),
        ("1", "fresh"),
        ("1 2", "refuse: Corrupt"),
        ("7", "refuse: Corrupt"),
        ("x1", "refuse: Corrupt"),
        ("a1", "at 1"),
        ("a1 2", "at 1"),
        ("a1 2 3", "refuse: Corrupt"),
    ] {
        let facts = Facts { decides_in_kafka: true, ..Facts::default() };
        assert_eq!(show(&Stored::of(text).resume(facts)), expected, "stored: {text}");
    }
}

#[test]
fn the_newest_decided_checkpoints_are_kept_and_prepared_ones_are_not_touched() {
    assert_eq!(outdated(&[1, 2, 3, 4, 5], 4, 3), vec![1]);
    assert_eq!(outdated(&[1, 2, 3, 4, 5], 5, 1), vec![4, 3, 2, 1]);
    assert_eq!(outdated(&[1, 2], 2, 3), Vec::<u64>::new());
    assert_eq!(outdated(&[5], 5, 0), Vec::<u64>::new());
}

fn files(megabytes: &[u64]) -> Vec<StateFile> {
    let file = |(index, megabytes): (usize, &u64)| StateFile {
        name: index.to_string(),
        epoch: index as u64 + 1,
        bytes: megabytes << 20,
        rows: 1,
        index_bytes: 1,
        index_crc32c: 0,
    };
    megabytes.iter().enumerate().map(file).collect()
}

#[test]
fn files_are_folded_when_they_are_many_or_much_larger_than_their_base() {
    for (megabytes, decided, expected) in [
        (&[][..], 9, None),
        (&[1], 9, None),
        (&[1, 1, 1, 1, 1, 1, 1], 9, None),
        (&[1, 1, 1, 1, 1, 1, 1, 1], 8, Some(0..8)),
        // The last one is not decided yet.
        (&[1, 1, 1, 1, 1, 1, 1, 1], 7, None),
        // A large base is left alone as long as what follows is small.
        (&[1000, 1, 1, 1, 1, 1, 1, 1], 9, None),
        (&[1000, 1, 1, 1, 1, 1, 1, 1, 1], 9, Some(1..9)),
        // A chain of more than twice its base.
        (&[100, 60, 60], 9, Some(0..3)),
        (&[100, 40, 40], 9, None),
        (&[10, 6, 6], 9, None),
    ] {
        assert_eq!(files_to_compact(&files(megabytes), decided), expected, "{megabytes:?}");
    }
}

#[test]
fn a_row_is_rewritten_few_times_however_long_a_job_runs() {
    let mut chain: Vec<u64> = vec![1000];
    let (mut rewritten, mut longest) = (0, 0);
    for _ in 0..10_000 {
        chain.push(1);
        longest = longest.max(chain.len());
        if let Some(range) = files_to_compact(&files(&chain), u64::MAX) {
            // The state has a thousand units; a compaction of the base never gives more.
            let bytes: u64 = chain[range.clone()].iter().sum();
            rewritten += bytes;
            let compacted = if range.start == 0 { 1000 } else { bytes };
            chain.splice(range, [compacted]);
        }
    }
    assert!(longest < 40, "{longest} files in a chain");
    assert!(rewritten < 10_000 * 12, "{rewritten} units rewritten for 10000 written");
}
