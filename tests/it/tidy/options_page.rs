//! docs/reference/options.md is what the connectors and formats say. `UPDATE_EXPECT=1 cargo test --test it -- tidy` writes it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use streamgate::clock::SystemClock;
use streamgate::connectors::{ConnectorDefaults, Registry};
use streamgate::formats::FORMATS;
use streamgate::options::{OptionDefault, OptionEntry, OptionGroups, OptionKind, bounds};
use streamgate::places::Places;

const HEAD: &str = "\
<!-- Written by tests/it/tidy/options_page.rs from the entries in src/connectors and src/formats; not by hand. -->

# Options

All options that `WITH ('connector' = '…', …)` takes, and hints `/*+ OPTIONS('…' = '…') */`, by connector and by format. What is not here is
refused, with the nearest name that is.

A duration is a number with a unit: `500 ms`, `10 s`, `5 min`, `1 h`, `30 d`; without one it is milliseconds. Words such as
`earliest-offset` are read without regard to case, `-` and `_` alike, and a blank one means the default. `#` stands for the name of a column,
`*` for the rest of a name. *Secret* values are kept apart from the catalog, encrypted, and shown as `******`. Options that are *not
implemented* are known from Flink or the Java client and refused, as a rule with SQLSTATE 0A000, unless they are blank or state the default;
docs/not-yet.md has what to do instead.
";

fn code(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

fn name(option: &OptionEntry) -> String {
    let secret = if option.is_secret { "<br>*secret*" } else { "" };
    match option.aliases {
        [] => format!("`{}`{secret}", option.name),
        aliases => format!("`{}`<br>also {}{secret}", option.name, code(aliases)),
    }
}

fn kind(option: &OptionEntry) -> String {
    match option.kind {
        OptionKind::Text => "text".to_owned(),
        OptionKind::List => "texts, `;` between".to_owned(),
        OptionKind::Flag => code(&["true", "false"]),
        OptionKind::Whole(i64::MIN, i64::MAX) => "whole number".to_owned(),
        OptionKind::Whole(least, most) => format!("whole number {}", bounds(least, most)),
        OptionKind::Number => "number".to_owned(),
        OptionKind::Duration => "duration".to_owned(),
        OptionKind::Pattern => "regular expression".to_owned(),
        OptionKind::Format => "format".to_owned(),
        OptionKind::Choice { known, refused: [] } => code(known),
        OptionKind::Choice { known, refused } => format!("{}; not implemented: {}", code(known), code(refused)),
        OptionKind::Refused => "*not implemented*".to_owned(),
    }
}

fn default(option: &OptionEntry) -> String {
    match option.default {
        OptionDefault::Required => "required".to_owned(),
        OptionDefault::Absent => "none".to_owned(),
        OptionDefault::Value(value) => code(&[value]),
        OptionDefault::Told(words) => words.to_owned(),
    }
}

fn section(page: &mut String, title: &str, options: OptionGroups) {
    let _ = write!(page, "\n## {title}\n\n| option | takes | default | what it does |\n|---|---|---|---|\n");
    let sorted: BTreeMap<&str, &OptionEntry> =
        options.iter().copied().flatten().map(|option| (option.name, option)).collect();
    for option in sorted.values() {
        let _ =
            writeln!(page, "| {} | {} | {} | {} |", name(option), kind(option), default(option), option.documentation);
    }
}

#[test]
fn the_page_of_options_is_what_connectors_and_formats_say() {
    let defaults = ConnectorDefaults {
        kafka_bootstrap_servers: None,
        kafka_properties: BTreeMap::new(),
        kafka_is_embedded: false,
        dynamodb_endpoint: None,
        aws_region: None,
        aws_credentials: None,
        dynamodb_is_embedded: false,
        places: Arc::new(Places::anywhere()),
        clock: Arc::new(SystemClock),
    };
    let registry = Registry::new(&defaults);
    // Connectors that are the same but for their names have one section.
    let mut sections: Vec<(String, OptionGroups)> = Vec::new();
    for connector in registry.connectors() {
        let title = format!("`{}`", connector.name());
        match sections.iter_mut().find(|(_, options)| *options == connector.options()) {
            Some((same, _)) => *same = format!("{same} and {title}"),
            None => sections.push((title, connector.options())),
        }
    }
    let mut page = HEAD.to_owned();
    for (title, options) in sections {
        section(&mut page, &format!("Connector {title}"), options);
    }
    for format in FORMATS {
        section(&mut page, &format!("Format `{}`", format.name), format.options);
        page.push_str(&format!(
            "\nBehind the format's name: `'{0}.{1}' = '…'`; behind `value.` or `key.` too, where an option of that place names the format.\n",
            format.name, format.options[0][0].name
        ));
    }
    expect_test::expect_file!["../../../docs/reference/options.md"].assert_eq(&page);
}
