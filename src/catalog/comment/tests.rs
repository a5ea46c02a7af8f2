use super::*;

/// A database as it was stored before functions, databases and columns of views had comments.
const OLD: &str = r#"{"schemas":{"public":{"comment":null,"tables":{},"views":{"v":{"oid":16384,"query":"SELECT 1","columns":[["a","INT"],["b","INT"]],"comment":null}},"functions":{"f":{"oid":16385,"parameters":[],"returns":"INT","body":"SELECT 1"}}}}}"#;

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn column(name: &str, column: &str) -> Commented {
    Commented::Column { schema: "public".into(), name: name.into(), column: column.into() }
}

fn view(name: &str) -> Commented {
    Commented::Relation { schema: "public".into(), name: name.into() }
}

#[test]
fn an_older_file_is_read_and_without_comments_written_as_it_was() {
    let old: DatabaseEntry = serde_json::from_str(OLD).unwrap();
    assert_eq!(serde_json::to_string(&old).unwrap(), OLD);
    let mut database = old.clone();
    let function = Commented::Function { schema: "public".into(), name: "f".into() };
    let all =
        [Commented::Database, Commented::Schema { schema: "public".into() }, view("v"), column("v", "b"), function];
    for of in &all {
        set(&mut database, of, text("said")).unwrap();
    }
    let stored = serde_json::to_string(&database).unwrap();
    assert_eq!(stored.matches("said").count(), all.len());
    assert_eq!(serde_json::from_str::<DatabaseEntry>(&stored).unwrap(), database);
    assert_eq!(database.schemas["public"].views["v"].column_comments, [None, text("said")]);
}

#[test]
fn what_is_not_there_has_no_comment() {
    let mut database: DatabaseEntry = serde_json::from_str(OLD).unwrap();
    let before = database.clone();
    let absent = [
        (Commented::Schema { schema: "absent".into() }, "3F000"),
        (view("absent"), "42P01"),
        (column("absent", "a"), "42P01"),
        (column("v", "c"), "42703"),
        (Commented::Function { schema: "public".into(), name: "absent".into() }, "42883"),
    ];
    for (of, code) in absent {
        assert_eq!(set(&mut database, &of, text("said")).unwrap_err().sqlstate().code(), code, "{of}");
    }
    assert_eq!(database, before);
}

#[test]
fn a_view_keeps_the_comments_of_columns_by_their_names() {
    let mut database: DatabaseEntry = serde_json::from_str(OLD).unwrap();
    set(&mut database, &view("v"), text("of the view")).unwrap();
    set(&mut database, &column("v", "b"), text("of b")).unwrap();
    let old = database.schemas["public"].views["v"].clone();
    let columns = vec![("b".to_owned(), "INT".to_owned()), ("c".to_owned(), "INT".to_owned())];
    let mut new = ViewEntry { comment: None, columns, column_comments: Vec::new(), ..old.clone() };
    keep_of_view(&mut new, &old);
    assert_eq!((new.comment.clone(), new.column_comments.clone()), (text("of the view"), vec![text("of b"), None]));
    new.comment = text("its own");
    new.columns.remove(0);
    keep_of_view(&mut new, &old);
    assert_eq!((new.comment, new.column_comments), (text("its own"), Vec::new()));
}
