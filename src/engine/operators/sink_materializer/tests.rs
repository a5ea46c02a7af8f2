use std::collections::BTreeMap;

use expect_test::expect;
use proptest::prelude::*;

use super::*;
use crate::changelog::Changelog;
use crate::clock::ManualClock;
use crate::engine::operators::testing::*;

const COLUMNS: &str = "v INT, k VARCHAR";

fn operator(version: bool, state_ttl_ms: Option<u64>, clock: &ManualClock) -> SinkMaterializer {
    SinkMaterializer::with_clock(
        &[1],
        Changelog::Retract,
        version,
        state_ttl_ms,
        &schema(COLUMNS),
        Arc::new(clock.clone()),
    )
    .unwrap()
}

#[test]
fn the_last_row_stands_and_the_one_before_comes_back() {
    let mut operator = operator(false, None, &ManualClock::default());
    let texts = ["+ 1 a\n+ 2 a\n+ 9 b", "- 2 a", "!", "-U 1 a\n+U 3 a\n- 9 b", "- 3 a\n- 4 a\n+ 5 c\n- 5 c", "!", "!"];
    expect![[r#"
        + 2 a
        + 9 b
        --
        +U 1 a
        --
        rows (key 2)
        + a 0 1
        + b 2 9
        --
        +U 3 a
        - NULL b
        --
        - NULL a
        - NULL c
        --
        rows (key 2)
        - a 0 NULL
        - b 2 NULL"#]]
    .assert_eq(&run(&mut operator, &schema(COLUMNS), &texts));
    assert_eq!((operator.metrics.unmatched.load(Ordering::Relaxed), operator.state_size().keys), (1, 0));
}

#[test]
fn a_version_grows_over_a_delete() {
    let mut first = operator(true, None, &ManualClock::default());
    expect![[r#"
        + 2 a 2
        --
        - NULL a 4
        --
        keys (key 1)
        + a 4 0"#]]
    .assert_eq(&run(&mut first, &schema(COLUMNS), &["+ 1 a\n+ 2 a", "- 2 a\n- 1 a", "!"]));
    let mut first = operator(true, None, &ManualClock::default());
    run(&mut first, &schema(COLUMNS), &["+ 1 a", "- 1 a"]);
    let mut second = operator(true, None, &ManualClock::default());
    for delta in first.snapshot().unwrap() {
        second.restore(&delta.table, &delta.rows).unwrap();
    }
    assert_eq!(run(&mut second, &schema(COLUMNS), &["+ 7 a"]), "+ 7 a 3");
}

#[test]
fn a_key_that_nothing_touched_for_its_time_is_forgotten() {
    let clock = ManualClock::at(0);
    let mut operator = operator(true, Some(100), &clock);
    let mut step = |now_ms, text: &str| {
        clock.set(now_ms);
        run(&mut operator, &schema(COLUMNS), &[text])
    };
    assert_eq!(step(0, "+ 1 a\n+ 1 b"), "+ 1 a 1\n+ 1 b 1");
    assert_eq!(step(100, "- 1 a\n+ 2 a"), "+ 2 a 1");
    assert_eq!(step(150, "!"), "keys (key 1)\n+ a 1 100\n- b NULL NULL\n--\nrows (key 2)\n+ a 2 2");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(4), ..ProptestConfig::default() })]

    #[test]
    fn folded_it_holds_the_last_live_row_of_each_key(
        steps in steps(row_of(&[&["1", "2", "3", "NULL"], &["a", "b", "c", "d"]]), true)
    ) {
        let build = || -> Box<dyn Operator> { Box::new(operator(false, None, &ManualClock::default())) };
        let mut tasks = Tasks::new(&build, vec![1]);
        let mut live: Vec<Vec<Option<String>>> = Vec::new();
        let (mut batch, mut kinds) = (Vec::new(), Vec::new());
        for step in steps.iter().chain([&Step::Flush]) {
            match step {
                Step::Insert(row) => {
                    live.push(row.clone());
                    batch.push(row.clone());
                    kinds.push(RowKind::Insert);
                    continue;
                }
                Step::Retract(_) if live.is_empty() => continue,
                Step::Retract(number) => {
                    let row = live[number % live.len()].clone();
                    live.remove(live.iter().position(|other| *other == row).unwrap());
                    batch.push(row);
                    kinds.push(RowKind::Delete);
                    continue;
                }
                _ => {}
            }
            if !batch.is_empty() {
                let rows = rows(&schema(COLUMNS), &std::mem::take(&mut batch));
                tasks.process(&ChangeBatch::changes(rows, std::mem::take(&mut kinds).into()));
            }
            match step {
                Step::Flush => tasks.flush(),
                Step::Restart(number) => tasks.restart(*number),
                _ => {}
            }
        }
        // The key is the second column.
        let output: Vec<ChangeBatch> =
            tasks.output.iter().map(|batch| batch.with_rows(batch.rows().project(&[1, 0]).unwrap())).collect();
        let found = fold(&output, Changelog::Upsert, 1);
        let cell = |cell: &Option<String>| cell.clone().unwrap_or("NULL".to_owned());
        let expected: BTreeMap<Vec<String>, Vec<String>> =
            live.iter().map(|row| (vec![cell(&row[1])], vec![cell(&row[0])])).collect();
        prop_assert_eq!(found, expected);
    }
}
