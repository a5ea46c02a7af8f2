use proptest::prelude::*;

use super::*;

fn sum(values: &[f64]) -> ExactSum {
    let mut sum = ExactSum::default();
    values.iter().for_each(|value| sum.add(*value, false));
    sum
}

fn stored(sum: &ExactSum) -> Vec<u8> {
    let mut bytes = Vec::new();
    sum.write_to(&mut bytes);
    bytes
}

#[test]
fn cancellation_loses_nothing() {
    assert_eq!(sum(&[1e300, 1.0, -1e300]).value(), 1.0);
    assert_eq!(sum(&[f64::MAX, f64::MAX, -f64::MAX]).value(), f64::MAX);
    assert_eq!(sum(&[f64::MAX, f64::MAX]).value(), f64::INFINITY);
    assert_eq!(sum(&[f64::from_bits(1), -0.0]).value(), f64::from_bits(1));
    assert_eq!(sum(&[]).value(), 0.0);
    // Half a unit in the last place: to even; a little more: up.
    assert_eq!(sum(&[1.0, f64::EPSILON / 2.0]).value(), 1.0);
    assert_eq!(sum(&[1.0, f64::EPSILON / 2.0, 1e-300]).value(), 1.0 + f64::EPSILON);
}

#[test]
fn infinities_and_nan_can_be_taken_back() {
    let mut sum = sum(&[1.5, f64::INFINITY, f64::NEG_INFINITY]);
    assert!(sum.value().is_nan());
    sum.add(f64::NEG_INFINITY, true);
    assert_eq!(sum.value(), f64::INFINITY);
    assert_eq!(ExactSum::from_bytes(&stored(&sum)).unwrap().value(), f64::INFINITY);
    sum.add(f64::INFINITY, true);
    assert_eq!(sum.value(), 1.5);
}

#[test]
fn sums_of_amounts_need_no_heap() {
    let amounts: Vec<f64> = (0..100_000).map(|number| f64::from(number % 977) * 12.34 + 0.01).collect();
    assert_eq!(sum(&amounts).heap_bytes(), 0);
}

#[test]
fn damaged_sums_are_refused() {
    assert!(ExactSum::from_bytes(&[1, 0, 0, 7]).is_err());
    assert!(ExactSum::from_bytes(&[]).is_err());
}

#[test]
fn a_narrow_sum_is_stored_as_a_wide_one() {
    let values =
        [0, 1, -1, 1 << 31, -(1 << 31), (1 << 32) - 1, 1 << 32, -(1 << 32), 5 << 64, -(7 << 63), i128::MAX, i128::MIN];
    for value in values {
        let near = Near { first: 7, value };
        let mut wide = Vec::new();
        near.widened().write_to(&mut wide);
        assert_eq!(stored(&ExactSum(Repr::Near(near))), wide, "{value:x}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn order_and_retractions_do_not_matter(
        mut values in prop::collection::vec(prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO, 0..20),
        back in prop::collection::vec(prop::num::f64::NORMAL, 0..10),
    ) {
        let forward = sum(&values);
        let mut mixed = sum(&back);
        values.reverse();
        values.iter().for_each(|value| mixed.add(*value, false));
        let mut mixed = ExactSum::from_bytes(&stored(&mixed)).unwrap();
        back.iter().for_each(|value| mixed.add(*value, true));
        prop_assert_eq!(mixed.value().to_bits(), forward.value().to_bits());
        values.iter().for_each(|value| mixed.add(*value, true));
        prop_assert_eq!(stored(&mixed).len(), 3);
    }

    #[test]
    fn narrow_and_wide_sums_are_the_same(
        values in prop::collection::vec((any::<i64>(), -1100i32..900, 0i32..70), 1..40),
    ) {
        let (mut narrow, mut wide) = (ExactSum::default(), ExactSum(Repr::Wide(Box::default())));
        let base = values[0].1;
        for (mantissa, _, exponent) in &values {
            let value = *mantissa as f64 * 2f64.powi(base + exponent);
            narrow.add(value, false);
            wide.add(value, false);
            prop_assert_eq!(narrow.value().to_bits(), wide.value().to_bits());
            for bytes in [stored(&narrow), stored(&wide)] {
                prop_assert_eq!(ExactSum::from_bytes(&bytes).unwrap().value().to_bits(), wide.value().to_bits());
            }
        }
    }

    #[test]
    fn two_values_are_added_as_the_processor_does(a in prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL, b in prop::num::f64::NORMAL) {
        prop_assert_eq!(sum(&[a, b]).value(), a + b);
    }

    #[test]
    fn spread_is_that_of_whole_numbers(values in prop::collection::vec(-1_000_000i64..1_000_000, 1..20)) {
        let doubles: Vec<f64> = values.iter().map(|value| *value as f64).collect();
        let squares: Vec<f64> = doubles.iter().map(|value| value * value).collect();
        let spread = ExactSum::spread(&sum(&doubles), &sum(&squares), values.len() as i64);
        let total: i128 = values.iter().map(|value| i128::from(*value)).sum();
        let squared: i128 = values.iter().map(|value| i128::from(value * value)).sum();
        prop_assert_eq!(spread, (squared * values.len() as i128 - total * total) as f64);
    }
}
