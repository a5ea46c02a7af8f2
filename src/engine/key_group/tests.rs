use std::sync::Arc;

use datafusion::arrow::array::{Int32Array, Int64Array, StringArray};

use super::*;

#[test]
fn the_hash_is_part_of_the_stored_format_and_stays_as_it_is() {
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![Some(0), Some(1), Some(-1), Some(1 << 40), None]));
    let names: ArrayRef = Arc::new(StringArray::from(vec![Some(""), Some("a"), Some("user-17"), None, Some("ä")]));
    let expected = expect_test::expect!["([49, 29, 6, 112, 66], [126, 81, 102, 66, 114], [63, 48, 63, 5, 25])"];
    let groups = |columns: &[ArrayRef]| key_groups(columns, 5).unwrap();
    let both = [Arc::clone(&ids), Arc::clone(&names)];
    expected.assert_eq(&format!("{:?}", (groups(&[ids]), groups(&[names]), groups(&both))));
}

#[test]
fn equal_integers_of_other_widths_and_equal_texts_of_other_layouts_share_a_group() {
    let narrow: ArrayRef = Arc::new(Int32Array::from(vec![-7, 0, 12]));
    let wide: ArrayRef = Arc::new(Int64Array::from(vec![-7, 0, 12]));
    assert_eq!(key_groups(&[narrow], 3).unwrap(), key_groups(&[wide], 3).unwrap());
}

#[test]
fn every_group_has_one_owner_and_lies_in_its_range() {
    for parallelism in 1..=KEY_GROUPS {
        for group in 0..KEY_GROUPS {
            let owner = owner_of(group as u8, parallelism);
            assert!(range_of(owner, parallelism).contains(&group), "group {group} of {parallelism}");
        }
    }
}

#[test]
fn keys_spread_over_all_groups() {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..128_000));
    let mut counts = [0; KEY_GROUPS];
    for group in key_groups(&[ids], 128_000).unwrap() {
        counts[usize::from(group)] += 1;
    }
    assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
}
