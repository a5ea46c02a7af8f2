//! Patterns of times: https://www.postgresql.org/docs/16/functions-formatting.html, table 9.27.

use chrono::{Datelike, NaiveDateTime, Timelike};

/// What a pattern prints of.
pub(super) struct Moment {
    year: i64,
    /// From 1; 0 in intervals.
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    micros: i64,
    /// What an interval does not have.
    date: Option<Date>,
    zone: Option<Zone>,
}

struct Date {
    day_of_year: i64,
    /// 1 is Monday.
    weekday: i64,
    iso_year: i64,
    iso_week: i64,
    /// Days since 4714-11-24 BC.
    julian: i64,
}

/// The zone of an instant: its abbreviation, and seconds east of Greenwich.
pub(super) struct Zone {
    pub name: String,
    pub east: i32,
}

impl Moment {
    /// A time of the calendar.
    pub(super) fn of(time: NaiveDateTime, zone: Option<Zone>) -> Self {
        let week = time.iso_week();
        Self {
            year: time.year().into(),
            month: time.month().into(),
            day: time.day().into(),
            hour: time.hour().into(),
            minute: time.minute().into(),
            second: time.second().into(),
            micros: (time.nanosecond() / 1000 % 1_000_000).into(),
            date: Some(Date {
                day_of_year: time.ordinal().into(),
                weekday: time.weekday().number_from_monday().into(),
                iso_year: week.year().into(),
                iso_week: week.week().into(),
                julian: i64::from(time.num_days_from_ce()) + 1_721_425,
            }),
            zone,
        }
    }

    /// An interval: its hours may be more than a day.
    pub(super) fn of_interval(months: i32, days: i32, micros: i64) -> Self {
        Self {
            year: (months / 12).into(),
            month: (months % 12).into(),
            day: days.into(),
            hour: micros / 3_600_000_000,
            minute: micros / 60_000_000 % 60,
            second: micros / 1_000_000 % 60,
            micros: micros % 1_000_000,
            date: None,
            zone: None,
        }
    }
}

/// A part of a pattern.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// As it stands.
    Literal(String),
    /// A field.
    Field {
        /// Upper case, as in [`FIELDS`].
        name: &'static str,
        /// Case of words, by how it was written.
        case: Case,
        /// `FM`: without blanks and zeros that fill up.
        fill: bool,
        /// `TH` or `th` behind it.
        ordinal: Option<Case>,
    },
}

/// How a word is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    Upper,
    Lower,
    /// The first letter is a capital.
    Title,
}

/// Every field, a longer one before those that it begins with.
const FIELDS: &[&str] = &[
    "A.D.", "A.M.", "AD", "AM", "B.C.", "BC", "CC", "DAY", "DDD", "DD", "DY", "D", "FF1", "FF2", "FF3", "FF4", "FF5",
    "FF6", "HH24", "HH12", "HH", "IDDD", "ID", "IW", "IYYY", "IYY", "IY", "I", "J", "MI", "MM", "MONTH", "MON", "MS",
    "OF", "P.M.", "PM", "Q", "RM", "SSSSS", "SSSS", "SS", "TZH", "TZM", "TZ", "US", "WW", "W", "Y,YYY", "YYYY", "YYY",
    "YY", "Y",
];

