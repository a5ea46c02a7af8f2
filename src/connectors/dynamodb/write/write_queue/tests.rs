use super::*;
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};
use std::fmt::Debug;

/// The keys and changes of a batch.
fn sent<K: Copy + Eq + Hash, C: Clone>(queue: &WriteQueue<K, C>, batch: &[(usize, C)]) -> Vec<(K, C)> {
    batch.iter().map(|(slot, change)| (*queue.key(*slot), change.clone())).collect()
}

/// The next batch's slots; its keys and changes are as expected.
fn next<C: Clone + Debug + PartialEq>(
    queue: &mut WriteQueue<&'static str, C>,
    expected: &[(&'static str, C)],
) -> Vec<usize> {
    let batch = queue.next_batch(25, 1000);
    assert_eq!(sent(queue, &batch), expected);
    batch.into_iter().map(|(slot, _)| slot).collect()
}

#[test]
fn the_last_change_of_a_key_goes_out_once() {
    let mut queue = WriteQueue::new();
    queue.begin_sequence();
    queue.push("a", 1, 10);
    queue.push("b", 2, 10);
    queue.push("a", 3, 10);
    let slots = next(&mut queue, &[("a", 3), ("b", 2)]);
    assert_eq!(queue.acknowledged(), 0);
    queue.succeed(slots[0]);
    assert_eq!(queue.acknowledged(), 0);
    queue.succeed(slots[1]);
    assert_eq!(queue.acknowledged(), 0, "more rows may come");
    queue.end_sequence();
    assert_eq!(queue.acknowledged(), 1);
    assert_eq!(queue.outstanding(), 0);
}

#[test]
fn a_key_waits_for_its_former_write() {
    let mut queue = WriteQueue::new();
    queue.begin_sequence();
    queue.push("a", 1, 10);
    let slots = next(&mut queue, &[("a", 1)]);
    queue.begin_sequence();
    queue.push("a", 2, 10);
    next(&mut queue, &[]);
    queue.succeed(slots[0]);
    assert_eq!(queue.acknowledged(), 1);
    next(&mut queue, &[("a", 2)]);
}

#[test]
fn a_replaced_write_is_done_with_its_successor() {
    let mut queue = WriteQueue::new();
    queue.begin_sequence();
    queue.push("a", 1, 10);
    queue.begin_sequence();
    queue.push("a", 2, 10);
    queue.begin_sequence();
    assert_eq!(queue.acknowledged(), 0);
    let slots = next(&mut queue, &[("a", 2)]);
    queue.begin_sequence();
    queue.push("a", 4, 10);
    queue.retry(slots[0]);
    assert_eq!(queue.acknowledged(), 0);
    let slots = next(&mut queue, &[("a", 4)]);
    queue.succeed(slots[0]);
    queue.end_sequence();
    assert_eq!(queue.acknowledged(), 4);
}

#[test]
fn a_key_that_comes_back_has_a_slot_of_its_own() {
    let mut queue = WriteQueue::new();
    queue.begin_sequence();
    queue.push("a", 1, 10);
    queue.push("b", 2, 10);
    let slots = next(&mut queue, &[("a", 1), ("b", 2)]);
    queue.succeed(slots[0]);
    // Takes the number that is free now.
    queue.push("c", 3, 10);
    queue.push("a", 4, 10);
    queue.retry(slots[1]);
    next(&mut queue, &[("c", 3), ("a", 4), ("b", 2)]);
}

#[test]
fn batches_are_bounded_by_items_and_bytes() {
    let mut queue = WriteQueue::new();
    queue.begin_sequence();
    for key in 0..60 {
        queue.push(key, key, 100);
    }
    assert_eq!(queue.next_batch(25, 10_000).len(), 25);
    assert_eq!(queue.next_batch(25, 1_000).len(), 10);
    assert_eq!(queue.next_batch(25, 1).len(), 1);
}

#[test]
fn an_empty_sequence_is_done_with_those_before_it() {
    let mut queue: WriteQueue<u8, u8> = WriteQueue::new();
    queue.begin_sequence();
    queue.end_sequence();
    assert_eq!(queue.acknowledged(), 1);
}

#[derive(Debug, Clone)]
enum Step {
    Write(Vec<u8>),
    Send(usize),
    /// Ends the n-th request; each bit says whether a key of it succeeded.
    End(usize, u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        proptest::collection::vec(0u8..8, 0..6).prop_map(Step::Write),
        (1usize..5).prop_map(Step::Send),
        (0usize..4, any::<u32>()).prop_map(|(request, mask)| Step::End(request, mask)),
    ]
}

proptest! {
    #[test]
    fn last_write_wins_in_order_and_no_sequence_is_early(steps in proptest::collection::vec(step(), 0..120)) {
        let mut queue = WriteQueue::new();
        let mut serial = 0u64;
        let mut stored: HashMap<u8, u64> = HashMap::new();
        let mut wanted: HashMap<u8, u64> = HashMap::new();
        // For each sequence, the key and serial of each of its rows.
        let mut rows: Vec<Vec<(u8, u64)>> = Vec::new();
        let mut requests: Vec<Vec<(usize, u64)>> = Vec::new();
        let end = |queue: &mut WriteQueue<u8, u64>, requests: &mut Vec<Vec<(usize, u64)>>, stored: &mut HashMap<u8, u64>, index: usize, mask: u32| {
            if requests.is_empty() { return; }
            let request = requests.remove(index % requests.len());
            for (bit, (slot, value)) in request.into_iter().enumerate() {
                let key = *queue.key(slot);
                if mask >> bit & 1 == 1 {
                    assert!(stored.get(&key).is_none_or(|old| *old <= value), "order of a key");
                    stored.insert(key, value);
                    queue.succeed(slot);
                } else {
                    queue.retry(slot);
                }
            }
        };
        let check = |queue: &WriteQueue<u8, u64>, rows: &[Vec<(u8, u64)>], stored: &HashMap<u8, u64>| {
            for sequence in &rows[..queue.acknowledged() as usize] {
                for (key, value) in sequence {
                    assert!(stored.get(key).is_some_and(|stored| stored >= value), "acknowledged early");
                }
            }
        };
        for step in steps {
            match step {
                Step::Write(keys) => {
                    queue.begin_sequence();
                    let mut sequence = Vec::new();
                    for key in keys {
                        serial += 1;
                        queue.push(key, serial, 1);
                        wanted.insert(key, serial);
                        sequence.push((key, serial));
                    }
                    queue.end_sequence();
                    rows.push(sequence);
                }
                Step::Send(items) => {
                    let batch = queue.next_batch(items, 100);
                    if !batch.is_empty() { requests.push(batch); }
                }
                Step::End(index, mask) => end(&mut queue, &mut requests, &mut stored, index, mask),
            }
            let mut on_their_way = HashSet::new();
            for (slot, _) in requests.iter().flatten() {
                prop_assert!(on_their_way.insert(*queue.key(*slot)), "two writes of one key on their way");
            }
            check(&queue, &rows, &stored);
        }
        while queue.outstanding() > 0 {
            let batch = queue.next_batch(25, 100);
            if !batch.is_empty() { requests.push(batch); }
            end(&mut queue, &mut requests, &mut stored, 0, u32::MAX);
        }
        prop_assert_eq!(stored, wanted);
        prop_assert_eq!(queue.acknowledged(), rows.len() as u64);
    }
}
