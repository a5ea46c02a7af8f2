use super::super::check::expected::Sum;
use super::*;

fn sum(orders: i64, cents: i64) -> Sum {
    Sum { orders, amount_cents: cents, discount_cents: cents / 100 }
}

#[test]
fn the_picture_fits_a_terminal_of_80_by_24() {
    let large = Features { month: sum(9_999_999, 99_999_999_999), year: sum(9_999_999, 99_999_999_999) };
    let users: Vec<(i32, Features)> = (0..8).map(|user| (FIRST_USER_ID + user, large)).collect();
    let lines = table(&users, &HashMap::new());
    assert!(lines.len() + 4 <= 24);
    for line in &lines {
        let drawn = line.drawn(COLUMNS_MAX, false);
        assert!(drawn.chars().count() <= 79 && !drawn.contains('…'), "{drawn}");
    }
    let long = Line::of("x".repeat(200), Style::Alarming).drawn(COLUMNS_MAX, false);
    assert_eq!((long.chars().count(), long.chars().last()), (79, Some('…')));
}

#[test]
fn what_changed_is_marked_and_coloured() {
    let before = Features { month: sum(1, 100), year: sum(5, 500) };
    let now = Features { month: sum(2, 100), year: sum(5, 500) };
    let users = [(7, now)];
    let unchanged = table(&users, &HashMap::from([(7, now)]));
    assert!(unchanged[2].drawn(79, false).starts_with("      7 │       2 "), "{:?}", unchanged[2]);
    let changed = table(&users, &HashMap::from([(7, before)]));
    assert!(changed[2].drawn(79, false).starts_with("▸     7 │       2 "), "{:?}", changed[2]);
    let coloured = changed[2].drawn(79, true);
    assert_eq!(coloured.matches("\x1b[1;32m").count(), 2, "the mark and one value: {coloured:?}");
    assert!(coloured.contains("\x1b[1;32m      2 \x1b[0m"), "{coloured:?}");
}
