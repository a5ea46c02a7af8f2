use proptest::prelude::*;

use super::*;
use crate::error::ErrorKind;

fn sequence(text: &str) -> Position {
    Position::Sequence(SequenceNumber::new(text).unwrap())
}

fn stored(position: &Position) -> String {
    serde_json::to_string(position).unwrap()
}

fn read(text: &str) -> Result<Position, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

fn offsets() -> impl Strategy<Value = Position> {
    prop_oneof![Just(0), Just(i64::MAX), 0..=i64::MAX, 0..100_i64].prop_map(Position::Offset)
}

fn sequences() -> impl Strategy<Value = Position> {
    prop_oneof!["0{0,20}[0-9]{1,20}", "[1-9][0-9]{39}", "[0-9]{1,3}"].prop_map(|text| sequence(&text))
}

fn places() -> impl Strategy<Value = Position> {
    let names = prop_oneof![Just(String::new()), "[a-c]{0,3}".prop_map(|name| name), ".{0,12}".prop_map(|name| name)];
    (names, prop_oneof![any::<u64>(), 0..5_u64]).prop_map(|(name, place)| Position::in_file(&name, place))
}

/// Three of one kind.
fn of_one_kind() -> impl Strategy<Value = [Position; 3]> {
    prop_oneof![prop::array::uniform3(offsets()), prop::array::uniform3(sequences()), prop::array::uniform3(places()),]
}

proptest! {
    #[test]
    fn positions_of_one_kind_are_in_one_order([a, b, c] in of_one_kind()) {
        let order = |one: &Position, other: &Position| one.compare(other).unwrap();
        prop_assert_eq!(order(&a, &b), order(&b, &a).reverse());
        prop_assert_eq!(order(&a, &b) == Ordering::Equal, a == b);
        if order(&a, &b) != Ordering::Greater && order(&b, &c) != Ordering::Greater {
            prop_assert_ne!(order(&a, &c), Ordering::Greater);
        }
        let first = a.clone().earlier(b.clone()).unwrap();
        let last = a.clone().later(b.clone()).unwrap();
        prop_assert!(a.reaches(&first).unwrap() && b.reaches(&first).unwrap());
        prop_assert!(last.reaches(&a).unwrap() && last.reaches(&b).unwrap());
        prop_assert!((first == a && last == b) || (first == b && last == a));
    }

    #[test]
    fn what_is_stored_reads_back_as_it_was([a, b, c] in of_one_kind()) {
        for position in [a, b, c] {
            let text = stored(&position);
            let again = read(&text).unwrap();
            prop_assert_eq!(&again, &position);
            // Also the leading zeros of a sequence number: the outside system wants it as it gave it.
            prop_assert_eq!(stored(&again), text);
            prop_assert_eq!(again.to_string(), position.to_string());
        }
    }

    #[test]
    fn positions_of_different_kinds_have_no_order(offset in offsets(), number in sequences(), place in places()) {
        for (one, other) in [(&offset, &number), (&number, &place), (&place, &offset)] {
            for (one, other) in [(one, other), (other, one)] {
                prop_assert_eq!(one.compare(other).unwrap_err().kind(), ErrorKind::Corrupt);
                prop_assert!(one.reaches(other).is_err());
                prop_assert!(one != other);
                prop_assert_eq!(one.records_since(other), None);
            }
        }
    }
}

#[test]
fn offsets_are_stored_as_the_numbers_that_they_were_before() {
    assert_eq!(stored(&Position::Offset(42)), "42");
    assert_eq!(read("42"), Ok(Position::Offset(42)));
    assert_eq!(read("0"), Ok(Position::Offset(0)));
    assert_eq!(read("9223372036854775807"), Ok(Position::Offset(i64::MAX)));
}

#[test]
fn other_kinds_say_what_they_are() {
    let number = "0000000000000000000000000000000000000123";
    assert_eq!(stored(&sequence(number)), format!("{{\"sequence\":\"{number}\"}}"));
    assert_eq!(stored(&Position::in_file("a/b.csv", 7)), r#"{"file":"a/b.csv","place":7}"#);
    assert_eq!(read(r#"{"place":7,"file":"a/b.csv"}"#), Ok(Position::in_file("a/b.csv", 7)));
}

#[test]
fn what_is_no_position_is_refused() {
    for (text, expected) in [
        ("-1", "offset -1 is below 0"),
        ("9223372036854775808", "offset 9223372036854775808 is too large"),
        ("\"5\"", "expected a position: an offset, a sequence number or a place in a file"),
        ("1.5", "expected a position"),
        ("null", "expected a position"),
        ("{}", "this is no position"),
        (r#"{"file":"a"}"#, "this is no position"),
        (r#"{"sequence":"5","place":1}"#, "this is no position"),
        (r#"{"sequence":"5","sequence":"6"}"#, "a position has no field \"sequence\" here"),
        (r#"{"shard":"5"}"#, "a position has no field \"shard\" here"),
        (r#"{"sequence":"12a"}"#, "\"12a\" is no sequence number of 1 to 40 digits"),
        (r#"{"sequence":""}"#, "\"\" is no sequence number of 1 to 40 digits"),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
    assert!(SequenceNumber::new(&"1".repeat(40)).is_ok());
    assert!(SequenceNumber::new(&"1".repeat(41)).is_err());
}

#[test]
fn sequence_numbers_are_compared_as_numbers_beyond_the_integers() {
    let order = |one: &str, other: &str| sequence(one).compare(&sequence(other)).unwrap();
    assert_eq!(order("9", "10"), Ordering::Less);
    assert_eq!(order("0009", "9"), Ordering::Equal);
    // 2^128 is 340282366920938463463374607431768211456.
    let (below, above) = ("9999999999999999999999999999999999999998", "9999999999999999999999999999999999999999");
    assert_eq!(order(below, above), Ordering::Less);
    assert_eq!(order("0", "000"), Ordering::Equal);
}

#[test]
fn messages_say_what_is_mixed_and_only_offsets_are_counted() {
    let (offset, number) = (Position::Offset(5), sequence("49"));
    let error = offset.compare(&number).unwrap_err();
    assert_eq!(error.message(), "offset 5 and sequence number 49 cannot both be positions of one split");
    let error = Position::in_file("a.csv", 3).expect_offset("orders/0").unwrap_err();
    let expected = "the stored position of orders/0 is place 3 of file \"a.csv\", but its source goes on at offsets";
    assert_eq!((error.kind(), error.message()), (ErrorKind::Corrupt, expected));
    assert_eq!(Position::Offset(9).expect_offset("orders/0").unwrap(), 9);

    assert_eq!(Position::Offset(100).records_since(&Position::Offset(60)), Some(40));
    assert_eq!(Position::Offset(60).records_since(&Position::Offset(100)), Some(0));
    assert_eq!(sequence("100").records_since(&sequence("60")), None);
    assert_eq!(
        [offset.to_string(), number.to_string(), Position::in_file("a.csv", 3).to_string()],
        ["5", "49", "a.csv:3"]
    );
}
