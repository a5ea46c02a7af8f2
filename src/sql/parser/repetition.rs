//! How often planning goes through a part of a statement: COALESCE becomes a CASE and BETWEEN two comparisons, each with its operand
//! twice; BETWEEN SYMMETRIC is written as two of them; whether a cast may be NULL is asked of its operand twice. So what stands in
//! brackets or a CASE in their place costs double with every level. Refused by tokens, before it costs.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::places::Places;
use crate::error::{Error, Result, SqlState};

/// Levels that double what they hold: four thousand copies of the innermost one.
const DOUBLINGS_MAX: usize = 12;
/// Functions whose arguments are written more than once.
const FUNCTIONS: [&str; 4] = ["coalesce", "ifnull", "nvl", "row"];
const CASTS: [&str; 2] = ["cast", "try_cast"];
/// Operators whose left operand is.
const OPERATORS: [&str; 7] = ["between", "in", "like", "ilike", "similar", "distinct", "regexp"];
/// Behind BETWEEN: all three operands are written twice.
const SYMMETRIC: &str = "symmetric";
/// Words that compute without doubling.
const LOGIC: [&str; 6] = ["and", "or", "not", "is", "case", "at"];
/// Words between an operand and its operator.
const BETWEEN_OPERAND_AND_OPERATOR: [&str; 2] = ["not", "is"];

/// An open bracket, or CASE.
#[derive(Clone, Copy, Default)]
struct Level {
    opened: Opened,
    /// Whether anything is computed in it but casts: a cast of nothing but casts costs no double.
    computes: bool,
    /// Doublings of what has been closed within it, at most.
    inner: usize,
    /// How often BETWEEN SYMMETRIC stands in it: the operand of one may be another one, without brackets.
    symmetric: usize,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Opened {
    /// A bracket by itself.
    #[default]
    Plain,
    /// The arguments of a cast.
    Cast,
    /// The arguments of one of the functions above.
    Doubling,
    /// Those of another one.
    Call,
    Case,
}

impl Level {
    fn of(opened: Opened) -> Self {
        Self { opened, ..Self::default() }
    }

    /// What is doubled, once this ends.
    fn doublings(&self) -> usize {
        let doubles = self.opened == Opened::Doubling || (self.opened == Opened::Cast && self.computes);
        self.inner + self.symmetric + usize::from(doubles)
    }
}

/// What has just ended with a bracket, or END.
#[derive(Clone, Copy)]
struct Operand {
    doublings: usize,
    /// Whether a cast of it costs double.
    computes: bool,
}

/// Refuses what would be written too often. The tokens are those of a statement without its white space.
///
/// # Errors
/// 54001, with the place from which on it is too much.
pub fn check(tokens: &[TokenWithSpan], places: &Places) -> Result<()> {
    let mut levels = vec![Level::default()];
    let mut next = Opened::Plain;
    let mut operand: Option<Operand> = None;
    let mut is_behind_between = false;
    for token in tokens {
        let was_between = std::mem::take(&mut is_behind_between);
        let (opened, was_operand) = (std::mem::take(&mut next), operand);
        if let Some(level) = levels.last_mut() {
            level.computes |= computes(&token.token, opened);
        }
        match &token.token {
            Token::LParen | Token::LBracket => {
                operand = None;
                levels.push(Level::of(opened));
            }
            Token::RParen | Token::RBracket => {
                let closed = if levels.len() > 1 { levels.pop() } else { None }.unwrap_or_default();
                let doublings = closed.doublings();
                note(&mut levels, doublings, places, token)?;
                let computes = match closed.opened {
                    Opened::Plain => closed.computes,
                    Opened::Cast => false,
                    Opened::Doubling | Opened::Call | Opened::Case => true,
                };
                if let Some(level) = levels.last_mut() {
                    level.computes |= computes;
                }
                operand = Some(Operand { doublings, computes });
            }
            Token::DoubleColon => {
                if let Some(Operand { doublings, computes: true }) = was_operand {
                    note(&mut levels, doublings + 1, places, token)?;
                    operand = Some(Operand { doublings: doublings + 1, computes: false });
                }
            }
            Token::Word(word) if word.quote_style.is_none() => {
                let is = |other: &&str| word.value.eq_ignore_ascii_case(other);
                next = match &word.value {
                    _ if FUNCTIONS.iter().any(is) => Opened::Doubling,
                    _ if CASTS.iter().any(is) => Opened::Cast,
                    _ => Opened::Call,
                };
                is_behind_between = is(&"between");
                if was_between && is(&SYMMETRIC) {
                    if let Some(level) = levels.last_mut() {
                        level.symmetric += 1;
                    }
                    note(&mut levels, 0, places, token)?;
                }
                if is(&"case") {
                    levels.push(Level::of(Opened::Case));
                    operand = None;
                } else if is(&"end") && levels.last().is_some_and(|level| level.opened == Opened::Case) {
                    let doublings = levels.pop().unwrap_or_default().doublings();
                    note(&mut levels, doublings, places, token)?;
                    operand = Some(Operand { doublings, computes: true });
                } else if let Some(Operand { doublings, .. }) = was_operand {
                    if OPERATORS.iter().any(is) {
                        note(&mut levels, doublings + 1, places, token)?;
                        operand = None;
                    } else if !BETWEEN_OPERAND_AND_OPERATOR.iter().any(is) && !is_type(&word.value) {
                        operand = None;
                    }
                }
            }
            _ => operand = None,
        }
    }
    Ok(())
}

/// Whether a token computes something, or opens what does: a cast of it costs double.
fn computes(token: &Token, opened: Opened) -> bool {
    match token {
        Token::LParen | Token::LBracket => opened != Opened::Cast && opened != Opened::Plain,
        Token::Word(word) => OPERATORS.iter().chain(&LOGIC).any(|other| word.value.eq_ignore_ascii_case(other)),
        Token::RParen
        | Token::RBracket
        | Token::DoubleColon
        | Token::Comma
        | Token::Period
        | Token::Number(..)
        | Token::SingleQuotedString(_) => false,
        _ => true,
    }
}

/// Whether a word may be a type behind `::`: whatever is no keyword that begins something else.
fn is_type(word: &str) -> bool {
    const OTHERS: [&str; 8] = ["and", "or", "as", "from", "where", "then", "else", "when"];
    !OTHERS.iter().any(|other| word.eq_ignore_ascii_case(other))
}

fn note(levels: &mut [Level], doublings: usize, places: &Places, token: &TokenWithSpan) -> Result<()> {
    let here = levels.last().map_or(0, |level| level.inner.max(doublings) + level.symmetric);
    if here > DOUBLINGS_MAX {
        return Err(Error::invalid(format!(
            "the statement is too complex: more than {DOUBLINGS_MAX} casts, COALESCE, ROW, BETWEEN, IN or LIKE stand within each other"
        ))
        .code(SqlState::StatementTooComplex)
        .detail("Planning goes through their operands twice, and through those of these again.")
        .hint("Name the inner values in a sub-query or WITH; COALESCE takes any number of arguments.")
        .at(places.position(token.span.start)));
    }
    if let Some(level) = levels.last_mut() {
        level.inner = level.inner.max(doublings);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
