//! A strict reader of Prometheus' text format and of OpenMetrics: what it takes, any scraper takes. Panics with the line that is wrong.

use std::collections::BTreeMap;

/// A series: its name, and its labels as they are written, sorted.
pub type Series = (String, BTreeMap<String, String>);

/// What was scraped.
#[derive(Debug, Default)]
pub struct Scrape {
    pub values: BTreeMap<Series, f64>,
    /// Type by family.
    pub types: BTreeMap<String, String>,
}

impl Scrape {
    /// Reads a whole answer.
    pub fn read(text: &str, is_open: bool) -> Self {
        let mut scrape = Scrape::default();
        let (mut family, mut told) = (String::new(), Vec::new());
        let text = match is_open {
            true => text.strip_suffix("# EOF\n").expect("OpenMetrics ends with # EOF"),
            false => text.strip_suffix('\n').map(|_| text).expect("the last line ends"),
        };
        for line in text.lines() {
            if let Some(comment) = line.strip_prefix("# ") {
                let (word, rest) = comment.split_once(' ').expect(line);
                let (name, rest) = rest.split_once(' ').expect(line);
                if name != family {
                    assert!(!scrape.types.contains_key(name), "the family comes twice: {line}");
                    assert_eq!(word, "HELP", "a family begins with its help: {line}");
                    (family, told) = (name.to_owned(), Vec::new());
                }
                assert!(!told.contains(&word.to_owned()), "said twice: {line}");
                told.push(word.to_owned());
                match word {
                    "HELP" => check_escapes(rest, if is_open { "\\n\"" } else { "\\n" }),
                    "TYPE" => {
                        assert!(["counter", "gauge", "histogram"].contains(&rest), "{line}");
                        scrape.types.insert(name.to_owned(), rest.to_owned());
                    }
                    "UNIT" => assert!(is_open && name.ends_with(&format!("_{rest}")), "{line}"),
                    _ => panic!("an unknown word: {line}"),
                }
                continue;
            }
            let (name, labels, value) = sample(line);
            let kind = scrape.types.get(&family).unwrap_or_else(|| panic!("no type before: {line}")).clone();
            let suffix = name.strip_prefix(&family).unwrap_or_else(|| panic!("not of {family}: {line}"));
            let expected: &[&str] = match (kind.as_str(), is_open) {
                ("histogram", _) => &["_bucket", "_sum", "_count"],
                ("counter", true) => &["_total"],
                _ => &[""],
            };
            assert!(expected.contains(&suffix), "{line}");
            assert_eq!(suffix == "_bucket", labels.contains_key("le"), "{line}");
            if kind == "counter" {
                assert!(value >= 0.0 && name.ends_with("_total"), "{line}");
            }
            assert!(scrape.values.insert((name, labels), value).is_none(), "a series comes twice: {line}");
        }
        scrape.check_histograms();
        scrape
    }

    /// The value of a series.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = labels.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect();
        self.values.get(&(name.to_owned(), labels)).copied()
    }

    /// Whether there is a series of that name, whatever its labels.
    pub fn has(&self, name: &str) -> bool {
        self.values.keys().any(|(known, _)| known == name)
    }

    fn check_histograms(&self) {
        for family in self.types.iter().filter(|(_, kind)| *kind == "histogram").map(|(family, _)| family) {
            let bucket = format!("{family}_bucket");
            let mut buckets: Vec<(f64, f64)> = self
                .values
                .iter()
                .filter(|((name, _), _)| *name == bucket)
                .map(|((_, labels), value)| (labels["le"].trim_start_matches('+').parse().unwrap(), *value))
                .collect();
            buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
            assert!(buckets.windows(2).all(|pair| pair[0].1 <= pair[1].1), "{family}: {buckets:?}");
            let last = buckets.last().unwrap();
            assert!(last.0.is_infinite(), "{family} has no bucket for all");
            assert_eq!(self.value(&format!("{family}_count"), &[]), Some(last.1), "{family}");
            assert!(self.value(&format!("{family}_sum"), &[]).is_some(), "{family}");
        }
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_')
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

fn check_escapes(text: &str, known: &str) {
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter == '\\' {
            let escaped = letters.next().expect(text);
            assert!(known.contains(escaped), "{text}");
        }
    }
}

/// `name{label="value",…} number`
fn sample(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let end = line.find(['{', ' ']).expect(line);
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, after) = rest.split_once("=\"").expect(line);
            assert!(is_name(label), "{line}");
            let mut value = String::new();
            let mut letters = after.char_indices();
            let end = loop {
                let (at, letter) = letters.next().expect(line);
                match letter {
                    '"' => break at + 1,
                    '\\' => value.push(match letters.next().expect(line).1 {
                        'n' => '\n',
                        same @ ('\\' | '"') => same,
                        other => panic!("\\{other} is no escape: {line}"),
                    }),
                    other => value.push(other),
                }
            };
            assert!(labels.insert(label.to_owned(), value).is_none(), "a label comes twice: {line}");
            rest = &after[end..];
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => break,
            }
        }
        rest = rest.strip_prefix('}').expect(line);
    }
    let number = rest.strip_prefix(' ').expect(line);
    (name.to_owned(), labels, number.trim_start_matches('+').parse().expect(line))
}

#[test]
fn what_no_scraper_takes_is_seen() {
    let good = "# HELP a_total \\\\ x\n# TYPE a_total counter\na_total{b=\"c\\\"\"} 1\n";
    assert_eq!(Scrape::read(good, false).value("a_total", &[("b", "c\"")]), Some(1.0));
    for bad in [
        "# TYPE a_total counter\na_total 1\n",
        "# HELP a_total x\n# TYPE a_total counter\na_total 1\na_total 2\n",
        "# HELP a_total x\n# HELP a_total x\n# TYPE a_total counter\n",
        "# HELP a_total x\n# TYPE a_total counter\na_total{b=\"c} 1\n",
        "# HELP a_total x\n# TYPE a_total counter\nb_total 1\n",
        "# HELP a_total x\n# TYPE a_total counter\na_total{b=\"\\c\"} 1\n",
        "# HELP a_total \\c\n# TYPE a_total counter\na_total 1\n",
    ] {
        assert!(std::panic::catch_unwind(|| Scrape::read(bad, false)).is_err(), "{bad}");
    }
}
