//! Which options of WITH are secrets: kept apart, encrypted, shown as `******`.

use std::borrow::Cow;

use crate::connectors::is_secret_option;

/// What stands for a secret wherever options are shown.
pub const MASK: &str = "******";

/// Names that no connector declares, but that hold secrets all the same.
const OTHER_SECRETS: &[&str] = &["aws.credentials.access_key_id", "aws.credentials.secret_access_key"];

/// Whether an option holds a secret: it is listed, or its name says so.
pub fn is_secret(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    is_secret_option(name)
        || OTHER_SECRETS.contains(&lower.as_str())
        || ["password", "secret", "token", "jaas", "private.key", "private_key"].iter().any(|word| {
            lower.rsplit('.').next().is_some_and(|last| last.contains(word)) || lower.contains(&format!(".{word}"))
        })
}

/// A text without what stands behind the name of a role that it makes or changes: a password may be written in many ways, also in wrong ones.
pub fn without_password(text: &str) -> Cow<'_, str> {
    let is_word = |word: &str, known: &[&str]| known.iter().any(|known| word.eq_ignore_ascii_case(known));
    let (mut rest, mut makes) = (text, false);
    while let Some((word, after)) = next_word(rest) {
        if makes && is_word(word, &["role", "user", "group"]) {
            let behind_name = next_name(after);
            if behind_name.trim_matches([' ', '\t', '\r', '\n', ';']).is_empty() {
                return Cow::Borrowed(text);
            }
            return Cow::Owned(format!("{} {MASK}", &text[..text.len() - behind_name.len()]));
        }
        makes = is_word(word, &["create", "alter"]);
        rest = after;
    }
    Cow::Borrowed(text)
}

/// The next word, and what stands behind it. Comments are passed over.
fn next_word(text: &str) -> Option<(&str, &str)> {
    let is_part = |char: char| char.is_alphanumeric() || char == '_';
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(|char: char| !is_part(char) && char != '/' && char != '-');
        if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.split_once("*/").map_or("", |(_, after)| after);
        } else if let Some(comment) = rest.strip_prefix("--") {
            rest = comment.split_once('\n').map_or("", |(_, after)| after);
        } else if rest.starts_with(['/', '-']) {
            rest = &rest[1..];
        } else {
            break;
        }
    }
    let end = rest.find(|char| !is_part(char)).unwrap_or(rest.len());
    (end > 0).then(|| rest.split_at(end))
}

/// What stands behind the name that comes next, with or without quotes.
fn next_name(text: &str) -> &str {
    let name = text.trim_start();
    match name.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"').map_or("", |(_, after)| after),
        None => {
            let end =
                name.find(|char: char| !char.is_alphanumeric() && !matches!(char, '_' | '$')).unwrap_or(name.len());
            &name[end..]
        }
    }
}

/// Replaces the values of secret options in a statement's text: `'aws…secretkey' = 'x'` becomes `'…' = '******'`.
pub fn mask(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut masked = String::with_capacity(text.len());
    let mut at = 0;
    let mut last_string: Option<String> = None;
    let mut after_equals = false;
    while at < chars.len() {
        if chars[at] != '\'' {
            if chars[at] == '=' {
                after_equals = true;
            } else if !chars[at].is_whitespace() {
                last_string = None;
                after_equals = false;
            }
            masked.push(chars[at]);
            at += 1;
            continue;
        }
        let from = at;
        at += 1;
        while at < chars.len() {
            if chars[at] == '\'' {
                if chars.get(at + 1) != Some(&'\'') {
                    break;
                }
                at += 1;
            }
            at += 1;
        }
        at = (at + 1).min(chars.len());
        let literal: String = chars[from..at].iter().collect();
        let content = literal.trim_matches('\'').to_owned();
        if after_equals && last_string.as_deref().is_some_and(is_secret) && !content.trim().is_empty() {
            masked.push_str(&format!("'{MASK}'"));
        } else {
            masked.push_str(&literal);
        }
        last_string = Some(content);
        after_equals = false;
    }
    masked
}
