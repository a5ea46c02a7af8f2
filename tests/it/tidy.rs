//! Reads the sources: imports point down and not in circles, every file says what it is and is not too long, nothing is left
//! undone.

mod circles;
mod functions_page;
mod metrics_page;
mod options_page;
mod sizes;

use std::fs;
use std::path::{Path, PathBuf};

/// Modules from the top down; those of one line may not import each other, but for the last line.
const LAYERS: &[&[&str]] = &[
    &["demo", "client"],
    &["server"],
    &["config"],
    &["wire", "http"],
    &["pg_catalog"],
    &["sql"],
    &["jobs"],
    &["catalog"],
    &["engine"],
    &["functions"],
    &["connectors"],
    &["formats"],
    &[
        "access",
        "audit",
        "changelog",
        "error",
        "fault",
        "nearest",
        "options",
        "places",
        "clock",
        "data_type",
        "scram",
        "telemetry",
        "threads",
        "waits",
    ],
];

/// Knows none of the others; only these know it.
const APART: &str = "embedded";
const KNOW_APART: [&str; 2] = ["server", "demo"];

struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    /// `engine` of src/engine/layout.rs.
    fn module(&self) -> String {
        let relative = self.path.strip_prefix(root().join("src")).unwrap();
        let first = relative.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
        first.trim_end_matches(".rs").to_owned()
    }

    fn is_test(&self) -> bool {
        // The oracle of whole jobs is a folder of tests.
        self.path.file_name().is_some_and(|name| name == "tests.rs" || name == "testing.rs")
            || self.path.components().any(|part| part.as_os_str() == "oracle")
            || self.path.components().any(|part| part.as_os_str() == "tests")
    }

    /// Lines of code with their numbers, without comments.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate().map(|(number, line)| (number + 1, line.trim_start()));
        lines.filter(|(_, line)| !line.starts_with("//"))
    }

    fn shown(&self) -> String {
        self.path.strip_prefix(root()).unwrap().display().to_string()
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &str) -> Vec<Source> {
    fn collect(folder: &Path, into: &mut Vec<Source>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, into);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                into.push(Source { path, text });
            }
        }
    }
    let mut sources = Vec::new();
    collect(&root().join(folder), &mut sources);
    sources
}

/// Modules that a line names: `error` and `clock` of `use crate::{error::Error, clock};`.
fn modules_named(line: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut modules = Vec::new();
    for (at, _) in line.match_indices("crate::") {
        // `$crate::` is a macro's; `xcrate::` is none.
        let rest = &line[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            modules.extend(group.split(',').map(|part| word(part.trim())));
        } else {
            modules.push(word(rest));
        }
    }
    modules
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// Why `from` may not import `to`.
fn forbidden(from: &str, to: &str) -> Option<&'static str> {
    if from == to || from == "main" || from == "lib" {
        return None;
    }
    if from == APART {
        return layer(to).map(|_| "the embedded backends know no other module");
    }
    if to == APART {
        return (!KNOW_APART.contains(&from)).then_some("only the server and the demo know the embedded backends");
    }
    let (Some(above), Some(below)) = (layer(from), layer(to)) else { return None };
    (above > below || (above == below && above + 1 < LAYERS.len())).then_some("imports point down")
}

#[test]
fn imports_point_down() {
    let mut findings = Vec::new();
    // A test may bring anything together.
    for source in sources("src").iter().filter(|source| !source.is_test()) {
        let from = source.module();
        for (number, line) in source.code() {
            for to in modules_named(line) {
                if let Some(reason) = forbidden(&from, &to) {
                    findings.push(format!("{}:{number}: {from} → {to}: {reason}", source.shown()));
                }
            }
        }
    }
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}

#[test]
fn every_module_has_its_place() {
    let known = |module: &str| layer(module).is_some() || [APART, "main", "lib"].contains(&module);
    let mut strangers: Vec<String> =
        sources("src").iter().map(Source::module).filter(|module| !known(module)).collect();
    strangers.dedup();
    assert!(strangers.is_empty(), "modules without a place in tests/it/tidy.rs: {strangers:?}");
}

#[test]
fn every_file_begins_with_what_it_is() {
    let mut findings = Vec::new();
    for source in sources("src").iter().chain(&sources("tests")) {
        if !source.is_unit_test() && !source.text.starts_with("//! ") {
            findings.push(source.shown());
        }
    }
    assert!(findings.is_empty(), "files without a //! head:\n{}", findings.join("\n"));
}

impl Source {
    /// A unit test's file is about the module that it lies in.
    fn is_unit_test(&self) -> bool {
        self.path.starts_with(root().join("src")) && self.is_test()
    }
}

#[test]
fn nothing_is_left_undone() {
    let words = ["todo!(", "unimplemented!(", "dbg!(", "FIXME", "XXX"];
    let mut findings = Vec::new();
    for source in sources("src") {
        for (number, line) in source.text.lines().enumerate() {
            if let Some(word) = words.iter().find(|word| line.contains(**word)) {
                findings.push(format!("{}:{}: {word}", source.shown(), number + 1));
            }
        }
    }
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}

#[test]
fn unwrap_is_for_tests() {
    let mut findings = Vec::new();
    for source in sources("src").iter().filter(|source| !source.is_test()) {
        // Tests within a file come last.
        let code = source.code().take_while(|(_, line)| !line.starts_with("mod tests {"));
        findings.extend(
            code.filter(|(_, line)| line.contains(".unwrap()"))
                .map(|(number, line)| format!("{}:{number}: {line}", source.shown())),
        );
    }
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}

#[test]
fn the_rules_see_what_they_forbid() {
    assert_eq!(modules_named("use crate::{error::Error, clock};"), ["error", "clock"]);
    assert_eq!(modules_named("let x = crate::sql::parse(crate::wire::Y);"), ["sql", "wire"]);
    assert!(forbidden("connectors", "engine").is_some());
    assert!(forbidden("wire", "http").is_some());
    assert!(forbidden("embedded", "error").is_some());
    assert!(forbidden("jobs", "embedded").is_some());
    assert!(forbidden("sql", "jobs").is_none());
    assert!(forbidden("error", "data_type").is_none());
}
