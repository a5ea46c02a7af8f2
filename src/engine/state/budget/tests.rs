use super::*;

#[test]
fn slots_count_together_and_give_back_what_they_held() {
    let budget = MemoryBudget::new(100);
    let (mut one, mut other) = (budget.slot(), budget.clone().slot());
    one.set(60);
    other.set(70);
    assert_eq!((budget.used(), budget.excess(), budget.is_over()), (130, 30, true));
    one.set(20);
    assert_eq!((budget.used(), budget.excess(), budget.is_over()), (90, 0, false));
    drop(other);
    assert_eq!((budget.used(), one.bytes()), (20, 20));
}

#[test]
fn sizes_are_read_as_flink_writes_them() {
    let read = |text: &str| parse_memory_size(text).ok();
    for (text, bytes) in [("512 mb", 512 << 20), ("1g", 1 << 30), ("65536", 65536), (" 3 KB ", 3072), ("7 bytes", 7)] {
        assert_eq!(read(text), Some(bytes), "{text}");
    }
    for text in ["", "mb", "-1 mb", "0", "1.5 gb", "5 pb", "99999999999 tb"] {
        assert_eq!(read(text), None, "{text}");
    }
    assert_eq!(MemoryBudget::default().limit(), 1 << 30);
}