/// Fields that are no words and whose lower-case form means the same.
fn is_of_words(name: &str) -> bool {
    matches!(
        name,
        "A.D." | "A.M." | "AD" | "AM" | "B.C." | "BC" | "P.M." | "PM" | "DAY" | "DY" | "MONTH" | "MON" | "RM" | "TZ"
    )
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const ROMAN_MONTHS: [&str; 12] = ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"];

/// Width of the names of months and days, filled with blanks.
const NAME_WIDTH: usize = 9;

/// Reads a pattern. Whatever is no field stands for itself.
pub(super) fn parse(pattern: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = pattern;
    let mut fill = true;
    while let Some(char) = rest.chars().next() {
        if let Some(quoted) = rest.strip_prefix('"') {
            rest = take_quoted(quoted, &mut literal);
            continue;
        }
        if let Some(after) = rest.strip_prefix("\\\"") {
            literal.push('"');
            rest = after;
            continue;
        }
        if let Some(after) = strip_word(rest, "FM") {
            (fill, rest) = (false, after);
            continue;
        }
        // Fixed form and translation change nothing where a text is written in English.
        if let Some(after) = strip_word(rest, "FX").or_else(|| strip_word(rest, "TM")) {
            rest = after;
            continue;
        }
        let Some((name, after)) = FIELDS.iter().find_map(|name| Some((*name, strip_word(rest, name)?))) else {
            literal.push(char);
            rest = &rest[char.len_utf8()..];
            continue;
        };
        if !literal.is_empty() {
            parts.push(Part::Literal(std::mem::take(&mut literal)));
        }
        let case = case_of(&rest[..name.len()], name);
        let (ordinal, after) = match after.get(..2) {
            Some("TH") => (Some(Case::Upper), &after[2..]),
            Some("th") => (Some(Case::Lower), &after[2..]),
            _ => (None, after),
        };
        parts.push(Part::Field { name, case, fill, ordinal });
        (fill, rest) = (true, after);
    }
    if !literal.is_empty() {
        parts.push(Part::Literal(literal));
    }
    parts
}

/// What follows a word in either case.
fn strip_word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    text.get(..word.len()).filter(|begin| begin.eq_ignore_ascii_case(word)).map(|_| &text[word.len()..])
}

/// Takes the text up to the closing quote, in which a backslash takes the next character as it is.
fn take_quoted<'a>(quoted: &'a str, literal: &mut String) -> &'a str {
    let mut chars = quoted.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return &quoted[at + 1..],
            '\\' => literal.extend(chars.next().map(|(_, next)| next)),
            _ => literal.push(char),
        }
    }
    ""
}

fn case_of(written: &str, name: &str) -> Case {
    let mut letters = written.chars().filter(char::is_ascii_alphabetic);
    let (first, second) = (letters.next(), letters.next());
    match (first, second) {
        (Some(first), _) if first.is_ascii_lowercase() && is_of_words(name) => Case::Lower,
        (_, Some(second)) if second.is_ascii_lowercase() && is_of_words(name) => Case::Title,
        _ => Case::Upper,
    }
}

/// The text of a moment.
pub(super) fn print(parts: &[Part], moment: &Moment) -> String {
    let mut text = String::new();
    for part in parts {
        match part {
            Part::Literal(literal) => text.push_str(literal),
            Part::Field { name, case, fill, ordinal } => {
                let printed =
                    if is_of_words(name) { word(name, *case, *fill, moment) } else { number(name, *fill, moment) };
                text.push_str(&printed);
                if let (Some(case), Some(suffix)) = (ordinal, ordinal_suffix(&printed)) {
                    text.push_str(&in_case(suffix, *case));
                }
            }
        }
    }
    text
}

fn in_case(word: &str, case: Case) -> String {
    match case {
        Case::Upper => word.to_ascii_uppercase(),
        Case::Lower => word.to_ascii_lowercase(),
        Case::Title => word.to_owned(),
    }
}

/// `st`, `nd`, `rd` or `th` behind a number.
pub(super) fn ordinal_suffix(number: &str) -> Option<&'static str> {
    let mut digits = number.chars().rev().take_while(char::is_ascii_digit);
    let (last, before) = (digits.next()?, digits.next());
    Some(match (before, last) {
        (Some('1'), _) => "th",
        (_, '1') => "st",
        (_, '2') => "nd",
        (_, '3') => "rd",
        _ => "th",
    })
}

fn word(name: &str, case: Case, fill: bool, moment: &Moment) -> String {
    let of_list = |list: &[&'static str], place: i64| {
        usize::try_from(place - 1).ok().and_then(|place| list.get(place)).copied().unwrap_or_default()
    };
    let (word, width) = match name {
        "MONTH" => (of_list(&MONTHS, moment.month), NAME_WIDTH),
        "MON" => (of_list(&MONTHS, moment.month).get(..3).unwrap_or_default(), 0),
        "DAY" => (of_list(&DAYS, moment.date.as_ref().map_or(0, |date| date.weekday)), NAME_WIDTH),
        "DY" => (of_list(&DAYS, moment.date.as_ref().map_or(0, |date| date.weekday)).get(..3).unwrap_or_default(), 0),
        "RM" => (of_list(&ROMAN_MONTHS, moment.month), 4),
        "AM" | "PM" => (if moment.hour.rem_euclid(24) >= 12 { "PM" } else { "AM" }, 0),
        "A.M." | "P.M." => (if moment.hour.rem_euclid(24) >= 12 { "P.M." } else { "A.M." }, 0),
        "AD" | "BC" => (if moment.year <= 0 { "BC" } else { "AD" }, 0),
        "A.D." | "B.C." => (if moment.year <= 0 { "B.C." } else { "A.D." }, 0),
        _ => (moment.zone.as_ref().map_or("", |zone| zone.name.as_str()), 0),
    };
    let word = in_case(word, case);
    if fill && !word.is_empty() { format!("{word:<width$}") } else { word }
}

