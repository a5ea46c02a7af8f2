//! No function above 80 lines, no file above 600: what is longer has more than one subject. Lines are those of the formatted
//! text, from `fn` to its closing brace; attributes and comments above do not count. There are no exceptions.

use super::{Source, sources};

const FUNCTION_LINES_MAX: usize = 80;
const FILE_LINES_MAX: usize = 600;

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

fn too_long(what: &str, lines: usize, most: usize) -> Option<String> {
    (lines > most).then(|| format!("{what}: {lines} lines, at most {most}"))
}

fn all_sources() -> Vec<Source> {
    let mut all = sources("src");
    all.extend(sources("tests/it"));
    all
}

#[test]
fn files_have_at_most_600_lines() {
    let findings: Vec<String> = all_sources()
        .iter()
        .filter_map(|source| too_long(&source.shown(), source.text.lines().count(), FILE_LINES_MAX))
        .collect();
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}

#[test]
fn functions_have_at_most_80_lines() {
    let mut findings = Vec::new();
    for source in all_sources() {
        for (name, lines) in functions(&source.text) {
            findings.extend(too_long(&format!("{}: {name}", source.shown()), lines, FUNCTION_LINES_MAX));
        }
    }
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}

#[test]
fn the_rule_sees_functions() {
    let text = "impl A {\n    pub(super) async fn a<T>(\n        x: T,\n    ) -> u8\n    where\n        T: B,\n    {\n        if x {\n        }\n        1\n    }\n\n    fn open(\n        &self,\n    ) -> u8;\n    fn short() {}\n}\n\nconst fn b() {\n    fn within() {\n        1\n    }\n}\n";
    assert_eq!(functions(text), [("a", 10), ("b", 5), ("within", 3)]);
    assert!(too_long("f", 81, 80).is_some());
    assert!(too_long("f", 80, 80).is_none());
}
