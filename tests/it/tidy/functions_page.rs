//! docs/reference/functions.md is what the registries say. `UPDATE_EXPECT=1 cargo test --test it -- tidy` writes it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use datafusion::logical_expr::Volatility;
use streamgate::functions::aggregations::aggregations;
use streamgate::functions::entry::About;
use streamgate::functions::registry::scalars;
use streamgate::functions::windows::windows;
use streamgate::pg_catalog;

const HEAD: &str = "\
<!-- Written by tests/it/tidy/functions_page.rs from the entries in src/functions and src/pg_catalog; not by hand. -->

# Functions

All functions that are part of the server. `SHOW FUNCTIONS` lists the names, `\\df name` of psql shows how one is called. docs/dialect.md says
what was decided where Flink and PostgreSQL differ; `CREATE FUNCTION` makes functions of SQL, which `SHOW USER FUNCTIONS` lists.

Types are written as PostgreSQL writes them; `any` is any type, `anyelement` the same type everywhere in a call, `anyarray` an array of it,
`…` as many arguments as there are. A *stable* function gives the same within a statement, depending on its time or on the session's time
zone; a *volatile* one another value at each call. Results of examples are as psql shows them.
";

/// What a function is about, by the types of its arguments.
fn section(about: &About) -> &'static str {
    let calls: Vec<_> = about.calls().collect();
    let takes = |words: &[&str]| calls.iter().any(|call| call.arguments.iter().any(|word| words.contains(word)));
    let gives = |words: &[&str]| calls.iter().any(|call| words.contains(&call.returns));
    let times = ["timestamp", "timestamptz", "date", "time", "interval"];
    if takes(&["map", "row"]) || gives(&["map", "row"]) {
        "Maps and rows"
    } else if takes(&["anyarray", "double precision[]"]) || gives(&["anyarray", "bigint[]"]) {
        "Arrays"
    } else if takes(&times) || gives(&times) || about.name.contains("unixtime") || about.name == "unix_timestamp" {
        "Dates and times"
    } else if takes(&["text", "bytea"]) || gives(&["text"]) {
        "Texts and bytes"
    } else if takes(&["any", "anyelement"]) {
        "Choices"
    } else {
        "Numbers"
    }
}

/// How a function is called, and by which other names.
fn calls(about: &About) -> String {
    let calls = about.calls().map(|call| {
        let repeated = if call.is_variadic { ", …" } else { "" };
        format!("`{}({}{repeated}) → {}`", about.name, call.arguments.join(", "), call.returns)
    });
    let calls = calls.collect::<Vec<_>>().join("<br>");
    let aliases = about.aliases.iter().map(|alias| format!("`{alias}`")).collect::<Vec<_>>().join(", ");
    if aliases.is_empty() { calls } else { format!("{calls}<br>also {aliases}") }
}

fn documentation(about: &About) -> String {
    let text = about.documentation.replace('|', "\\|");
    match about.volatility {
        Volatility::Immutable => text,
        Volatility::Stable => format!("{text} *Stable.*"),
        Volatility::Volatile => format!("{text} *Volatile.*"),
    }
}

fn example(about: &About) -> String {
    about.example.map_or_else(String::new, |(call, result)| format!("`{call}` is `{result}`"))
}

fn of_scalars(page: &mut String) {
    let mut sections: BTreeMap<&str, BTreeMap<&str, About>> = BTreeMap::new();
    for entry in scalars().entries().filter(|entry| entry.is_public()) {
        sections.entry(section(&entry.about)).or_default().insert(entry.name, entry.about);
    }
    for (title, entries) in sections {
        let _ = write!(page, "\n## {title}\n\n| call | what it gives | example |\n|---|---|---|\n");
        for about in entries.values() {
            let _ = writeln!(page, "| {} | {} | {} |", calls(about), documentation(about), example(about));
        }
    }
}

fn of_aggregates(page: &mut String) {
    page.push_str(
        "\n## Aggregates\n\nEach but `grouping` takes `FILTER (WHERE …)`, and can be called as a window function in queries. Those that jobs keep up to date \
         row by row can\nstand in a job; the others are for queries. Where DISTINCT or ORDER BY changes nothing it may be written all the same. \
         Examples are\nover the values 1 and 2 of a column `x`.\n\n\
         | call | what it gives | in jobs | DISTINCT | ORDER BY | example |\n|---|---|---|---|---|---|\n",
    );
    let all: BTreeMap<&str, _> = aggregations().entries().map(|entry| (entry.name, entry)).collect();
    let mark = |is: bool| if is { "yes" } else { "" };
    for entry in all.values() {
        let heeds = &entry.maker;
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} |",
            calls(entry),
            documentation(entry),
            mark(heeds.is_for_jobs),
            if heeds.takes_distinct { mark(heeds.heeds_distinct) } else { "refused" },
            mark(heeds.heeds_order),
            example(entry)
        );
    }
}

fn of_others(page: &mut String) {
    page.push_str(
        "\n## Window functions\n\nCalled with `OVER (…)`, in queries.\n\n| call | what it gives |\n|---|---|\n",
    );
    for entry in windows().entries() {
        let _ = writeln!(page, "| {} | {} |", calls(&entry.about), documentation(&entry.about));
    }
    page.push_str(
        "\n## Functions of `pg_catalog`\n\nFor clients that read the catalog; with or without the schema's name.\n\n\
         | call | what it gives |\n|---|---|\n",
    );
    let all: BTreeMap<&str, About> = pg_catalog::functions().map(|about| (about.name, about)).collect();
    for about in all.values() {
        let _ = writeln!(page, "| {} | {} |", calls(about), documentation(about));
    }
}

#[test]
fn the_page_of_functions_is_what_the_registries_say() {
    let mut page = HEAD.to_owned();
    of_scalars(&mut page);
    of_aggregates(&mut page);
    of_others(&mut page);
    expect_test::expect_file!["../../../docs/reference/functions.md"].assert_eq(&page);
}
