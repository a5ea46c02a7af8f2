//! How large a statement may be: refused by its tokens, before anything goes down its tree. What PostgreSQL takes is taken; what
//! is beyond is refused in a sentence. The parser has a limit of its own for how deep it goes, and the resolver one for
//! relations and columns (`resolver`).

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::places::Places;
use crate::error::{Error, Result, SqlState};

/// Calls of the parser that stand within each other: two or three for a level of brackets or of sub-queries.
pub const RECURSION_MAX: usize = 300;
/// Brackets and CASEs that stand within each other.
pub const NESTED_MAX: usize = 100;
/// Operands of a chain of arithmetic or `||`. Those of AND and OR have no limit of their own.
pub const ARITHMETIC_MAX: usize = 10_000;
/// Other operators of one expression that stand on each other (`x::int::text IS NULL = true`).
pub const OPERATORS_MAX: usize = 300;
/// Words, numbers and signs of a statement.
pub const TOKENS_MAX: usize = 500_000;
/// Set operations of a statement.
pub const SET_OPERATIONS_MAX: usize = 2_000;
/// The tree of a text that is no longer than that is not deep.
pub const SHALLOW_BYTES: usize = 2_000;

/// Whether a statement is small for sure: read at once, whoever waits.
pub fn is_small(text: &str) -> bool {
    text.len() <= 500 && text.bytes().filter(|byte| matches!(byte, b'(' | b'[' | b'-' | b'+')).count() <= 6
}

/// Whether a statement reads nothing and calls nothing, so that planning it is a matter of microseconds.
pub fn is_trivial(text: &str) -> bool {
    is_small(text)
        && text.len() <= 100
        && !text.contains(['(', '[', '"', '`'])
        && !text.as_bytes().windows(4).any(|word| word.eq_ignore_ascii_case(b"from"))
}

fn too_complex(what: &str, places: &Places, token: &TokenWithSpan) -> Error {
    Error::invalid(format!("the statement is too complex: {what}"))
        .code(SqlState::StatementTooComplex)
        .at(places.position(token.span.start))
}

/// Refuses what is too large.
///
/// # Errors
/// 54001, with the place from which on it is too much.
pub fn check(tokens: &[TokenWithSpan], places: &Places) -> Result<()> {
    if let Some(token) = tokens.get(TOKENS_MAX) {
        return Err(too_complex(&format!("it has more than {TOKENS_MAX} words and signs"), places, token)
            .hint("Put the values into a table, and join it."));
    }
    let mut levels = vec![Level { opened: Opened::Statement, arithmetic: 0, operators: 0 }];
    let mut set_operations = 0;
    for token in tokens {
        match &token.token {
            Token::LParen | Token::LBracket | Token::LBrace => open(&mut levels, Opened::Bracket, places, token)?,
            Token::RParen | Token::RBracket | Token::RBrace => close(&mut levels, Opened::Bracket),
            Token::Word(word) if word.quote_style.is_none() => {
                let is = |other: &&str| word.value.eq_ignore_ascii_case(other);
                if is(&"case") {
                    open(&mut levels, Opened::Case, places, token)?;
                } else if is(&"end") {
                    close(&mut levels, Opened::Case);
                } else if SET_OPERATIONS.iter().any(is) {
                    set_operations += 1;
                    if set_operations > SET_OPERATIONS_MAX {
                        let what = format!("it has more than {SET_OPERATIONS_MAX} UNION, EXCEPT and INTERSECT");
                        return Err(too_complex(&what, places, token));
                    }
                    restart(&mut levels);
                } else if BEGINNINGS.iter().any(is) {
                    restart(&mut levels);
                } else if OPERATORS.iter().any(is) {
                    count(&mut levels, places, token)?;
                }
            }
            Token::Comma | Token::SemiColon => restart(&mut levels),
            Token::Plus | Token::Minus | Token::Mul | Token::Div | Token::Mod | Token::StringConcat => {
                if let Some(level) = levels.last_mut() {
                    level.arithmetic += 1;
                    // What stands between two of them belongs to one operand.
                    level.operators = 0;
                    if level.arithmetic >= ARITHMETIC_MAX {
                        let what = format!("an expression has more than {ARITHMETIC_MAX} operands");
                        return Err(
                            too_complex(&what, places, token).hint("Put the values into a table, and aggregate it.")
                        );
                    }
                }
            }
            Token::Eq
            | Token::Neq
            | Token::Lt
            | Token::Gt
            | Token::LtEq
            | Token::GtEq
            | Token::DoubleColon
            | Token::Caret
            | Token::Pipe
            | Token::Ampersand
            | Token::Sharp
            | Token::Tilde
            | Token::ShiftLeft
            | Token::ShiftRight
            | Token::Arrow
            | Token::LongArrow
            | Token::CustomBinaryOperator(_) => count(&mut levels, places, token)?,
            _ => {}
        }
    }
    Ok(())
}

const SET_OPERATIONS: [&str; 3] = ["union", "except", "intersect"];
/// Words after which an expression begins anew, or an operand of AND and OR, whose chains are balanced.
const BEGINNINGS: [&str; 15] = [
    "select", "from", "where", "group", "having", "order", "when", "then", "else", "values", "join", "on", "and", "or",
    "as",
];
const OPERATORS: [&str; 12] =
    ["is", "like", "ilike", "similar", "between", "collate", "at", "in", "not", "notnull", "isnull", "operator"];

#[derive(Clone, Copy, PartialEq)]
enum Opened {
    Statement,
    Bracket,
    Case,
}

/// An open bracket, and the operators so far of the expression in it.
struct Level {
    opened: Opened,
    arithmetic: usize,
    operators: usize,
}

fn open(levels: &mut Vec<Level>, opened: Opened, places: &Places, token: &TokenWithSpan) -> Result<()> {
    if levels.len() > NESTED_MAX {
        let what = format!("more than {NESTED_MAX} brackets stand within each other");
        return Err(too_complex(&what, places, token).hint("Name the inner queries in WITH, or use views."));
    }
    // Brackets one behind the other may stand on each other, too: a[1][1].
    if opened == Opened::Bracket && token.token == Token::LBracket {
        count(levels, places, token)?;
    }
    levels.push(Level { opened, arithmetic: 0, operators: 0 });
    Ok(())
}

/// Closes a level, but no bracket that an END does not belong to.
fn close(levels: &mut Vec<Level>, opened: Opened) {
    if levels.last().is_some_and(|level| level.opened == opened) {
        levels.pop();
    } else if opened == Opened::Bracket {
        // A CASE without END: the parser will say so.
        while levels.len() > 1 && levels.pop().is_some_and(|level| level.opened != opened) {}
    }
}

fn restart(levels: &mut [Level]) {
    if let Some(level) = levels.last_mut() {
        level.arithmetic = 0;
        level.operators = 0;
    }
}

fn count(levels: &mut [Level], places: &Places, token: &TokenWithSpan) -> Result<()> {
    if let Some(level) = levels.last_mut() {
        level.operators += 1;
        if level.operators > OPERATORS_MAX {
            let what = format!("more than {OPERATORS_MAX} operators stand on each other");
            return Err(too_complex(&what, places, token));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
