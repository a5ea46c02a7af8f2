use proptest::collection::btree_map;
use proptest::prelude::*;

use super::*;

type Entries = BTreeMap<Bytes, Option<Bytes>>;

fn changed(is_emptied: bool, entries: &Entries) -> TableChanges {
    let mut changes = TableChanges::default();
    if is_emptied {
        changes.clear();
    }
    for (key, value) in entries {
        changes.set(key.clone(), value.clone());
    }
    changes
}

fn visited(table: &TableView, from: &[u8], until: &[u8], most: usize) -> Vec<(Bytes, Bytes)> {
    let mut found = Vec::new();
    table
        .visit(from, until, &mut |key, value| {
            found.push((key.to_vec(), value.to_vec()));
            Ok(if found.len() == most { Visit::Stop } else { Visit::Next })
        })
        .unwrap();
    found
}

proptest! {
    #[test]
    fn changes_stand_over_what_was_committed(
        base in btree_map(proptest::collection::vec(0_u8..4, 0..3), proptest::collection::vec(any::<u8>(), 0..2), 0..12),
        over in btree_map(
            proptest::collection::vec(0_u8..4, 0..3),
            proptest::option::of(proptest::collection::vec(any::<u8>(), 0..2)),
            0..12,
        ),
        is_emptied in any::<bool>(),
        (a, b) in (proptest::collection::vec(0_u8..5, 0..3), proptest::collection::vec(0_u8..5, 0..3)),
        most in 1_usize..9,
    ) {
        let (from, until) = if a <= b { (a, b) } else { (b, a) };
        let mut expected = if is_emptied { BTreeMap::new() } else { base.clone() };
        for (key, value) in &over {
            match value {
                Some(value) => expected.insert(key.clone(), value.clone()),
                None => expected.remove(key),
            };
        }
        let store = LocalStore::in_memory();
        let stored = base.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect();
        store.commit(&BTreeMap::from([("s".to_owned(), changed(false, &stored))])).unwrap();
        let changes = changed(is_emptied, &over);
        let of_both = BTreeMap::from([("s".to_owned(), changes.clone()), ("m".to_owned(), changes)]);
        let view = LocalView::new(store, of_both, BTreeMap::from([("m".to_owned(), Arc::new(base))]));
        let wanted: Vec<_> = expected
            .iter()
            .filter(|(key, _)| **key >= from && **key < until)
            .map(|(key, value)| (key.clone(), value.clone()))
            .take(most)
            .collect();
        for id in ["s", "m"] {
            let table = view.table(id).unwrap();
            prop_assert_eq!(visited(&table, &from, &until, most), wanted.clone());
            for key in over.keys().chain([&from]) {
                prop_assert_eq!(table.get(key).unwrap(), expected.get(key).cloned());
            }
        }
    }
}

#[test]
fn a_statement_sees_one_moment() {
    let store = LocalStore::in_memory();
    let commit = |value: u8| {
        let entries = BTreeMap::from([(vec![1], Some(vec![value]))]);
        store.commit(&BTreeMap::from([("t".to_owned(), changed(false, &entries))])).unwrap();
    };
    commit(1);
    let view = LocalView::new(Arc::clone(&store), BTreeMap::new(), BTreeMap::new());
    assert_eq!(view.table("t").unwrap().get(&[1]).unwrap(), Some(vec![1]));
    commit(2);
    assert_eq!(view.table("t").unwrap().get(&[1]).unwrap(), Some(vec![1]));
    let later = LocalView::new(Arc::clone(&store), BTreeMap::new(), BTreeMap::new());
    assert_eq!(later.table("t").unwrap().get(&[1]).unwrap(), Some(vec![2]));
}