/// The year as it is counted: there is no year 0, and BC is said apart.
fn counted(year: i64) -> i64 {
    if year <= 0 { 1 - year } else { year }
}

fn number(name: &str, fill: bool, moment: &Moment) -> String {
    let zero = Date { day_of_year: 0, weekday: 0, iso_year: 0, iso_week: 0, julian: 0 };
    let date = moment.date.as_ref().unwrap_or(&zero);
    // In an interval a year is a number like others.
    let is_interval = moment.date.is_none();
    let year = if is_interval { moment.year } else { counted(moment.year) };
    let iso_year = counted(date.iso_year);
    let twelve = if moment.hour % 12 == 0 { 12 } else { moment.hour % 12 };
    let (value, width) = match name {
        "HH" | "HH12" => (twelve, 2),
        "HH24" => (moment.hour, 2),
        "MI" => (moment.minute, 2),
        "SS" => (moment.second, 2),
        "MS" => return padded(moment.micros / 1000, 3, true),
        "US" => return padded(moment.micros, 6, true),
        "FF1" | "FF2" | "FF3" | "FF4" | "FF5" | "FF6" => {
            let digits = usize::from(name.as_bytes()[2] - b'0');
            return format!("{:06}", moment.micros.abs())[..digits].to_owned();
        }
        "SSSS" | "SSSSS" => return ((moment.hour * 60 + moment.minute) * 60 + moment.second).to_string(),
        "Y,YYY" => return format!("{},{:03}", year / 1000, year % 1000),
        "YYYY" => (year, 4),
        "YYY" => (year % 1000, 3),
        "YY" => (year % 100, 2),
        "Y" => (year % 10, 1),
        "IYYY" => (iso_year, 4),
        "IYY" => (iso_year % 1000, 3),
        "IY" => (iso_year % 100, 2),
        "I" => (iso_year % 10, 1),
        "MM" => (moment.month, 2),
        "DDD" => (date.day_of_year, 3),
        "IDDD" => ((date.iso_week - 1) * 7 + date.weekday, 3),
        "DD" => (moment.day, 2),
        "D" => (date.weekday % 7 + 1, 1),
        "ID" => (date.weekday, 1),
        "W" => ((moment.day - 1) / 7 + 1, 1),
        "WW" => ((date.day_of_year - 1) / 7 + 1, 2),
        "IW" => (date.iso_week, 2),
        "CC" => (century(moment.year), 2),
        "J" => (date.julian, 1),
        "Q" => ((moment.month - 1) / 3 + 1, 1),
        _ => return offset(name, moment.zone.as_ref()),
    };
    padded(value, width, fill)
}

fn padded(value: i64, width: usize, fill: bool) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let width = if fill { width } else { 1 };
    format!("{sign}{:0width$}", value.unsigned_abs())
}

fn century(year: i64) -> i64 {
    if year > 0 { (year + 99) / 100 } else { year / 100 - 1 }
}

/// `TZH`, `TZM` and `OF`.
fn offset(name: &str, zone: Option<&Zone>) -> String {
    let east = zone.map_or(0, |zone| zone.east);
    let (sign, minutes) = (if east < 0 { '-' } else { '+' }, east.unsigned_abs() / 60);
    match (name, minutes % 60) {
        ("TZH", _) => format!("{sign}{:02}", minutes / 60),
        ("TZM", minutes) => format!("{minutes:02}"),
        (_, 0) => format!("{sign}{:02}", minutes / 60),
        (_, rest) => format!("{sign}{:02}:{rest:02}", minutes / 60),
    }
}
