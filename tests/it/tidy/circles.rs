//! No circles among the files of a folder: of files that need each other none can be read, moved or built alone.
//!
//! A file needs the files whose items it names: by `use`, or as `crate::…` and `super::…` within its code. Tests do not count.
//! `mod` and `pub use` need nothing: a name that is handed on counts as the file that it comes from. So a parent that only
//! hands on may be used by its children, and one that puts them together (`child::Name` within its code) too. A parent that
//! imports from a child (`use child::Name`) needs it, and is in a circle with it if the child uses the parent's own items.

use std::collections::{BTreeMap, BTreeSet};

use super::{Source, sources};

/// `["connectors", "kafka", "client"]` of src/connectors/kafka/client.rs, and of an item the same with its name behind.
type Path = Vec<String>;

fn path(text: &str, separator: &str) -> Path {
    text.split(separator).map(|part| part.trim().to_owned()).collect()
}

/// Which file needs which.
struct Graph {
    needs: BTreeMap<Path, BTreeSet<Path>>,
}

/// What a file says of others.
#[derive(Default)]
struct Named {
    needed: Vec<Path>,
    handed_on: Vec<Path>,
}

/// The paths of a `use`: `a::b` and `a::c` of `a::{b, c}`.
fn leaves(tree: &str) -> Vec<Path> {
    let Some((head, rest)) = tree.split_once('{') else {
        let mut leaf = path(tree.split(" as ").next().unwrap_or(tree), "::");
        if leaf.len() > 1 && leaf.last().is_some_and(|last| last == "self" || last == "*") {
            leaf.pop();
        }
        return vec![leaf];
    };
    let mut parts = vec![String::new()];
    let mut depth = 0;
    for letter in rest[..rest.rfind('}').unwrap_or(rest.len())].chars() {
        depth += i32::from(letter == '{') - i32::from(letter == '}');
        if letter == ',' && depth == 0 {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(letter);
        }
    }
    parts.retain(|part| !part.trim().is_empty());
    parts.iter().flat_map(|part| leaves(&format!("{}{}", head.trim(), part.trim()))).collect()
}

/// Paths like `crate::a::b` in code that is no `use`. A macro's `$crate::` is none, nor is `pub(in crate::a)`.
fn written_out(code: &str) -> Vec<Path> {
    let mut paths = Vec::new();
    for start in ["crate::", "super::"] {
        for (at, _) in code.match_indices(start) {
            let before = &code[..at];
            let is_part = before.ends_with(|last: char| last.is_alphanumeric() || "_$:".contains(last));
            if !is_part && !before.ends_with("pub(in ") {
                let rest = &code[at..];
                let end = rest.find(|letter: char| !letter.is_alphanumeric() && !"_:".contains(letter));
                paths.push(path(rest[..end.unwrap_or(rest.len())].trim_end_matches(':'), "::"));
            }
        }
    }
    paths
}

/// Whether a line begins a `use`, whether that hands on, and what stands behind it.
fn begun_use(line: &str) -> Option<(bool, &str)> {
    let line = line.trim_start();
    if let Some(tree) = line.strip_prefix("use ") {
        return Some((false, tree));
    }
    let (before, tree) = line.split_once(" use ")?;
    (before == "pub" || before.starts_with("pub(") && before.ends_with(')')).then_some((true, tree))
}

impl Named {
    fn in_text(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        // Tests within a file come last.
        let mut lines = lines.take_while(|line| !line.starts_with("mod tests {"));
        let (mut named, mut rest) = (Self::default(), String::new());
        while let Some(line) = lines.next() {
            let Some((hands_on, tree)) = begun_use(line) else {
                rest.extend([line, "\n"]);
                continue;
            };
            let mut tree = tree.to_owned();
            while !tree.ends_with(';') {
                let Some(more) = lines.next() else { break };
                tree.push_str(more.trim());
            }
            // `super` of a module within the file is the file.
            if !(line.starts_with(' ') && tree.starts_with("super::")) {
                let into = if hands_on { &mut named.handed_on } else { &mut named.needed };
                into.extend(leaves(tree.trim_end_matches(';')));
            }
        }
        named.needed.extend(written_out(&rest));
        named
    }
}

