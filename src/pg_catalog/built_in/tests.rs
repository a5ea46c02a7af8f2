use std::collections::BTreeSet;

use super::*;

#[test]
fn every_oid_is_of_one_function_and_none_of_postgres_own() {
    let oids: BTreeSet<u32> = all().iter().map(|function| function.oid).collect();
    assert_eq!(oids.len(), all().len());
    assert!(oids.iter().all(|oid| *oid >= BUILT_IN_RANGE && *oid < BUILT_IN_RANGE << 1));
}

#[test]
fn every_type_of_a_signature_is_one_of_postgres() {
    let about = scalars().entries().map(|entry| entry.about).chain(functions::entries().map(|entry| entry.about));
    let about = about.chain(aggregations().entries().map(|entry| entry.about));
    for call in about.chain(windows().entries().map(|entry| entry.about)).flat_map(|about| about.calls()) {
        for word in call.arguments.iter().chain([&call.returns]) {
            let is_known = matches!(*word, "any" | "map" | "row") || types::find(word).is_some();
            assert!(is_known, "{word} of {call:?}");
        }
    }
}

#[test]
fn arguments_are_shown_as_postgres_shows_them() {
    let shown = |name: &str| {
        let of_name = all().iter().filter(|function| function.name == name);
        of_name.map(|function| format!("({}) {}", function.arguments(), function.result())).collect::<Vec<_>>()
    };
    assert_eq!(shown("concat_ws"), ["(text, VARIADIC \"any\") text"]);
    assert_eq!(shown("trim"), ["(text) text", "(text, text) text"]);
    assert_eq!(shown("now"), ["() timestamp with time zone"]);
    assert_eq!(shown("listagg"), ["(text) text", "(text, text) text"]);
}
