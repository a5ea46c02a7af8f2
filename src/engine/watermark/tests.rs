use proptest::prelude::*;

use super::*;

fn split(name: &str) -> Upstream {
    Upstream::Split(name.to_owned())
}

#[test]
fn the_slowest_upstream_decides_and_one_that_has_said_nothing_holds_all_up() {
    let mut time = EventTime::default();
    time.expect(split("a"));
    time.expect(split("b"));
    assert_eq!(time.advance(split("a"), Watermark::At(10)), None);
    assert_eq!(time.advance(split("b"), Watermark::At(4)), Some(Watermark::At(4)));
    assert_eq!(time.advance(split("b"), Watermark::At(20)), Some(Watermark::At(10)));
    assert_eq!(time.advance(split("b"), Watermark::At(30)), None);
    assert_eq!(time.advance(split("a"), Watermark::At(5)), None, "event time does not go back");
}

#[test]
fn idle_and_ended_upstreams_hold_nobody_up() {
    let mut time = EventTime::default();
    for name in ["a", "b", "c"] {
        time.expect(split(name));
    }
    assert_eq!(time.advance(split("a"), Watermark::At(7)), None);
    assert_eq!(time.advance(split("b"), Watermark::Idle), None);
    assert_eq!(time.leave(&split("c")), Some(Watermark::At(7)));
    assert_eq!(time.advance(split("b"), Watermark::At(3)), None, "rows of it are late");
    assert_eq!(time.advance(split("a"), Watermark::At(9)), None);
    assert_eq!(time.advance(split("b"), Watermark::At(8)), Some(Watermark::At(8)));
}

#[test]
fn all_idle_is_idle_and_the_end_of_all_of_them_says_nothing() {
    let mut time = EventTime::default();
    time.expect(split("a"));
    assert_eq!(time.advance(split("a"), Watermark::Idle), Some(Watermark::Idle));
    assert_eq!(time.advance(split("a"), Watermark::Idle), None);
    assert_eq!(time.leave(&split("a")), None);
    assert_eq!(time.rest(), None, "that is known");
}

proptest! {
    /// Whatever comes: what is passed on never goes back but to be idle, and is never beyond an upstream that is neither idle nor silent.
    #[test]
    fn event_time_is_never_ahead_of_what_is_still_to_come(
        steps in prop::collection::vec((0..3usize, prop::option::of(0..50i64)), 1..60),
    ) {
        let names = ["a", "b", "c"];
        let mut time = EventTime::default();
        names.iter().for_each(|name| time.expect(split(name)));
        let mut known: [Option<Watermark>; 3] = [None; 3];
        let mut last = i64::MIN;
        for (place, at) in steps {
            let now = at.map_or(Watermark::Idle, Watermark::At);
            known[place] = Some(match (known[place], now) {
                (Some(Watermark::At(before)), Watermark::At(now)) => Watermark::At(before.max(now)),
                (_, now) => now,
            });
            if let Some(Watermark::At(passed)) = time.advance(split(names[place]), now) {
                prop_assert!(passed >= last);
                prop_assert!(known.iter().all(Option::is_some), "one has said nothing");
                let slowest = known.iter().filter_map(|upstream| match upstream {
                    Some(Watermark::At(at)) => Some(*at),
                    _ => None,
                });
                // One that comes back from idleness may be behind: its rows are late.
                prop_assert!(passed == last || slowest.min().is_none_or(|slowest| passed <= slowest));
                last = passed;
            }
        }
    }
}

#[test]
fn splits_that_are_given_out_one_by_one_hold_event_time_up_until_all_are_there() {
    let mut time = EventTime::default();
    time.expect(Upstream::Unassigned);
    time.expect(split("a"));
    assert_eq!(time.advance(split("a"), Watermark::At(10)), None, "the next split may be behind");
    time.expect(split("b"));
    assert_eq!(time.leave(&Upstream::Unassigned), None);
    assert_eq!(time.advance(split("b"), Watermark::At(4)), Some(Watermark::At(4)));
}
