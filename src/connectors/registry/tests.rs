//! Entries of options and what is asked for are the same.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::clock::ManualClock;
use crate::connectors::declaration::{ColumnDeclaration, ColumnKind, LocalDeclaration};
use crate::formats::{self, FORMATS};
use crate::options::{Named, OptionDefault, OptionEntry, OptionKind, OptionValue, option_entries, parse_duration};

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
        local: None,
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
        "local" => {
            let local = Some(LocalDeclaration { id: "1".to_owned(), ..LocalDeclaration::default() });
            vec![TableDeclaration { local, ..table(&[("s", "STRING")], "") }]
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

/// Options that a connector asks for and does not list when it opens these tables, and those that it lists and does not ask for.
fn disagreements(connector: &dyn Connector, tables: &[TableDeclaration]) -> Vec<String> {
    let mut asked = BTreeSet::new();
    for table in tables {
        let mut options = reader(&table.options);
        let opened = connector.open(&mut options, table);
        assert!(opened.is_ok(), "{}: {}", connector.name(), opened.err().unwrap());
        options.finish().unwrap();
        asked.extend(options.asked().filter(|name| *name != "connector").map(str::to_owned));
    }
    let is_listed = |name: &str| flat(connector.options()).any(|option| option.covers(name)) || is_of_format(name);
    let is_asked = |option: &OptionEntry, name: &str| {
        asked.iter().any(|asked| match asked.strip_suffix('*') {
            Some(before) => name.starts_with(before),
            None => asked == name || (name.contains('#') && option.covers(asked)),
        })
    };
    let unlisted = asked.iter().filter(|name| !is_listed(name)).map(|name| format!("{name} has no entry"));
    let names = flat(connector.options()).flat_map(|option| option.names().map(move |name| (option, name)));
    let unasked = names.filter(|(option, name)| !is_asked(option, name));
    unlisted.chain(unasked.map(|(_, name)| format!("nobody asks for {name}"))).collect()
}

#[test]
fn a_connector_asks_for_the_options_that_it_lists_and_for_no_other() {
    for connector in registry().connectors() {
        let wrong = disagreements(connector, &tables(connector.name()));
        assert_eq!(wrong, [""; 0], "connector {}", connector.name());
    }
}

#[test]
fn an_option_without_an_entry_and_an_entry_without_a_reader_are_found() {
    const FORGOTTEN: OptionEntry = OptionEntry::flag("forgotten", "false", "Taken, and in no list.");
    option_entries! {
        LISTED:
        TAKEN = OptionEntry::flag("taken", "false", "As it should be.").also(&["seized"]);
        LEFT = OptionEntry::flag("fields.#.left", "false", "In the list, and not taken.");
    }
    struct Careless;
    impl Connector for Careless {
        fn name(&self) -> &'static str {
            "careless"
        }

        fn options(&self) -> OptionGroups {
            &[LISTED]
        }

        fn open(&self, options: &mut OptionReader, _table: &TableDeclaration) -> Result<Table> {
            options.take_alias(&TAKEN)?;
            options.take_flag_or(&FORGOTTEN)?;
            formats::open("json", "value.", options)?;
            Ok(Table::default())
        }
    }
    assert_eq!(LISTED, [TAKEN, LEFT]);
    let wrong = disagreements(&Careless, &[table("careless", &[], "")]);
    assert_eq!(wrong, ["forgotten has no entry", "nobody asks for fields.#.left"]);
}

#[test]
fn a_property_of_kafka_with_an_entry_is_taken_or_refused_as_the_entry_says() {
    let registry = registry();
    let properties = flat(kafka::OPTIONS).filter(|option| option.name.starts_with("properties."));
    for option in properties.filter(|option| !option.name.ends_with('*')) {
        let value = match option.name {
            "properties.sasl.jaas.config" => "x.PlainLoginModule required username=\"u\" password=\"p\";",
            "properties.bootstrap.servers" => "127.0.0.1:9092",
            _ => option.default_value().unwrap_or("text"),
        };
        let mut table = table("kafka", &[("id", "INT")], "topic=t format=json");
        table.options.insert(option.name.to_owned(), OptionValue::Plain(value.to_owned()));
        let error = registry.open(&table, &|_| unreachable!("no secrets here"), true).err();
        assert_eq!(error.is_some(), option.kind == OptionKind::Refused, "{}: {error:?}", option.name);
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
fn an_entry_with_a_fault_is_found() {
    for (entry, wrong) in [
        (OptionEntry::choice("a", &["x", "y"], "One.").or("z"), "its default is no value of it"),
        (OptionEntry::new("a", OptionKind::Whole(1, 2), "One.").or("3"), "its default is no value of it"),
        (OptionEntry::new("a", OptionKind::Duration, "One.").or("soon"), "its default is no value of it"),
        (OptionEntry::refused("a", "One"), "its documentation is no sentence"),
        (OptionEntry::new("a", OptionKind::Flag, "One."), "a flag has a default"),
    ] {
        assert_eq!(fault(&entry), Some(wrong), "{entry:?}");
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

#[test]
fn the_names_are_those_of_the_connectors() {
    let registry = registry();
    let names: Vec<&str> = registry.connectors().map(|connector| connector.name()).collect();
    assert_eq!(names.split_last().unwrap(), (&"letters", CONNECTOR_NAMES));
}
