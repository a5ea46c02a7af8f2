use std::collections::BTreeSet;

use datafusion::logical_expr::Volatility;

use super::entry::Maker;
use super::registry::scalars;
use super::*;
use crate::clock::{Clock, ManualClock};

fn clock() -> Arc<dyn Clock> {
    Arc::new(ManualClock::at(0))
}

#[test]
fn every_function_can_be_made_again_from_its_name() {
    for function in registry::all(&clock()) {
        let again = scalars().find(function.name()).and_then(|entry| entry.make(&clock(), true));
        assert_eq!(again.as_ref(), Some(&function));
    }
}

#[test]
fn every_entry_makes_the_function_of_its_name() {
    let mut wrong = Vec::new();
    for entry in scalars().entries() {
        if let Some(made) = entry.make(&clock(), false) {
            assert_eq!(made.name(), entry.name);
            let is_plain = matches!(entry.maker, Maker::Plain(_));
            if is_plain
                && made.signature().volatility != entry.volatility
                && made.signature().volatility != Volatility::Immutable
            {
                wrong.push(format!("{} is {:?}", entry.name, made.signature().volatility));
            }
            let strangers: Vec<&String> =
                made.aliases().iter().filter(|alias| scalars().find(alias).is_none()).collect();
            assert!(strangers.is_empty(), "{strangers:?} of {} stand nowhere", entry.name);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn every_name_is_of_one_function() {
    let lists = [
        scalars().entries().flat_map(|entry| entry.names()).collect::<Vec<_>>(),
        aggregations::aggregations().entries().flat_map(|entry| entry.names()).collect(),
        windows::windows().entries().flat_map(|entry| entry.names()).collect(),
    ];
    for names in lists {
        let distinct: BTreeSet<&str> = names.iter().copied().collect();
        let twice: Vec<_> =
            names.iter().filter(|name| names.iter().filter(|other| other == name).count() > 1).collect();
        assert_eq!(distinct.len(), names.len(), "{twice:?}");
    }
}

#[test]
fn every_entry_for_users_says_how_it_is_called_and_what_it_does() {
    let of_scalars = scalars().entries().map(|entry| entry.about);
    let of_aggregates = aggregations::aggregations().entries().map(|entry| entry.about);
    let all = of_scalars.chain(of_aggregates).chain(windows::windows().entries().map(|entry| entry.about));
    for about in all {
        assert!(about.documentation.ends_with('.'), "{}: {}", about.name, about.documentation);
        assert!(!about.is_public() || !about.signatures.is_empty(), "{} has no signature", about.name);
        assert!(about.signatures.iter().all(|signature| signature.contains('→')), "{}", about.name);
    }
}

#[test]
fn every_function_of_the_engine_has_an_entry_or_is_left_out() {
    let scalar = datafusion::functions::all_default_functions().into_iter();
    let scalar: Vec<_> = scalar.chain(datafusion::functions_nested::all_default_nested_functions()).collect();
    let names = scalar.iter().flat_map(|function| {
        std::iter::once(function.name()).chain(function.aliases().iter().map(String::as_str)).collect::<Vec<_>>()
    });
    let is_known =
        |name: &str| scalars().find(name).is_some() || of_engine::LEFT_OUT.contains(&name) || name.starts_with("__");
    assert_eq!(names.filter(|name| !is_known(name)).collect::<Vec<_>>(), Vec::<&str>::new());
    let there = |name: &str| {
        scalar.iter().any(|function| function.name() == name || function.aliases().iter().any(|alias| alias == name))
    };
    for entry in scalars().entries().filter(|entry| matches!(entry.maker, Maker::OfEngine)) {
        // Its planner knows `make_map` by itself.
        assert!(
            entry.names().all(|name| there(name) || name == "make_map"),
            "the engine has not all of {:?}",
            entry.names().collect::<Vec<_>>()
        );
    }
    let aggregates = datafusion::functions_aggregate::all_default_aggregate_functions();
    for function in &aggregates {
        for name in std::iter::once(function.name()).chain(function.aliases().iter().map(String::as_str)) {
            assert!(aggregations::aggregations().find(name).is_some(), "{name}");
        }
    }
    for entry in aggregations::aggregations().entries() {
        assert!(aggregates.iter().any(|function| function.name() == entry.name), "{}", entry.name);
    }
    let of_windows: BTreeSet<String> = datafusion::functions_window::all_default_window_functions()
        .iter()
        .map(|function| function.name().to_owned())
        .collect();
    assert_eq!(of_windows, windows::windows().entries().map(|entry| entry.name.to_owned()).collect());
}

#[test]
fn no_text_of_a_statement_names_an_internal_function() {
    assert_eq!(registry::of_tree(&registry::in_tree("any_equal")), Some("any_equal"));
    assert_eq!(registry::of_tree("any_equal"), None);
}

#[test]
fn numbers_are_read_and_printed_exactly() {
    for (text, printed) in [
        ("1", "1"),
        (" -1.50 ", "-1.5"),
        ("1e3", "1000"),
        ("12.5e-3", "0.0125"),
        (".5", "0.5"),
        ("5.", "5"),
        ("0.00", "0"),
        ("-0", "0"),
        (
            "12345678901234567890123456789012345678.12345678901234567890123456789012345678",
            "12345678901234567890123456789012345678.12345678901234567890123456789012345678",
        ),
        ("0.000000000000000000000000000000000000005", "0.00000000000000000000000000000000000001"),
        ("1e-60", "0"),
    ] {
        assert_eq!(numeric::print(numeric::parse(text).unwrap()), printed, "{text}");
    }
    for (text, sqlstate) in [
        ("", "22P02"),
        ("x", "22P02"),
        ("1 2", "22P02"),
        ("1e", "22P02"),
        ("-", "22P02"),
        (".", "22P02"),
        ("1e39", "22003"),
        ("NaN", "22003"),
    ] {
        assert_eq!(numeric::parse(text).unwrap_err().sqlstate().code(), sqlstate, "{text}");
    }
}
