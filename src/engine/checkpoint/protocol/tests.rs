use std::collections::BTreeMap;

use super::*;

fn manifest(epoch: u64, origin: Origin) -> Manifest {
    let positions = BTreeMap::from([("source-0".to_owned(), BTreeMap::from([("t/0".to_owned(), epoch as i64 * 10)]))]);
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
    }
}

fn show(resume: &Resume) -> String {
    match resume {
        Resume::Fresh => "fresh".to_owned(),
        Resume::At(epoch) => format!("at {epoch}"),
        Resume::RebuildMutedTo { from, decision } => format!("rebuild from {from:?} to {}", decision.epoch),
        Resume::Refuse(error) => format!("refuse: {:?}", error.kind()),
    }
}

/// Stored as text: `1 2 3`, `r3` a rebuilt one, `a1` an adopted one, `x` a damaged one.
fn stored(text: &str) -> (Vec<Manifest>, usize) {
    let mut manifests = Vec::new();
    let mut damaged = 0;
    for word in text.split_whitespace() {
        let (origin, epoch) = match word.split_at(1) {
            ("r", epoch) => (Origin::Rebuilt, epoch),
            ("a", epoch) => (Origin::Adopted, epoch),
            ("x", _) => {
                damaged += 1;
                continue;
            }
            _ => (Origin::Barrier, word),
        };
        manifests.push(manifest(epoch.parse().unwrap(), origin));
    }
    (manifests, damaged)
}

#[test]
fn without_transactions_the_newest_readable_checkpoint_is_the_decision() {
    for (text, expected) in [
        ("", "fresh"),
        ("1", "at 1"),
        ("3 5 4", "at 5"),
        ("3 4 x", "at 4"),
        ("a1", "at 1"),
        ("x", "refuse: Corrupt"),
        ("x x", "refuse: Corrupt"),
    ] {
        let (manifests, damaged) = stored(text);
        assert_eq!(show(&resume_from(None, false, &manifests, damaged)), expected, "stored: {text}");
    }
}

#[test]
fn with_transactions_the_committed_record_is_the_decision() {
    for (text, decided, expected) in [
        ("3 4 5", 5, "at 5"),
        // 6 was prepared only.
        ("4 5 6", 5, "at 5"),
        ("3 4", 5, "rebuild from Some(4) to 5"),
        // What is newer than the decision is of no use for it.
        ("3 6", 5, "rebuild from Some(3) to 5"),
        ("x", 5, "rebuild from None to 5"),
        ("", 5, "rebuild from None to 5"),
        ("4 r5", 5, "at 5"),
    ] {
        let (manifests, damaged) = stored(text);
        let decision = decision(&manifest(decided, Origin::Barrier));
        assert_eq!(show(&resume_from(Some(&decision), true, &manifests, damaged)), expected, "stored: {text}");
    }
}

#[test]
fn a_checkpoint_of_the_decided_number_that_is_another_one_is_not_taken() {
    let (prepared, older) = (manifest(5, Origin::Barrier), manifest(4, Origin::Barrier));
    let other = Decision { checksum: prepared.checksum() ^ 1, ..decision(&prepared) };
    let resume = resume_from(Some(&other), true, &[older.clone(), prepared.clone()], 0);
    assert_eq!(show(&resume), "rebuild from Some(4) to 5");
    // Rebuilt, but for other positions than those that were decided.
    let rebuilt = manifest(5, Origin::Rebuilt);
    let mut other = decision(&prepared);
    other.positions.clear();
    assert_eq!(show(&resume_from(Some(&other), true, &[older, rebuilt], 0)), "rebuild from Some(4) to 5");
}

#[test]
fn with_transactions_and_no_record_only_the_first_checkpoint_may_be_forgotten() {
    for (text, expected) in [
        ("", "fresh"),
        ("1", "fresh"),
        ("1 2", "refuse: Corrupt"),
        ("7", "refuse: Corrupt"),
        ("x", "refuse: Corrupt"),
        ("a1", "at 1"),
        ("a1 2", "at 1"),
        ("a1 2 3", "refuse: Corrupt"),
    ] {
        let (manifests, damaged) = stored(text);
        assert_eq!(show(&resume_from(None, true, &manifests, damaged)), expected, "stored: {text}");
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
        assert_eq!(files_to_fold(&files(megabytes), decided), expected, "{megabytes:?}");
    }
}

#[test]
fn a_row_is_rewritten_few_times_however_long_a_job_runs() {
    let mut chain: Vec<u64> = vec![1000];
    let (mut rewritten, mut longest) = (0, 0);
    for _ in 0..10_000 {
        chain.push(1);
        longest = longest.max(chain.len());
        if let Some(range) = files_to_fold(&files(&chain), u64::MAX) {
            // The state has a thousand units; a fold of the base never gives more.
            let bytes: u64 = chain[range.clone()].iter().sum();
            rewritten += bytes;
            let folded = if range.start == 0 { 1000 } else { bytes };
            chain.splice(range, [folded]);
        }
    }
    assert!(longest < 40, "{longest} files in a chain");
    assert!(rewritten < 10_000 * 12, "{rewritten} units rewritten for 10000 written");
}
