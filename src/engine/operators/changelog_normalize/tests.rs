use std::collections::BTreeMap;

use expect_test::expect;
use proptest::prelude::*;

use super::*;
use crate::changelog::Changelog;
use crate::clock::ManualClock;
use crate::engine::operators::testing::*;

const COLUMNS: &str = "v INT, k VARCHAR, w VARCHAR";

fn operator(state_ttl_ms: Option<u64>, clock: &ManualClock) -> ChangelogNormalize {
    ChangelogNormalize::with_clock(&[1], state_ttl_ms, &schema(COLUMNS), Arc::new(clock.clone())).unwrap()
}

#[test]
fn upserts_become_full_changes() {
    let mut operator = operator(None, &ManualClock::default());
    let texts = [
        "+ 1 a x\n+U 2 a x\n+ 1 b NULL",
        "- NULL a\n- NULL c\n+ 1 b NULL\n+ 5 b y",
        "!",
        "- NULL b\n+ 7 d z\n- NULL d",
        "!",
        "!",
    ];
    expect![[r#"
        + 1 a x
        -U 1 a x
        +U 2 a x
        + 1 b NULL
        --
        - 2 a x
        -U 1 b NULL
        +U 5 b y
        --
        rows (key 1)
        - a NULL NULL
        + b 5 y
        --
        - 5 b y
        + 7 d z
        - 7 d z
        --
        rows (key 1)
        - b NULL NULL
        - d NULL NULL"#]]
    .assert_eq(&run(&mut operator, &schema(COLUMNS), &texts));
    assert_eq!(operator.state_size().keys, 0);
}

#[test]
fn a_row_that_nothing_touched_for_its_time_is_forgotten() {
    let clock = ManualClock::at(0);
    let mut operator = operator(Some(100), &clock);
    let mut step = |now_ms, text: &str| {
        clock.set(now_ms);
        run(&mut operator, &schema(COLUMNS), &[text])
    };
    assert_eq!(step(0, "+ 1 a x\n+ 1 b x"), "+ 1 a x\n+ 1 b x");
    assert_eq!(step(99, "+ 1 a x"), "");
    assert_eq!(step(150, "+ 2 a x\n+ 2 b x"), "-U 1 a x\n+U 2 a x\n+ 2 b x");
    assert_eq!(step(250, "- 2 a x"), "");
    assert_eq!(step(250, "!"), "rows (key 1)\n- a NULL NULL NULL\n- b NULL NULL NULL");
}

/// Rows with `NULL` in the first column delete their key.
fn upserts(cells: &[Vec<Option<String>>]) -> ChangeBatch {
    let kinds = cells.iter().map(|row| if row[0].is_none() { RowKind::Delete } else { RowKind::Insert });
    ChangeBatch::changes(rows(&schema(COLUMNS), cells), kinds.collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(4), ..ProptestConfig::default() })]

    #[test]
    fn what_comes_out_is_the_last_row_of_each_key(
        steps in steps(row_of(&[&["1", "2", "NULL"], &["a", "b", "c", "d"], &["x", "NULL"]]), false)
    ) {
        let build = || -> Box<dyn Operator> { Box::new(operator(None, &ManualClock::default())) };
        let mut tasks = Tasks::new(&build, vec![1]);
        let mut last: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut batch = Vec::new();
        for step in steps.iter().chain([&Step::EndBatch]) {
            if let Step::Insert(row) = step {
                batch.push(row.clone());
                let cells: Vec<String> = row.iter().map(|cell| cell.clone().unwrap_or("NULL".to_owned())).collect();
                match row[0] {
                    Some(_) => last.insert(cells[1].clone(), cells),
                    None => last.remove(&cells[1]),
                };
                continue;
            }
            if !batch.is_empty() {
                tasks.process(&upserts(&std::mem::take(&mut batch)));
            }
            if let Step::Restart(number) = step {
                tasks.restart(*number);
            }
        }
        // Rows as their own keys: every change must take back just what is there.
        let found = fold(&tasks.output, Changelog::Retract, 3);
        let mut expected: Vec<Vec<String>> = last.into_values().collect();
        expected.sort();
        prop_assert_eq!(found.into_keys().collect::<Vec<_>>(), expected);
    }
}
