use std::collections::BTreeMap;
use std::fs;

use super::*;
use crate::catalog::file_store::FILE;
use crate::catalog::snapshot::FIRST_OID;
use crate::catalog::{DEFAULT_DATABASE, DEFAULT_SCHEMA, TableEntry};
use crate::connectors::{ColumnDeclaration, ColumnKind, TableDeclaration};
use crate::error::ErrorKind;

fn table(options: &[(&str, OptionValue)]) -> Box<TableEntry> {
    let options: BTreeMap<String, OptionValue> =
        options.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let column = ColumnDeclaration {
        name: "a".to_owned(),
        sql_type: "INT".to_owned(),
        nullable: true,
        kind: ColumnKind::Physical,
    };
    Box::new(TableEntry {
        checks: Vec::new(),
        access: Default::default(),
        oid: 0,
        declaration: TableDeclaration {
            local: None,
            name: "streamgate.public.t".to_owned(),
            columns: vec![column],
            primary_key: Vec::new(),
            partitioned_by: Vec::new(),
            options,
        },
        columns: Vec::new(),
        watermarks: Vec::new(),
        comment: None,
    })
}

fn create(name: &str, entry: Box<TableEntry>) -> Change {
    Change::CreateTable {
        database: DEFAULT_DATABASE.to_owned(),
        schema: DEFAULT_SCHEMA.to_owned(),
        name: name.to_owned(),
        entry,
    }
}

fn drop_table(name: &str) -> Change {
    Change::DropTable {
        database: DEFAULT_DATABASE.to_owned(),
        schema: DEFAULT_SCHEMA.to_owned(),
        name: name.to_owned(),
    }
}

#[test]
fn commits_survive_and_are_all_or_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let catalog = Catalog::open(directory.path()).unwrap();
    catalog.commit(&[create("t", table(&[]))]).unwrap();
    let refused = catalog.commit(&[create("u", table(&[])), create("t", table(&[]))]).unwrap_err();
    assert_eq!(refused.sqlstate().code(), "42P07");
    let before = catalog.snapshot();
    drop(catalog);
    let catalog = Catalog::open(directory.path()).unwrap();
    assert_eq!(catalog.snapshot(), before);
    let schema = before.schema(DEFAULT_DATABASE, DEFAULT_SCHEMA).unwrap();
    assert_eq!(schema.tables.keys().collect::<Vec<_>>(), ["t"]);
    assert!(schema.tables["t"].oid >= FIRST_OID);
}

#[test]
fn a_crash_before_the_rename_leaves_the_old_catalog() {
    let directory = tempfile::tempdir().unwrap();
    let catalog = Catalog::open(directory.path()).unwrap();
    catalog.commit(&[create("t", table(&[]))]).unwrap();
    let before = catalog.snapshot();
    // The crash: secrets written, the catalog's new file half written.
    let reference = catalog.stage_secret("canary").unwrap();
    catalog.secrets.write().keep(&BTreeSet::from([reference.clone()])).unwrap();
    drop(catalog);
    fs::write(directory.path().join("catalog.json.new"), "{\"format\":\"stream").unwrap();
    let catalog = Catalog::open(directory.path()).unwrap();
    assert_eq!(catalog.snapshot(), before);
    assert!(catalog.secret(&reference).is_err(), "the orphan was swept");
}

#[test]
fn a_torn_or_foreign_file_is_kept_and_refused() {
    for content in ["", "{}", "{\"format\":\"streamgate-catalog\",\"version\":1,\"checksum\":\"0\",\"content\":{}}"] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE);
        fs::write(&path, content).unwrap();
        let error = Catalog::open(directory.path()).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
    }
}

#[test]
fn a_second_server_is_kept_out() {
    let directory = tempfile::tempdir().unwrap();
    let first = Catalog::open(directory.path()).unwrap();
    let error = Catalog::open(directory.path()).err().unwrap();
    assert!(error.message().contains("in use by another server"), "{error}");
    drop(first);
    Catalog::open(directory.path()).unwrap();
}

#[test]
fn secrets_are_encrypted_durable_and_dropped_with_their_table() {
    let directory = tempfile::tempdir().unwrap();
    let catalog = Catalog::open(directory.path()).unwrap();
    let reference = catalog.stage_secret("canary-4711").unwrap();
    assert_eq!(catalog.secret(&reference).unwrap(), "canary-4711");
    catalog.commit(&[create("t", table(&[("p", OptionValue::Secret(reference.clone()))]))]).unwrap();
    drop(catalog);
    for entry in fs::read_dir(directory.path()).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("canary-4711"));
    }
    let catalog = Catalog::open(directory.path()).unwrap();
    assert_eq!(catalog.secret(&reference).unwrap(), "canary-4711");
    catalog.commit(&[drop_table("t")]).unwrap();
    assert!(catalog.secret(&reference).is_err());
}

#[test]
fn secrets_of_a_rolled_back_table_are_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let catalog = Catalog::open(directory.path()).unwrap();
    let reference = catalog.stage_secret("canary").unwrap();
    catalog.discard(&[create("t", table(&[("p", OptionValue::Secret(reference.clone()))]))]);
    assert!(catalog.secret(&reference).is_err());
}
