use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;
use crate::clock::ManualClock;
use crate::engine::operators::testing::*;

const COLUMNS: &str = "k VARCHAR, i BIGINT, d DECIMAL(10,2), f DOUBLE, s VARCHAR, b BOOLEAN";

/// Columns of the property tests.
const CHOICES: &[&[&str]] = &[
    &["a", "b", "c", "d", "NULL"],
    &["1", "2", "3", "-7", "NULL", "9000000000"],
    &["0.10", "2.50", "-1.01", "99999999.99", "NULL"],
    &["0.1", "0.2", "-3.75", "1e10", "1e-5", "NULL"],
    &["x", "y", "longer-than-a-block-of-thirty-two-bytes", "NULL"],
    &["true", "false", "NULL"],
];

/// Aggregates that do not depend on the order of rows.
const UNORDERED: &str = "count(*), count(i), sum(i), avg(i), sum(d), avg(d), sum(f), avg(f), min(i), max(i), min(d), max(d), \
    min(f), max(f), min(s), max(s), min(b), max(b), bool_and(b), bool_or(b), \
    var_pop(i), var_samp(f), stddev_pop(f), stddev_samp(d), \
    count(DISTINCT i), count(DISTINCT s), sum(DISTINCT i), sum(DISTINCT d), avg(DISTINCT f), approx_distinct(s), \
    count(*) FILTER (WHERE i > 1), sum(d) FILTER (WHERE b), min(i) FILTER (WHERE b), count(DISTINCT s) FILTER (WHERE i < 3), \
    array_agg(i ORDER BY i DESC), array_agg(DISTINCT s ORDER BY s), string_agg(s, '+' ORDER BY s), \
    string_agg(DISTINCT s, ',' ORDER BY s), first_value(i ORDER BY f, i), last_value(s ORDER BY i NULLS FIRST, s), \
    first_value(d ORDER BY d) IGNORE NULLS, array_agg(i ORDER BY i) FILTER (WHERE b)";

/// Aggregates that follow the order of arrival.
const ORDERED: &str = "first_value(i), last_value(i), first_value(s) IGNORE NULLS, last_value(s) IGNORE NULLS, \
    any_value(d), array_agg(i), string_agg(s, ', '), array_agg(s) FILTER (WHERE b)";

fn planned(select: &str, input: Changelog, emits: Changelog) -> Planned {
    plan(COLUMNS, select, input, emits).unwrap()
}

/// By `k`, retract in and out.
fn by_k(aggregates: &str) -> Planned {
    planned(&format!("SELECT k, {aggregates} FROM t GROUP BY k"), Changelog::Retract, Changelog::Retract)
}

fn check(planned: &Planned, texts: &[&str], expected: Expect) {
    expected.assert_eq(&planned.run(texts));
}

