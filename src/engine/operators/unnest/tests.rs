use datafusion::arrow::array::{Int32Array, StringArray};
use datafusion::arrow::datatypes::Int32Type;

use super::*;
use crate::changelog::RowKind;
use crate::engine::operators::testing::{block_on, text};

type Items<'a> = &'a [Option<&'a [Option<i32>]>];

fn list(rows: Items<'_>) -> ArrayRef {
    let rows = rows.iter().map(|items| items.map(<[Option<i32>]>::to_vec));
    Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(rows))
}

/// An id for each row, and arrays.
fn batch(arrays: &[Items<'_>]) -> ChangeBatch {
    let rows = i32::try_from(arrays[0].len()).unwrap();
    let mut columns: Vec<ArrayRef> = vec![Arc::new((1..=rows).collect::<Int32Array>())];
    columns.extend(arrays.iter().map(|array| list(array)));
    let fields = columns.iter().enumerate();
    let fields: Vec<Field> =
        fields.map(|(place, column)| Field::new(format!("c{place}"), column.data_type().clone(), true)).collect();
    ChangeBatch::inserts(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap())
}

fn operator(input: &ChangeBatch, arrays: &[usize], keeps_empty: bool) -> Unnest {
    let spec = UnnestSpec { arrays: arrays.to_vec(), keeps_empty };
    let clock: Arc<dyn crate::clock::Clock> = Arc::new(crate::clock::SystemClock);
    let schema = spec.output_schema(&[input.rows().schema()], &ExpressionScope::new("UTC", &clock)).unwrap();
    Unnest { spec, schema }
}

/// All parts as text, a line `--` between them.
fn parts(operator: &mut Unnest, batch: ChangeBatch) -> String {
    let (mut parts, mut next) = (Vec::new(), Some(batch));
    while let Some(batch) = next {
        let emitted = block_on(operator.process(0, batch)).unwrap();
        parts.push(text(&emitted.rows));
        next = emitted.rest;
    }
    parts.join("\n--\n")
}

const NONE: Option<&[Option<i32>]> = None;

#[test]
fn nothing_comes_of_a_row_without_items_unless_it_is_kept() {
    let rows = batch(&[&[Some(&[Some(7), None]), NONE, Some(&[]), Some(&[Some(8)])]]);
    assert_eq!(parts(&mut operator(&rows, &[1], false), rows.clone()), "+ 1 7\n+ 1 NULL\n+ 4 8");
    let kept = "+ 1 7\n+ 1 NULL\n+ 2 NULL\n+ 3 NULL\n+ 4 8";
    assert_eq!(parts(&mut operator(&rows, &[1], true), rows), kept);
}

#[test]
fn arrays_go_side_by_side_and_null_stands_behind_the_end_of_the_shorter_one() {
    let rows = batch(&[&[Some(&[Some(1), Some(2)]), NONE], &[Some(&[Some(7)]), Some(&[Some(8)])]]);
    assert_eq!(parts(&mut operator(&rows, &[1, 2], false), rows), "+ 1 1 7\n+ 1 2 NULL\n+ 2 NULL 8");
}

#[test]
fn a_change_becomes_changes_of_its_kind_in_order() {
    let rows = batch(&[&[Some(&[Some(1), Some(2)]), Some(&[Some(3)]), Some(&[]), Some(&[Some(4)])]]);
    let kinds = [RowKind::UpdateBefore, RowKind::UpdateAfter, RowKind::Insert, RowKind::Delete];
    let changes = ChangeBatch::changes(rows.rows().clone(), kinds.into());
    assert_eq!(parts(&mut operator(&rows, &[1], false), changes), "-U 1 1\n-U 1 2\n+U 2 3\n- 4 4");
}

#[test]
fn what_comes_of_a_batch_is_given_in_parts_also_within_a_row() {
    let long: Vec<Option<i32>> = (1..=7).map(Some).collect();
    let short = [Some(70), Some(71)];
    let rows = batch(&[&[Some(&short[..1]), Some(&long), NONE], &[Some(&[]), Some(&short), Some(&short)]]);
    let kinds = [RowKind::Insert, RowKind::Delete, RowKind::UpdateAfter];
    let changes = ChangeBatch::changes(rows.rows().clone(), kinds.into());
    let expected = "+ 1 70 NULL\n- 2 1 70\n- 2 2 71\n- 2 3 NULL\n- 2 4 NULL\n--\n\
                    - 2 5 NULL\n- 2 6 NULL\n- 2 7 NULL\n+U 3 NULL 70\n+U 3 NULL 71";
    assert_eq!(parts(&mut operator(&rows, &[1, 2], true), changes.clone()), expected);
    // A batch that is itself cut out of another one.
    let cut = changes.slice(1, 1);
    let expected = "- 2 1 70\n- 2 2 71\n- 2 3 NULL\n- 2 4 NULL\n- 2 5 NULL\n--\n- 2 6 NULL\n- 2 7 NULL";
    assert_eq!(parts(&mut operator(&rows, &[1, 2], false), cut), expected);
}

#[test]
fn a_part_ends_where_the_next_row_would_be_too_much() {
    assert_eq!(part(&[2, 0, 3], |_| 0), Part { rows: 3, items: 0 });
    assert_eq!(part(&[2, 0, 4, 1], |_| 0), Part { rows: 2, items: 3 });
    assert_eq!(part(&[2, 3, 1], |_| 0), Part { rows: 2, items: 0 });
    // Wide rows count by their bytes; one is always taken.
    assert_eq!(part(&[1, 3], |_| BYTES_MAX / 2), Part { rows: 1, items: 1 });
    assert_eq!(part(&[2, 3], |_| BYTES_MAX * 2), Part { rows: 0, items: 1 });
    assert_eq!(part(&[0, 2], |_| usize::MAX), Part { rows: 1, items: 1 });
}

#[test]
fn a_wide_row_is_repeated_for_no_more_items_than_fit() {
    let wide: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(BYTES_MAX / 2)]));
    let items: ArrayRef = list(&[Some(&[Some(1), Some(2), Some(3)])]);
    let fields = [("wide", &wide), ("items", &items)];
    let fields: Vec<Field> =
        fields.iter().map(|(name, column)| Field::new(*name, column.data_type().clone(), true)).collect();
    let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), vec![wide, items]).unwrap();
    let rows = ChangeBatch::inserts(rows);
    let mut operator = operator(&rows, &[1], false);
    let first = block_on(operator.process(0, rows)).unwrap();
    assert_eq!((first.rows.len(), first.rest.map(|rest| rest.len())), (1, Some(1)));
}

#[test]
fn bytes_of_rows_count_what_is_within_them_only() {
    let many: Vec<Option<i32>> = (0..1000).map(Some).collect();
    let lists = list(&[Some(&many), Some(&[Some(1)]), NONE]);
    assert!(bytes_of(&lists, 0, 1) >= 4000);
    assert!(bytes_of(&lists, 1, 1) < 100);
    assert!(bytes_of(&lists, 0, 3) >= 4000);
}
