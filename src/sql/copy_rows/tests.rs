use proptest::prelude::*;

use super::*;
use crate::sql::parser::Cursor;

type Rows = Vec<(u64, Vec<Option<String>>)>;

/// Reads in pieces of that many bytes.
fn rows(options: &str, columns: &[&str], bytes: &[u8], piece: usize) -> Result<Rows> {
    let input = CopyInput::parse(&mut Cursor::new(options)?)?;
    let mut reader = CopyRows::new(input, columns.iter().map(|name| (*name).to_owned()).collect());
    let mut rows = Vec::new();
    let mut take = |line, values| {
        rows.push((line, values));
        Ok(())
    };
    for piece in bytes.chunks(piece) {
        reader.push(piece, &mut take)?;
    }
    reader.finish(&mut take)?;
    Ok(rows)
}

fn values(options: &str, columns: &[&str], text: &str) -> Vec<Vec<Option<String>>> {
    let whole = rows(options, columns, text.as_bytes(), usize::MAX).unwrap();
    for piece in 1..4 {
        assert_eq!(rows(options, columns, text.as_bytes(), piece).unwrap(), whole, "{text:?} in pieces of {piece}");
    }
    whole.into_iter().map(|(_, values)| values).collect()
}

fn some(texts: &[&str]) -> Vec<Option<String>> {
    texts.iter().map(|text| (*text != "NULL").then(|| (*text).to_owned())).collect()
}

#[test]
fn text_rows_have_escapes_and_nulls() {
    let text = "1\ta b\n2\t\\N\n3\t\\\\N\\tx\\x41\\101\\q\r\n4\tone\\\ntwo\n5\t\\.\n\\.\nnot read";
    let expected = [
        some(&["1", "a b"]),
        some(&["2", "NULL"]),
        some(&["3", "\\N\txAAq"]),
        some(&["4", "one\ntwo"]),
        some(&["5", "."]),
    ];
    assert_eq!(values("", &["a", "b"], text), expected);
    assert_eq!(values("(DELIMITER '|', NULL '')", &["a", "b"], "|x\\|y\n"), [some(&["NULL", "x|y"])]);
    assert_eq!(values("", &["a"], ""), Vec::<Vec<Option<String>>>::new());
    assert_eq!(values("", &["a"], "\n"), [some(&[""])]);
}

#[test]
fn csv_rows_have_quotes_and_nulls() {
    let text = "a,b\n1,\"x, \"\"y\"\"\"\n,\"\"\n\"two\nlines\",b\"c\"d\r\n";
    let expected = [some(&["1", "x, \"y\""]), some(&["NULL", ""]), some(&["two\nlines", "bcd"])];
    assert_eq!(values("(FORMAT csv, HEADER)", &["a", "b"], text), expected);
    let escaped = "'it\\'s',N\n'a\\\\',\n";
    let options = "(FORMAT csv, QUOTE '''', ESCAPE '\\', NULL 'N')";
    assert_eq!(values(options, &["a", "b"], escaped), [some(&["it's", "NULL"]), some(&["a\\", ""])]);
    let forced = "(FORMAT csv, FORCE_NOT_NULL (a), FORCE_NULL (b))";
    assert_eq!(values(forced, &["a", "b"], ",\"\"\n"), [some(&["", "NULL"])]);
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    for (options, text, code, told) in [
        ("", "1\n", "22P04", "line 1: missing data for column \"b\""),
        ("", "1\t2\n1\t2\t3\n", "22P04", "line 2: extra data after last expected column"),
        ("CSV", "1,\"2\n", "22P04", "line 1: unterminated CSV quoted field"),
        ("", "1\ta\rb\n", "22P04", "line 1: literal carriage return found in data"),
        (
            "(FORMAT csv, HEADER match)",
            "a,c\n",
            "22P04",
            "line 1: column name mismatch in header line field 2: got \"c\", expected \"b\"",
        ),
    ] {
        let error = rows(options, &["a", "b"], text.as_bytes(), 3).unwrap_err();
        assert_eq!((error.sqlstate().code(), error.message()), (code, told), "{text:?}");
    }
    let error = rows("", &["a"], b"\xff\n", 9).unwrap_err();
    assert_eq!(error.sqlstate().code(), "22021");
}

proptest! {
    /// What COPY … TO would write of any texts is read back.
    #[test]
    fn csv_is_read_back(rows_written in proptest::collection::vec(proptest::collection::vec("[a\",\n\\\\ é]{0,5}", 2), 0..5), piece in 1_usize..7) {
        let quoted = |text: &String| format!("\"{}\"", text.replace('"', "\"\""));
        let text: String = rows_written.iter().map(|row| format!("{},{}\n", quoted(&row[0]), quoted(&row[1]))).collect();
        let read = rows("CSV", &["a", "b"], text.as_bytes(), piece).unwrap();
        let read: Vec<Vec<String>> = read.into_iter().map(|(_, values)| values.into_iter().flatten().collect()).collect();
        prop_assert_eq!(read, rows_written);
    }
}