impl Graph {
    /// Of files by their module's path, with their text.
    fn of(files: &BTreeMap<Path, &str>) -> Self {
        let named: BTreeMap<&Path, Named> = files.iter().map(|(file, text)| (file, Named::in_text(text))).collect();
        // From where a path counts: the whole crate, a parent, or this file with a child.
        let absolute = |file: &Path, path: &Path| -> Option<Path> {
            let mut base = file.clone();
            match path.first()?.as_str() {
                "crate" => return Some(path[1..].to_vec()),
                "self" => base.extend_from_slice(&path[1..]),
                "super" => {
                    let ups = path.iter().take_while(|part| *part == "super").count();
                    base.truncate(base.len().saturating_sub(ups));
                    base.extend_from_slice(&path[ups..]);
                }
                child => {
                    base.push(child.to_owned());
                    if !files.contains_key(&base) {
                        return None;
                    }
                    base.extend_from_slice(&path[1..]);
                }
            }
            Some(base)
        };
        let mut origins: BTreeMap<Path, Path> = BTreeMap::new();
        for (file, named) in &named {
            for path in &named.handed_on {
                if let (Some(origin), Some(name)) = (absolute(file, path), path.last()) {
                    origins.insert([file.as_slice(), std::slice::from_ref(name)].concat(), origin);
                }
            }
        }
        let file_of = |mut item: Path| -> Option<Path> {
            // A name can be handed on several times; one that is called like its file comes from itself.
            for _ in 0..4 {
                let found = (1..=item.len()).rev().find_map(|end| origins.get_key_value(&item[..end]));
                let Some((handed, origin)) = found else { break };
                item = [origin.as_slice(), &item[handed.len()..]].concat();
            }
            (1..=item.len()).rev().map(|end| item[..end].to_vec()).find(|file| files.contains_key(file))
        };
        let needs = named.iter().map(|(file, named)| {
            let items = named.needed.iter().filter_map(|path| absolute(file, path));
            let is_of_folder = |other: &Path| other != *file && other[0] == file[0];
            ((*file).clone(), items.filter_map(file_of).filter(is_of_folder).collect())
        });
        Self { needs: needs.collect() }
    }

    /// A shortest way from a file back to it, if there is one.
    fn way_back(&self, start: &Path) -> Option<Vec<Path>> {
        let mut ways = vec![vec![start.clone()]];
        let mut seen = BTreeSet::new();
        while !ways.is_empty() {
            let mut longer = Vec::new();
            for way in ways {
                for next in way.last().and_then(|file| self.needs.get(file)).into_iter().flatten() {
                    let way = [way.as_slice(), std::slice::from_ref(next)].concat();
                    if next == start {
                        return Some(way);
                    }
                    if seen.insert(next.clone()) {
                        longer.push(way);
                    }
                }
            }
            ways = longer;
        }
        None
    }

    /// The circles, each from its first file: `a → b → a`.
    fn circles(&self) -> BTreeSet<Vec<Path>> {
        let ways = self.needs.keys().filter_map(|file| self.way_back(file));
        ways.filter(|way| way.iter().min() == way.first()).collect()
    }
}

fn of_sources() -> BTreeSet<Vec<Path>> {
    let sources = sources("src");
    let module = |source: &Source| {
        let name = source.shown();
        let name = name.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod").to_owned();
        path(&name, "/")
    };
    let files = sources.iter().filter(|source| !source.is_test());
    let files: BTreeMap<Path, &str> = files.map(|source| (module(source), source.text.as_str())).collect();
    Graph::of(&files).circles()
}

#[test]
fn files_of_a_folder_are_in_no_circle() {
    let circles = of_sources();
    let shown = |circle: &Vec<Path>| circle.iter().map(|file| file.join("/")).collect::<Vec<_>>().join(" → ");
    let findings: Vec<String> = circles.iter().map(shown).collect();
    assert!(findings.is_empty(), "files that need each other (tests/it/tidy/circles.rs):\n{}", findings.join("\n"));
}

#[test]
fn the_rule_sees_circles() {
    let circles = |files: &[(&str, &str)]| {
        let files = files.iter().map(|(name, text)| (path(name, "/"), *text)).collect();
        let shown = |circle: Vec<Path>| circle.iter().map(|file| file.join("/")).collect::<Vec<_>>().join(" → ");
        Graph::of(&files).circles().into_iter().map(shown).collect::<Vec<_>>()
    };
    let beside = [
        ("m/a", "use super::b::{self, B};"),
        ("m/b", "//! Head.\n\nuse std::fmt;\nuse super::c;"),
        ("m/c", "f(super::a::X)"),
    ];
    assert_eq!(circles(&beside), ["m/a → m/b → m/c → m/a"]);
    assert!(circles(&beside[..2]).is_empty());
    // A parent that hands on is not in the way; the file behind the name is.
    let handed_on = [
        ("m", "mod a;\nmod b;\n\npub use a::{A, Z};\npub use b::B;"),
        ("m/a", "use crate::m::B;"),
        ("m/b", "use super::A;"),
    ];
    assert_eq!(circles(&handed_on), ["m/a → m/b → m/a"]);
    assert!(circles(&handed_on[..2]).is_empty());
    // A parent puts its children together, or it needs one.
    let child = ("m/a", "use super::Item;");
    assert!(circles(&[("m", "mod a;\nstruct Item;\nfn f() { a::g() }"), child]).is_empty());
    assert_eq!(circles(&[("m", "mod a;\nuse a::A;\nstruct Item;"), child]), ["m → m/a → m"]);
    // Tests bring anything together.
    let tested =
        [("m/a", "use super::b::B;"), ("m/b", "fn f() {}\n\n#[cfg(test)]\nmod tests {\n    use crate::m::a::A;\n}")];
    assert!(circles(&tested).is_empty());
}
