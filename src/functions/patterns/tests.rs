use super::*;

fn similar(text: &str, pattern: &str) -> bool {
    let regex = of_similar(pattern, Some('\\')).unwrap();
    compile(RegexBuilder::new(&regex).dot_matches_new_line(true), pattern).unwrap().is_match(text)
}

#[test]
fn a_pattern_of_sql_describes_the_whole_text() {
    for (text, pattern, expected) in [
        ("3.14", "[0-9]+", false),
        ("314", "[0-9]+", true),
        ("3.14", "[0-9]+.[0-9]+", true),
        ("3x14", "[0-9]+.[0-9]+", false),
        ("abc", "%b%", true),
        ("abc", "_b_", true),
        ("abc", "b", false),
        ("abc", "a|b", false),
        ("abc", "(abc|d)", true),
        ("abc", "a|abc", true),
        ("a\nc", "a_c", true),
        ("a^c$", "a^c$", true),
        ("a%c", r"a\%c", true),
        ("abc", r"a\%c", false),
        ("a]c", "a[]]c", true),
        ("a-c", "a[x-]c", true),
        ("abc", "a[^a-c]c", false),
        ("a&&c", "a[&]{2}c", true),
        ("a[c", "a[[]c", true),
        ("a5c", "a[[:digit:]]c", true),
        ("a5c", r"a\dc", true),
        ("", "%", true),
        ("x", "", false),
    ] {
        assert_eq!(similar(text, pattern), expected, "{text} SIMILAR TO {pattern}");
    }
    for wrong in ["(", "[a", "[[:digit:", "*a"] {
        let read = of_similar(wrong, None).and_then(|regex| compile(&mut RegexBuilder::new(&regex), wrong));
        assert_eq!(read.unwrap_err().sqlstate().code(), "2201B", "{wrong}");
    }
}

#[test]
fn another_escape_becomes_a_backslash() {
    for (pattern, escape, expected) in [
        ("a#%b", Some('#'), r"a\%b"),
        (r"a\b", Some('#'), r"a\\b"),
        (r"a\b", None, r"a\\b"),
        (r"a\%b", Some('\\'), r"a\%b"),
        ("##", Some('#'), r"\#"),
    ] {
        assert_eq!(with_backslash(pattern, escape).unwrap(), expected);
    }
    assert_eq!(with_backslash("a#", Some('#')).unwrap_err().sqlstate().code(), "22025");
}

#[test]
fn replacements_of_postgres_know_groups() {
    assert_eq!(of_postgres(r"<\1|\&|\\|\x|$1>"), r"<${1}|${0}|\|\x|$$1>");
}
