use super::*;

fn changes(entries: &[(&str, Option<&str>)]) -> TableChanges {
    let mut changes = TableChanges::default();
    for (key, value) in entries {
        changes.set(key.as_bytes().to_vec(), value.map(|value| value.as_bytes().to_vec()));
    }
    changes
}

fn of(tables: &[(&str, TableChanges)]) -> BTreeMap<String, TableChanges> {
    tables.iter().map(|(id, changes)| ((*id).to_owned(), changes.clone())).collect()
}

/// What a table holds: `key=value …`.
fn rows(store: &LocalStore, id: &str) -> String {
    let Some(snapshot) = store.snapshot().unwrap() else { return "nothing was ever written".to_owned() };
    let Some(table) = LocalStore::table(&snapshot, id).unwrap() else { return String::new() };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let entries = table.range::<&[u8]>(..).unwrap().map(Result::unwrap);
    entries.map(|(key, value)| format!("{}={}", text(key.value()), text(value.value()))).collect::<Vec<_>>().join(" ")
}

#[test]
fn what_was_committed_is_there_when_the_file_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("local").join("rows.redb");
    let store = LocalStore::open(path.clone()).unwrap();
    assert_eq!(rows(&store, "t"), "nothing was ever written");
    assert!(!path.exists());
    store
        .commit(&of(&[("t", changes(&[("b", Some("2")), ("a", Some("1"))])), ("u", changes(&[("c", Some("3"))]))]))
        .unwrap();
    store.commit(&of(&[("t", changes(&[("b", None), ("d", Some("4"))]))])).unwrap();
    drop(store);
    let store = LocalStore::open(path).unwrap();
    assert_eq!((rows(&store, "t"), rows(&store, "u")), ("a=1 d=4".to_owned(), "c=3".to_owned()));
}

#[test]
fn an_emptied_table_has_what_was_added_since() {
    let store = LocalStore::in_memory();
    store.commit(&of(&[("t", changes(&[("a", Some("1"))]))])).unwrap();
    let mut emptied = changes(&[("b", Some("2"))]);
    emptied.clear();
    emptied.set(b"c".to_vec(), Some(b"3".to_vec()));
    let before = store.snapshot().unwrap().unwrap();
    store.commit(&of(&[("t", emptied)])).unwrap();
    assert_eq!(rows(&store, "t"), "c=3");
    // Whoever reads goes on with what was there.
    let table = LocalStore::table(&before, "t").unwrap().unwrap();
    assert!(table.get_owned(b"a".as_slice()).unwrap().is_some());
}

#[test]
fn rows_of_unknown_tables_are_forgotten() {
    let store = LocalStore::in_memory();
    store.keep_only(&|_| false).unwrap();
    store.commit(&of(&[("t", changes(&[("a", Some("1"))])), ("u", changes(&[("b", Some("2"))]))])).unwrap();
    store.keep_only(&|id| id == "u").unwrap();
    assert_eq!((rows(&store, "t"), rows(&store, "u")), (String::new(), "b=2".to_owned()));
}

#[test]
fn a_file_that_is_none_of_redb_is_an_error_and_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.redb");
    std::fs::write(&path, b"something else").unwrap();
    assert!(LocalStore::open(path.clone()).is_err());
    assert_eq!(std::fs::read(&path).unwrap(), b"something else");
}
