//! Which options of WITH are secrets: kept apart, encrypted, shown as `******`.

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
