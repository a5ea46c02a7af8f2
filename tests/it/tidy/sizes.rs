//! No function above 80 lines, no file above 600: what is longer has more than one subject. Lines are those of the formatted
//! text, from `fn` to its closing brace. What is longer from before may only shrink; attributes and comments above do not count.

use super::{Source, sources};

const FUNCTION_LINES_MAX: usize = 80;
const FILE_LINES_MAX: usize = 600;

/// Files that are longer still, with their lines.
const LONG_FILES: [(&str, usize); 5] = [
    ("src/connectors/dynamodb/tests.rs", 781),
    ("src/connectors/kafka/tests.rs", 694),
    ("src/sql/runner/tests.rs", 1010),
    ("tests/it/bad_rows.rs", 636),
    ("tests/it/statements.rs", 628),
];

/// Functions that are longer still, with their lines.
const LONG_FUNCTIONS: [(&str, &str, usize); 5] = [
    ("tests/it/configuration.rs", "statements_name_only_the_places_of_the_configuration", 162),
    ("tests/it/scripts.rs", "the_users_scripts_run_unchanged", 104),
    ("tests/it/state_budget.rs", "what_has_changed_ends_epochs_early_and_sources_wait_for_them", 87),
    ("tests/it/statements.rs", "what_is_beyond_is_refused_in_a_sentence_before_it_costs", 88),
    ("tests/it/text_lengths.rs", "lengths_are_cut_kept_shown_and_enforced", 87),
];

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// The name of the function that begins in a line, if its body is not in the same one.
fn begun_function(line: &str) -> Option<&str> {
    let mut rest = line.trim_start();
    while let Some(after) = ["pub ", "const ", "async ", "unsafe "].iter().find_map(|word| rest.strip_prefix(word)) {
        rest = after;
    }
    if let Some(scope) = rest.strip_prefix("pub(") {
        return begun_function(scope.split_once(')')?.1);
    }
    let name = rest.strip_prefix("fn ")?;
    let is_of_one_line = line.ends_with(';') || line.ends_with('}');
    (!is_of_one_line).then(|| name.split(['(', '<']).next().unwrap_or(name))
}

/// Functions of a text with their lines. A closing brace stands as far in as the `fn` that it ends.
fn functions(text: &str) -> Vec<(&str, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (start, &line) in lines.iter().enumerate() {
        let Some(name) = begun_function(line) else { continue };
        let mut beside = lines.iter().enumerate().skip(start).filter(|(_, other)| indent(other) == indent(line));
        // One that a trait leaves open has a semicolon and no body.
        let has_body =
            beside.find(|(_, other)| other.ends_with(['{', ';'])).is_some_and(|(_, other)| other.ends_with('{'));
        let end = beside.find(|(_, other)| other.trim_start() == "}");
        if let (true, Some((end, _))) = (has_body, end) {
            found.push((name, end - start + 1));
        }
    }
    found
}

fn too_long(what: &str, lines: usize, most: usize, known: Option<usize>) -> Option<String> {
    match known {
        Some(known) if lines > known => Some(format!("{what}: {lines} lines, and it had {known}: it may only shrink")),
        Some(_) if lines <= most => Some(format!("{what}: no longer too long, take it off the list")),
        Some(known) if lines < known => Some(format!("{what}: {lines} lines now, lower its bound of {known}")),
        None if lines > most => Some(format!("{what}: {lines} lines, at most {most}")),
        _ => None,
    }
}

fn all_sources() -> Vec<Source> {
    let mut all = sources("src");
    all.extend(sources("tests/it"));
    all
}

#[test]
fn files_have_at_most_600_lines() {
    let sources = all_sources();
    let mut findings: Vec<String> = sources
        .iter()
        .filter_map(|source| {
            let shown = source.shown();
            let known = LONG_FILES.iter().find(|(file, _)| *file == shown).map(|(_, lines)| *lines);
            too_long(&shown, source.text.lines().count(), FILE_LINES_MAX, known)
        })
        .collect();
    let gone = LONG_FILES.iter().filter(|(file, _)| sources.iter().all(|source| source.shown() != *file));
    findings.extend(gone.map(|(file, _)| format!("{file}: is not there, take it off the list")));
    assert!(findings.is_empty(), "(tests/it/tidy/sizes.rs)\n{}", findings.join("\n"));
}

#[test]
fn functions_have_at_most_80_lines() {
    let mut findings = Vec::new();
    let mut met = 0;
    for source in all_sources() {
        let shown = source.shown();
        for (name, lines) in functions(&source.text) {
            let known = LONG_FUNCTIONS.iter().find(|(file, function, _)| *file == shown && *function == name);
            met += usize::from(known.is_some());
            let what = format!("{shown}: {name}");
            findings.extend(too_long(&what, lines, FUNCTION_LINES_MAX, known.map(|(.., lines)| *lines)));
        }
    }
    if met != LONG_FUNCTIONS.len() {
        findings.push(format!("{met} of the {} functions of the list were found", LONG_FUNCTIONS.len()));
    }
    assert!(findings.is_empty(), "(tests/it/tidy/sizes.rs)\n{}", findings.join("\n"));
}

#[test]
fn the_rule_sees_functions() {
    let text = "impl A {\n    pub(super) async fn a<T>(\n        x: T,\n    ) -> u8\n    where\n        T: B,\n    {\n        if x {\n        }\n        1\n    }\n\n    fn open(\n        &self,\n    ) -> u8;\n    fn short() {}\n}\n\nconst fn b() {\n    fn within() {\n        1\n    }\n}\n";
    assert_eq!(functions(text), [("a", 10), ("b", 5), ("within", 3)]);
    assert!(too_long("f", 81, 80, None).is_some());
    assert!(too_long("f", 80, 80, None).is_none());
    assert!(too_long("f", 90, 80, Some(90)).is_none());
    assert!(too_long("f", 91, 80, Some(90)).is_some());
    assert!(too_long("f", 89, 80, Some(90)).is_some());
}
