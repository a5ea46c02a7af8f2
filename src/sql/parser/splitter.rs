//! Splits a message into statements: at semicolons outside of quotes, comments, dollar quotes and statement sets.
//! Knows no grammar beyond that; an unterminated quote or comment is the only thing it refuses.

use crate::error::{Error, Result, SqlState};

/// One statement of a message, with the place where it begins.
#[derive(Debug, Clone)]
pub struct StatementText {
    /// The statement without its semicolon.
    pub text: String,
    /// Characters before it in the message; added to error positions.
    pub offset: usize,
}

/// Splits a message; empty statements are left out.
///
/// # Errors
/// An unterminated quote or comment (42601 with its position).
pub fn split(message: &str) -> Result<Vec<StatementText>> {
    Ok(scan(message)?.0)
}

/// Whether a text begins a statement set that does not end in it: its other statements come one by one.
pub fn opens_statement_set(text: &str) -> bool {
    scan(text).is_ok_and(|(_, is_open)| is_open)
}

/// Words of a statement as far as they tell whether it begins a statement set: the first two, and the last three.
#[derive(Default)]
struct Words {
    first: Vec<String>,
    last: Vec<String>,
}

impl Words {
    fn push(&mut self, word: String) {
        if self.first.len() < 2 {
            self.first.push(word.clone());
        }
        self.last.push(word);
        if self.last.len() > 3 {
            self.last.remove(0);
        }
    }

    fn clear(&mut self) {
        self.first.clear();
        self.last.clear();
    }

    /// `BEGIN STATEMENT SET`, `[EXECUTE] STATEMENT SET BEGIN`, and these behind EXPLAIN and `CREATE JOB … AS`.
    fn begin_a_set(&self) -> bool {
        let words = |words: &[String]| words.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
        let may = match self.first.first().map(String::as_str) {
            Some("BEGIN" | "EXECUTE" | "STATEMENT" | "EXPLAIN") => true,
            Some("CREATE") => self.first.get(1).is_some_and(|word| word == "JOB"),
            _ => false,
        };
        may && matches!(words(&self.last).as_str(), "BEGIN STATEMENT SET" | "STATEMENT SET BEGIN")
    }
}

/// The statements, and whether the last one is a statement set without its end.
fn scan(message: &str) -> Result<(Vec<StatementText>, bool)> {
    let chars: Vec<char> = message.chars().collect();
    let mut statements = Vec::new();
    let mut start = 0;
    let mut at = 0;
    let mut words = Words::default();
    let mut in_set = false;
    let mut has_content = false;
    let mut first = None;
    while at < chars.len() {
        let c = chars[at];
        match c {
            ';' => {
                words.clear();
                at += 1;
                if in_set {
                    continue;
                }
                push(&chars, start, first, at - 1, has_content, &mut statements);
                start = at;
                has_content = false;
                first = None;
                continue;
            }
            '\'' | '"' | '`' => {
                first.get_or_insert(at);
                has_content = true;
                let escapes = c == '\'' && is_escape_string(&chars, at);
                at = quoted_end(&chars, at, c, escapes)?;
                words.push(String::new());
                continue;
            }
            '-' if chars.get(at + 1) == Some(&'-') => {
                while at < chars.len() && chars[at] != '\n' {
                    at += 1;
                }
                continue;
            }
            '/' if chars.get(at + 1) == Some(&'*') => {
                at = comment_end(&chars, at)?;
                continue;
            }
            '$' => {
                if let Some(end) = dollar_end(&chars, at)? {
                    first.get_or_insert(at);
                    has_content = true;
                    at = end;
                    continue;
                }
            }
            _ => {}
        }
        if c.is_alphabetic() || c == '_' {
            first.get_or_insert(at);
            has_content = true;
            let from = at;
            while at < chars.len() && (chars[at].is_alphanumeric() || chars[at] == '_' || chars[at] == '$') {
                at += 1;
            }
            let word: String = chars[from..at].iter().collect::<String>().to_uppercase();
            if in_set && words.first.is_empty() && word == "END" {
                in_set = false;
            }
            words.push(word);
            if !in_set && words.begin_a_set() {
                in_set = true;
                words.clear();
            }
            continue;
        }
        if !c.is_whitespace() {
            first.get_or_insert(at);
            has_content = true;
        }
        at += 1;
    }
    push(&chars, start, first, chars.len(), has_content, &mut statements);
    Ok((statements, in_set))
}

fn push(
    chars: &[char],
    start: usize,
    first: Option<usize>,
    end: usize,
    has_content: bool,
    statements: &mut Vec<StatementText>,
) {
    if has_content {
        let start = first.unwrap_or(start);
        let text: String = chars[start..end].iter().collect();
        statements.push(StatementText { text: text.trim_end().to_owned(), offset: start });
    }
}

fn unterminated(what: &str, at: usize) -> Error {
    Error::invalid(format!("unterminated {what}")).code(SqlState::SyntaxError).at(at + 1)
}

fn is_escape_string(chars: &[char], quote: usize) -> bool {
    quote > 0
        && matches!(chars[quote - 1], 'e' | 'E')
        && (quote < 2 || !(chars[quote - 2].is_alphanumeric() || chars[quote - 2] == '_'))
}

fn quoted_end(chars: &[char], start: usize, quote: char, escapes: bool) -> Result<usize> {
    let mut at = start + 1;
    while at < chars.len() {
        if escapes && chars[at] == '\\' {
            at += 2;
        } else if chars[at] == quote {
            if chars.get(at + 1) == Some(&quote) {
                at += 2;
            } else {
                return Ok(at + 1);
            }
        } else {
            at += 1;
        }
    }
    Err(unterminated(if quote == '\'' { "quoted string" } else { "quoted identifier" }, start))
}

fn comment_end(chars: &[char], start: usize) -> Result<usize> {
    let mut depth = 0;
    let mut at = start;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => {
                depth += 1;
                at += 2;
            }
            ('*', Some('/')) => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return Ok(at);
                }
            }
            _ => at += 1,
        }
    }
    Err(unterminated("/* comment", start))
}

/// The end of a dollar quote that begins here; `None` for a parameter or a lone dollar sign.
fn dollar_end(chars: &[char], start: usize) -> Result<Option<usize>> {
    if start > 0 && (chars[start - 1].is_alphanumeric() || chars[start - 1] == '_') {
        return Ok(None);
    }
    let mut at = start + 1;
    while at < chars.len() && (chars[at].is_alphanumeric() || chars[at] == '_') {
        if at == start + 1 && chars[at].is_ascii_digit() {
            return Ok(None);
        }
        at += 1;
    }
    if chars.get(at) != Some(&'$') {
        return Ok(None);
    }
    let tag = &chars[start..=at];
    let mut at = at + 1;
    while at + tag.len() <= chars.len() {
        if &chars[at..at + tag.len()] == tag {
            return Ok(Some(at + tag.len()));
        }
        at += 1;
    }
    Err(unterminated("dollar-quoted string", start))
}

#[cfg(test)]
mod tests;
