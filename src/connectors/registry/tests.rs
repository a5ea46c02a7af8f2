//! Entries of options and what is asked for are the same.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::clock::ManualClock;
use crate::connectors::declaration::{ColumnDeclaration, ColumnKind};
use crate::formats::{self, FORMATS};
use crate::options::{Named, OptionDefault, OptionEntry, OptionKind, OptionValue, parse_duration};

fn registry() -> Registry {
    let defaults = ConnectorDefaults {
        kafka_bootstrap_servers: Some("127.0.0.1:1".to_owned()),
        kafka_properties: BTreeMap::new(),
        kafka_is_embedded: true,
        dynamodb_endpoint: Some("http://127.0.0.1:1".to_owned()),
        aws_region: None,
        aws_credentials: None,
        dynamodb_is_embedded: true,
        places: Arc::new(crate::places::Places::anywhere()),
        clock: Arc::new(ManualClock::at(0)),
    };
    Registry::new(&defaults).with(Arc::new(letters::LettersConnector))
}

fn flat(groups: OptionGroups) -> impl Iterator<Item = &'static OptionEntry> {
    groups.iter().copied().flatten()
}

/// A table with options `a=1 b=2`.
fn table(connector: &str, columns: &[(&str, &str)], options: &str) -> TableDeclaration {
    let pairs = options.split_whitespace().filter_map(|pair| pair.split_once('='));
    let options = pairs.chain([("connector", connector)]);
    TableDeclaration {
        name: "t".to_owned(),
        columns: columns
            .iter()
            .map(|(name, sql_type)| ColumnDeclaration {
                name: (*name).to_owned(),
                sql_type: (*sql_type).to_owned(),
                nullable: true,
                kind: ColumnKind::Physical,
            })
            .collect(),
        primary_key: columns.iter().take(1).map(|(name, _)| (*name).to_owned()).collect(),
        partitioned_by: Vec::new(),
        options: options.map(|(name, value)| (name.to_owned(), OptionValue::Plain(value.to_owned()))).collect(),
    }
}

fn reader(options: &BTreeMap<String, OptionValue>) -> OptionReader {
    OptionReader::new(options, &|_| unreachable!("no secrets here")).unwrap()
}

/// Tables that between them ask for all options of a connector.
fn tables(connector: &str) -> Vec<TableDeclaration> {
    let table = |columns: &[(&str, &str)], options: &str| table(connector, columns, options);
    match connector {
        "kafka" => vec![table(&[("id", "INT")], "topic=t value.format=json key.format=json key.fields=id")],
        "upsert-kafka" => vec![table(&[("id", "INT")], "topic=t value.format=json key.format=json")],
        "dynamodb" | "dynamodb-v2" => vec![table(&[("id", "INT")], "table-name=t")],
        "datagen" => {
            let sequence = "fields.n.kind=sequence fields.n.start=1 fields.n.end=9";
            vec![table(
                &[("n", "INT"), ("d", "DOUBLE"), ("s", "STRING"), ("t", "TIMESTAMP(3)"), ("r", "INT")],
                sequence,
            )]
        }
        _ => vec![table(&[("s", "STRING")], "")],
    }
}

/// Whether a name is that of an option of a format, behind the format's name.
fn is_of_format(name: &str) -> bool {
    FORMATS.iter().any(|format| {
        let own =
            ["", "value.", "key."].into_iter().find_map(|place| name.strip_prefix(place)?.strip_prefix(format.name));
        let own = own.and_then(|own| own.strip_prefix('.'));
        own.is_some_and(|own| flat(format.options).any(|option| option.covers(own)))
    })
}

#[test]
fn a_connector_asks_for_the_options_that_it_lists_and_for_no_other() {
    let registry = registry();
    for connector in registry.connectors() {
        let mut asked = BTreeSet::new();
        for table in tables(connector.name()) {
            let mut options = reader(&table.options);
            let opened = connector.open(&mut options, &table);
            assert!(opened.is_ok(), "{}: {}", connector.name(), opened.err().unwrap());
            options.finish().unwrap();
            asked.extend(options.asked().filter(|name| *name != "connector").map(str::to_owned));
        }
        let listed: Vec<_> = flat(connector.options()).collect();
        for name in &asked {
            let is_listed = listed.iter().any(|option| option.covers(name)) || is_of_format(name);
            assert!(is_listed, "connector {}: option {name} is asked for and has no entry", connector.name());
        }
        for (option, name) in listed.iter().flat_map(|option| option.names().map(move |name| (option, name))) {
            let is_asked = asked.iter().any(|asked| match asked.strip_suffix('*') {
                Some(before) => name.starts_with(before),
                None => asked == name || (name.contains('#') && option.covers(asked)),
            });
            assert!(is_asked, "connector {}: nobody asks for option {name}", connector.name());
        }
    }
}

#[test]
fn a_format_asks_for_the_options_that_it_lists_and_for_no_other() {
    for format in FORMATS {
        let mut options = reader(&BTreeMap::new());
        formats::open(format.name, "value.", &mut options).unwrap();
        let asked: BTreeSet<String> = options.asked().filter(|name| *name != "connector").map(str::to_owned).collect();
        let listed = flat(format.options).map(|option| format!("value.{}.{}", format.name, option.name)).collect();
        assert_eq!(asked, listed, "format {}", format.name);
    }
}

/// What is wrong with an entry.
fn fault(option: &OptionEntry) -> Option<&'static str> {
    let named = Named::from(option);
    let is_read = option.default_value().is_none_or(|default| match option.kind {
        OptionKind::Flag => named.flag(default).is_ok(),
        OptionKind::Whole(..) => named.whole::<i64>(default).is_ok(),
        OptionKind::Number => default.parse::<f64>().is_ok(),
        OptionKind::Duration => parse_duration(default).is_ok(),
        OptionKind::Choice { .. } => named.word(default).is_ok_and(|word| word == default),
        _ => true,
    });
    if !is_read {
        Some("its default is no value of it")
    } else if !option.documentation.ends_with('.') || option.documentation.contains('|') {
        Some("its documentation is no sentence")
    } else if option.kind == OptionKind::Flag && option.default == OptionDefault::Absent {
        Some("a flag has a default")
    } else {
        None
    }
}

#[test]
fn entries_are_whole() {
    let registry = registry();
    let connectors = registry.connectors().map(|connector| (connector.name(), connector.options()));
    for (owner, groups) in connectors.chain(FORMATS.iter().map(|format| (format.name, format.options))) {
        let mut names = BTreeSet::new();
        for option in flat(groups) {
            assert_eq!(fault(option), None, "{owner}: {}", option.name);
            assert!(option.names().all(|name| names.insert(name)), "{owner}: {} stands twice", option.name);
            assert!(!option.is_secret || is_secret_option(option.name), "{owner}: {} is not kept secret", option.name);
        }
    }
}
