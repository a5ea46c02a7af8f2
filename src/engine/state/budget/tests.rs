use super::*;

#[test]
fn slots_count_together_and_give_back_what_they_held() {
    let budget = MemoryBudget::new(100);
    let (mut one, mut other) = (budget.slot(), budget.clone().slot());
    one.set(60, 0);
    other.set(70, 0);
    // A quarter is kept for copies.
    assert_eq!((budget.used(), budget.excess()), (130, 55));
    one.set(5, 0);
    assert_eq!((budget.used(), budget.excess()), (75, 0));
    drop(other);
    assert_eq!((budget.used(), one.bytes()), (5, 5));
}

#[test]
fn who_holds_more_than_an_even_share_gives_it_up() {
    let budget = MemoryBudget::new(100);
    let (mut one, mut other) = (budget.slot(), budget.slot());
    one.set(35, 0);
    other.set(80, 0);
    // 75 are there for the two.
    assert_eq!((one.excess(), other.excess()), (0, 40));
    let mut copies = budget.loan();
    copies.set(40, 0);
    assert_eq!((one.excess(), other.excess()), (5, 50));
    drop(copies);
    drop(other);
    one.set(120, 0);
    assert_eq!(one.excess(), 45);
}

#[test]
fn room_for_the_copies_of_the_next_checkpoint_is_kept_before_and_after_a_barrier() {
    let budget = MemoryBudget::new(100);
    let (mut slot, mut written) = (budget.slot(), budget.loan());
    // 75 of state, of which more and more has changed, up to a barrier; then its copies.
    for copies in [0, 10, 25] {
        slot.set(75 + copies, copies);
        assert_eq!((budget.excess(), slot.excess()), (0, 0), "{copies}");
    }
    slot.set(75, 0);
    written.set(25, 0);
    assert_eq!((budget.excess(), slot.excess()), (0, 0));
    // Beyond that, state gives way.
    slot.set(75 + 10, 10);
    assert_eq!((budget.excess(), slot.excess()), (10, 10));
    drop(written);
    slot.set(76, 0);
    assert_eq!((budget.excess(), slot.excess()), (1, 1));
}

#[tokio::test]
async fn much_that_is_unsaved_wants_a_barrier_and_more_of_it_holds_reading_back() {
    let budget = MemoryBudget::new(16 * UNSAVED_BYTES_MIN);
    let mut slot = budget.slot();
    let states = |budget: &MemoryBudget| (budget.wants_barrier(), budget.is_full());
    let quarter = 4 * UNSAVED_BYTES_MIN;
    slot.set(0, quarter / 8);
    assert!(!budget.wants_results());
    slot.set(0, quarter / 8 + 1);
    assert!(budget.wants_results());
    slot.set(0, quarter);
    assert_eq!(states(&budget), (false, false));
    slot.set(0, quarter + 1);
    assert_eq!(states(&budget), (true, false));
    budget.barrier_wanted().await;
    budget.room().await;
    slot.set(0, 2 * quarter + 1);
    assert_eq!(states(&budget), (true, true));
    let waiting = budget.clone();
    let waiting = tokio::spawn(async move { waiting.room().await });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    slot.set(0, 0);
    waiting.await.unwrap();
    // A tiny budget does not ask for a barrier after each row.
    let tiny = MemoryBudget::new(1);
    let mut slot = tiny.slot();
    slot.set(1000, 1000);
    assert_eq!(states(&tiny), (false, false));
}

#[test]
fn a_job_that_says_nothing_has_a_gibibyte() {
    assert_eq!(MemoryBudget::default().limit(), 1 << 30);
}
