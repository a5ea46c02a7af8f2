//! Which command a text is, for log lines: one of a fixed list, whatever the text says. Reads no further than the first words, so
//! that nothing of a statement that cannot be read, or of its values, gets into the log.

/// What a text is that begins with no known command.
const UNKNOWN: &str = "unknown";

/// Commands; of those that begin alike the longer ones first.
const COMMANDS: &[&str] = &[
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "TRUNCATE",
    "WITH",
    "VALUES",
    "TABLE",
    "BEGIN STATEMENT SET",
    "BEGIN",
    "START TRANSACTION",
    "COMMIT",
    "END",
    "ROLLBACK",
    "ABORT",
    "SAVEPOINT",
    "RELEASE",
    "SET ROLE",
    "SET SESSION AUTHORIZATION",
    "SET",
    "RESET",
    "SHOW",
    "CREATE TABLE",
    "CREATE VIEW",
    "CREATE SCHEMA",
    "CREATE DATABASE",
    "CREATE FUNCTION",
    "CREATE JOB",
    "CREATE ROLE",
    "CREATE USER",
    "CREATE",
    "DROP TABLE",
    "DROP VIEW",
    "DROP SCHEMA",
    "DROP DATABASE",
    "DROP FUNCTION",
    "DROP JOB",
    "DROP ROLE",
    "DROP USER",
    "DROP",
    "ALTER ROLE",
    "ALTER USER",
    "ALTER",
    "REASSIGN",
    "GRANT",
    "REVOKE",
    "PAUSE JOB",
    "RESUME JOB",
    "STOP JOB",
    "EXPLAIN",
    "DESCRIBE",
    "DESC",
    "USE",
    "PREPARE",
    "EXECUTE STATEMENT SET",
    "EXECUTE",
    "DEALLOCATE",
    "DISCARD",
    "STATEMENT SET",
    "COPY",
    "DECLARE",
    "FETCH",
    "MOVE",
    "CLOSE",
    "COMMENT",
    "LISTEN",
    "NOTIFY",
    "UNLISTEN",
];

/// Words that may stand between CREATE or DROP and what is created.
const BETWEEN: [&str; 7] = ["OR", "REPLACE", "TEMPORARY", "TEMP", "LOCAL", "GLOBAL", "SYSTEM"];

/// The command of a statement, `unknown` if it is none of the list.
pub fn command_of(text: &str) -> &'static str {
    let is = |command: &&str| {
        let mut rest = text;
        command.split(' ').all(|wanted| {
            loop {
                let (word, after) = first_word(rest);
                rest = after;
                if word.eq_ignore_ascii_case(wanted) {
                    return true;
                }
                if !BETWEEN.iter().any(|between| word.eq_ignore_ascii_case(between)) {
                    return false;
                }
            }
        })
    };
    COMMANDS.iter().copied().find(is).unwrap_or(UNKNOWN)
}

/// The first word of a text, empty if there is none, and what comes after it. Blanks, comments and brackets before it are passed over.
fn first_word(text: &str) -> (&str, &str) {
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '(');
        rest = if let Some(comment) = rest.strip_prefix("--") {
            comment.split_once('\n').map_or("", |(_, after)| after)
        } else if let Some(comment) = rest.strip_prefix("/*") {
            after_comment(comment)
        } else {
            break;
        };
    }
    rest.split_at(rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len()))
}

/// What comes after a comment that has begun; comments may stand in comments.
fn after_comment(text: &str) -> &str {
    let mut depth = 1;
    let mut rest = text;
    while let Some(at) = rest.find(['*', '/']) {
        let mark = &rest[at..];
        let step = if mark.starts_with("*/") {
            depth -= 1;
            2
        } else if mark.starts_with("/*") {
            depth += 1;
            2
        } else {
            1
        };
        rest = &mark[step..];
        if depth == 0 {
            return rest;
        }
    }
    ""
}

#[cfg(test)]
mod tests;