#[test]
fn a_group_comes_changes_and_goes() {
    check(
        &by_k("count(*), sum(i)"),
        &["+ a 1\n+ a 2\n+ b 5", "- a 1", "- a 2\n- b 5\n+ b 6", "+ a 3\n- a 3"],
        expect![[r#"
            + a 2 3
            + b 1 5
            --
            -U a 2 3
            +U a 1 2
            --
            - a 1 2
            -U b 1 5
            +U b 1 6
            --
        "#]],
    );
}

#[test]
fn upserts_have_no_row_before_and_deletes_only_the_key() {
    let planned = planned("SELECT k, count(*), sum(i) FROM t GROUP BY k", Changelog::Retract, Changelog::Upsert);
    check(
        &planned,
        &["+ a 1", "+ a 2", "- a 1\n- a 2", "+ b 1\n- b 1"],
        expect![[r#"
            + a 1 1
            --
            +U a 2 3
            --
            - a NULL NULL
            --
            - b NULL NULL"#]],
    );
}

#[test]
fn an_unchanged_group_is_given_out_only_if_asked() {
    let mut planned = planned("SELECT k, max(i) FROM t GROUP BY k", Changelog::Append, Changelog::Upsert);
    check(
        &planned,
        &["+ a 5", "+ a 4"],
        expect![[r#"
        + a 5
        --
    "#]],
    );
    planned.spec.emit_unchanged = true;
    check(
        &planned,
        &["+ a 5", "+ a 4"],
        expect![[r#"
        + a 5
        --
        +U a 5"#]],
    );
}

#[test]
fn a_version_counts_the_changes_of_a_group_and_survives_its_end() {
    let mut planned = planned("SELECT k, max(i) FROM t GROUP BY k", Changelog::Retract, Changelog::Upsert);
    planned.spec.version = true;
    check(
        &planned,
        &["+ a 5\n+ a 6", "- a 5", "- a 6", "+ a 1"],
        expect![[r#"
            + a 6 2
            --
            +U a 6 3
            --
            - a NULL 4
            --
            + a 1 5"#]],
    );
}

#[test]
fn a_version_is_in_the_checkpoint_also_after_the_end_of_its_group() {
    let mut planned = planned("SELECT k, max(i) FROM t GROUP BY k", Changelog::Retract, Changelog::Upsert);
    planned.spec.version = true;
    for spills in [false, true] {
        planned.spill = spills.then(|| tempfile::tempdir().unwrap());
        let clock = ManualClock::default();
        let mut operator = planned.operator(&clock);
        let mut stored = Vec::new();
        for (step, expected) in
            [("+ a 5", "+ a 5 1"), ("- a 5", "- a NULL 2"), ("+ a 1", "+ a 1 3"), ("- a 1", "- a NULL 4")]
        {
            block_on(operator.process(0, planned.project(changes(&planned.input, step)))).unwrap();
            assert_eq!(text(&flushed(&mut operator)), expected, "spills: {spills}");
            stored.extend(operator.snapshot().unwrap());
            operator = planned.operator(&clock);
            for delta in &stored {
                operator.restore(&delta.table, &delta.rows).unwrap();
            }
        }
    }
}

#[test]
fn one_group_over_all_rows_begins_with_the_first_and_stays_without_rows() {
    let planned = planned("SELECT count(*), sum(i) FROM t", Changelog::Retract, Changelog::Retract);
    check(
        &planned,
        &["- a 1", "+ a 1", "- a 1", "+ a 2\n+ a 3"],
        expect![[r#"

            --
            + 1 1
            --
            -U 1 1
            +U 0 NULL
            --
            -U 0 NULL
            +U 2 5"#]],
    );
}

#[test]
fn retractions_of_unknown_rows_are_counted_and_left_out() {
    let planned = by_k("count(*), min(i), array_agg(i)");
    let mut operator = planned.operator(&ManualClock::default());
    let batch = planned.project(changes(&planned.input, "- a 1\n+ a 2\n- a 7\n- a 2\n+ b 1"));
    block_on(operator.process(0, batch)).unwrap();
    assert_eq!(text(&flushed(&mut operator)), "+ b 1 1 [1]");
    assert_eq!(operator.metrics.unmatched.load(Ordering::Relaxed), 2);
}

#[test]
fn null_is_a_key() {
    check(
        &by_k("count(*), count(i)"),
        &["+ NULL 1\n+ NULL NULL\n+ a 1"],
        expect![[r#"
        + NULL 2 1
        + a 1 1"#]],
    );
}

#[test]
fn a_lost_extreme_is_replaced_by_the_next_one() {
    check(
        &by_k("min(i), max(s)"),
        &["+ a 1 0 0 x\n+ a 2 0 0 y\n+ a 1 0 0 x", "- a 1 0 0 x", "- a 2 0 0 y"],
        expect![[r#"
            + a 1 y
            --

            --
            -U a 1 y
            +U a 1 x"#]],
    );
}

#[test]
fn the_oldest_of_equal_values_is_taken_back() {
    check(
        &by_k("array_agg(i), first_value(i), last_value(i)"),
        &["+ a 1\n+ a 2\n+ a 1", "- a 1", "- a 1"],
        expect![[r#"
            + a [1, 2, 1] 1 1
            --
            -U a [1, 2, 1] 1 1
            +U a [2, 1] 2 1
            --
            -U a [2, 1] 2 1
            +U a [2] 2 2"#]],
    );
}

#[test]
fn a_sum_beyond_its_type_is_an_error_that_names_it() {
    let planned = planned("SELECT k, sum(i) FROM t GROUP BY k", Changelog::Append, Changelog::Upsert);
    let mut operator = planned.operator(&ManualClock::default());
    let batch = planned.project(changes(&planned.input, "+ a 9223372036854775807\n+ a 1"));
    block_on(operator.process(0, batch)).unwrap();
    let error = operator.flush().unwrap_err();
    assert_eq!((error.message(), error.sqlstate().code()), ("sum(t.i): the result is out of range", "22003"));
}

#[test]
fn a_checkpoint_holds_changed_groups_and_values_only() {
    check(
        &by_k("count(DISTINCT s), min(i)"),
        &["+ a 1 0 0 x\n+ a 2 0 0 y\n+ b 1 0 0 x", "!", "- a 1 0 0 x", "!", "- b 1 0 0 x", "!", "!"],
        expect![[r#"
            + a 2 1
            + b 1 1
            --
            groups (key 1)
            + a 2 2
            + b 1 1
            values-0 (key 2)
            + a x 1
            + a y 1
            + b x 1
            values-1 (key 2)
            + a 1 1
            + a 2 1
            + b 1 1
            --
            -U a 2 1
            +U a 1 2
            --
            groups (key 1)
            + a 1 1
            values-0 (key 2)
            - a x NULL
            values-1 (key 2)
            - a 1 NULL
            --
            - b 1 1
            --
            groups (key 1)
            - b NULL NULL
            values-0 (key 2)
            - b x NULL
            values-1 (key 2)
            - b 1 NULL
            --
        "#]],
    );
}

#[test]
fn a_group_that_nothing_touched_for_its_time_is_forgotten() {
    let mut planned = by_k("count(*), count(DISTINCT i)");
    planned.spec.state_ttl_ms = Some(1000);
    let clock = ManualClock::at(0);
    let mut operator = planned.operator(&clock);
    let mut step = |now_ms, changed: &str| {
        clock.set(now_ms);
        block_on(operator.process(0, planned.project(changes(&planned.input, changed)))).unwrap();
        let out = text(&flushed(&mut operator));
        (
            out,
            operator.snapshot().unwrap().iter().map(delta_text).collect::<Vec<_>>().join("; "),
            operator.state_size().keys,
        )
    };
    assert_eq!(step(0, "+ a 1\n+ b 1").0, "+ a 1 1\n+ b 1 1");
    assert_eq!(step(900, "+ a 2").0, "-U a 1 1\n+U a 2 2");
    // b is swept at the barrier, a begins anew.
    assert_eq!(
        step(1900, "+ a 3"),
        (
            "+ a 1 1".to_owned(),
            "groups (key 1)\n+ a 1 1900 1 1\n- b NULL NULL NULL NULL; \
             values-1 (key 2)\n- a 1 NULL\n- a 2 NULL\n+ a 3 1\n- b 1 NULL"
                .to_owned(),
            2
        )
    );
    assert_eq!(step(3000, "- a 3").0, "");
}

#[test]
fn a_group_in_the_place_of_a_deleted_one_begins_empty_after_a_restart() {
    for aggregates in ["count(*), sum(i)", "count(DISTINCT i), sum(i)"] {
        let planned = by_k(aggregates);
        let mut operator = planned.operator(&ManualClock::default());
        let mut stored = Vec::new();
        for step in ["+ a 5", "- a 5"] {
            block_on(operator.process(0, planned.project(changes(&planned.input, step)))).unwrap();
            flushed(&mut operator);
            stored.extend(operator.snapshot().unwrap());
        }
        let mut operator = planned.operator(&ManualClock::default());
        for delta in &stored {
            operator.restore(&delta.table, &delta.rows).unwrap();
        }
        block_on(operator.process(0, planned.project(changes(&planned.input, "+ b 1")))).unwrap();
        assert_eq!(text(&flushed(&mut operator)), "+ b 1 1");
    }
}

#[test]
fn a_table_of_another_statement_is_refused() {
    let mut operator = by_k("count(*)").operator(&ManualClock::default());
    let mut other = by_k("sum(d)").operator(&ManualClock::default());
    let planned = by_k("sum(d)");
    block_on(other.process(0, planned.project(changes(&planned.input, "+ a 1 1")))).unwrap();
    flushed(&mut other);
    let delta = other.snapshot().unwrap().remove(0);
    let error = operator.restore(&delta.table, &delta.rows).unwrap_err();
    assert_eq!(error.message(), "table \"groups\" of an operator's state was stored with other columns");
    assert!(operator.restore("values-7", &delta.rows).is_err());
}

fn compare(select: &'static str, input: Changelog, emits: Changelog, cases: u32) {
    compare_planned(&planned(select, input, emits), cases);
}

fn compare_planned(planned: &Planned, cases: u32) {
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new_with_rng(
        config,
        proptest::test_runner::TestRng::from_seed(proptest::test_runner::RngAlgorithm::ChaCha, &[4; 32]),
    );
    let steps = steps(row_of(CHOICES), planned.spec.input == Changelog::Retract);
    runner.run(&steps, |steps| super::super::testing::check(planned, &steps)).unwrap();
}

fn select(aggregates: &str, keys: &str) -> &'static str {
    let (keys, by) = if keys.is_empty() {
        (String::new(), String::new())
    } else {
        (format!("{keys}, "), format!(" GROUP BY {keys}"))
    };
    format!("SELECT {keys}{aggregates} FROM t{by}").leak()
}

#[test]
fn a_retracting_input_gives_what_a_query_over_the_rows_left_gives() {
    compare(select(UNORDERED, "k"), Changelog::Retract, Changelog::Retract, 60);
}

#[test]
fn aggregates_without_single_values_give_the_same() {
    let aggregates = "count(*), count(i), sum(i), avg(d), bool_or(b), var_pop(i)";
    compare(select(aggregates, "k, s"), Changelog::Retract, Changelog::Retract, 60);
}

#[test]
fn upserts_folded_give_the_same() {
    compare(select(UNORDERED, "k, b"), Changelog::Retract, Changelog::Upsert, 40);
}

#[test]
fn an_appending_input_gives_what_a_query_gives() {
    compare(select(UNORDERED, "k"), Changelog::Append, Changelog::Retract, 40);
    // Apart: beside ordered aggregates DataFusion shows rows to these ones in the others' order.
    compare(select(ORDERED, "k"), Changelog::Append, Changelog::Retract, 40);
}

#[test]
fn one_group_over_all_rows_gives_what_a_query_gives() {
    compare(select(UNORDERED, ""), Changelog::Retract, Changelog::Retract, 40);
}

#[test]
fn groups_on_disk_come_back_with_their_values() {
    let mut planned = planned(select(UNORDERED, "k"), Changelog::Retract, Changelog::Retract);
    planned.spill = Some(tempfile::tempdir().unwrap());
    compare_planned(&planned, 40);
}

#[test]
fn only_what_the_checkpoint_has_goes_to_disk() {
    let mut planned = by_k("count(*), count(DISTINCT i)");
    planned.spill = Some(tempfile::tempdir().unwrap());
    let mut operator = planned.operator(&ManualClock::default());
    let mut step = |text: &str| {
        block_on(operator.process(0, planned.project(changes(&planned.input, text)))).unwrap();
        flushed(&mut operator);
        let before = operator.state_size();
        operator.snapshot().unwrap();
        before
    };
    assert_eq!(step("+ a 1\n+ b 1").spilled_bytes, 0);
    // b was not touched since; its value went with it.
    let size = step("+ a 2");
    assert!(size.spilled_bytes > 0);
    assert_eq!(size.keys, 4);
    step("+ b 2");
    assert_eq!(step("- a 1").keys, 3);
}

/// A group whose sum does not fit its type is out of the result until it fits again, whatever stands in its state.
#[test]
fn a_group_without_a_result_is_left_out_and_named_and_the_others_are_not() {
    let text_of = |emits| {
        let planned = planned("SELECT k, sum(i) FROM t GROUP BY k", Changelog::Retract, emits);
        let left_out = Arc::new(crate::connectors::LeftOut::default());
        let mut operator = planned.operator(&ManualClock::default());
        operator.bad_rows = BadRows::leave_out("test", Arc::clone(&left_out));
        let mut outputs = Vec::new();
        for step in ["+ a 9223372036854775807\n+ b 1", "+ a 5\n+ b 1", "+ b 1", "- a 5", "+ a 5", "- a 5\n+ a -1"] {
            block_on(operator.process(0, planned.project(changes(&planned.input, step)))).unwrap();
            outputs.push(text(&flushed(&mut operator)));
        }
        assert_eq!(left_out.rows(), 2);
        let last = left_out.last().unwrap();
        assert!(last.contains("out of range") && last.contains("The group is (a)"), "{last}");
        outputs.join("\n--\n")
    };
    let retract = expect![[r#"
        + a 9223372036854775807
        + b 1
        --
        - a 9223372036854775807
        -U b 1
        +U b 2
        --
        -U b 2
        +U b 3
        --
        + a 9223372036854775807
        --
        - a 9223372036854775807
        --
        + a 9223372036854775806"#]];
    retract.assert_eq(&text_of(Changelog::Retract));
    let upsert = text_of(Changelog::Upsert);
    assert!(upsert.contains("- a NULL") && upsert.ends_with("a 9223372036854775806"), "{upsert}");
}

#[test]
fn a_group_without_a_result_is_an_error_that_names_it_where_rows_are_not_left_out() {
    let planned = by_k("sum(i)");
    let mut operator = planned.operator(&ManualClock::default());
    let step = "+ a 9223372036854775807\n+ a 1\n+ b 1";
    block_on(operator.process(0, planned.project(changes(&planned.input, step)))).unwrap();
    let error = operator.flush().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Row);
    assert!(error.to_string().contains("The group is (a)"), "{error}");
}
