//! Whole numbers in other bases, 0x1F, 0o17 and 0b11, as PostgreSQL 16 reads them, and words that stick to a number, which are an error:
//! sqlparser takes `0b11` for a zero with an alias, and `0x1F` for bytes.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::places::Places;
use crate::error::{Error, Result, SqlState};

/// Reads such numbers in a statement's tokens.
///
/// # Errors
/// A word or a digit that does not belong to the number before it.
pub fn read(tokens: &mut Vec<TokenWithSpan>, places: &Places) -> Result<()> {
    // A value of SET may be written without quotes: 5s.
    let is_set = matches!(&tokens.first().map(|first| &first.token), Some(Token::Word(word)) if word.value.eq_ignore_ascii_case("SET"));
    if is_set || !tokens.iter().any(|token| matches!(token.token, Token::Number(..) | Token::HexStringLiteral(_))) {
        return Ok(());
    }
    let mut taken = Vec::new();
    for at in 0..tokens.len() {
        let span = tokens[at].span;
        let next = tokens.get(at + 1).filter(|next| next.span.start == span.end);
        match &tokens[at].token {
            // X'1F' has two quotes more.
            Token::HexStringLiteral(digits)
                if span.end.column.saturating_sub(span.start.column) == digits.len() as u64 + 2 =>
            {
                let number =
                    parse(digits, 16).ok_or_else(|| junk(&format!("0x{digits}")).at(places.position(span.start)))?;
                if matches!(next.map(|next| &next.token), Some(Token::Word(_))) {
                    return Err(junk(&format!("0x{digits}")).at(places.position(span.start)));
                }
                tokens[at].token = Token::Number(number, false);
            }
            Token::Number(text, _) => {
                if let Some(Token::Word(word)) = next.map(|next| &next.token)
                    && word.quote_style.is_none()
                {
                    let base = match word.value.get(..1) {
                        Some("b" | "B") if text == "0" => Some(2),
                        Some("o" | "O") if text == "0" => Some(8),
                        _ => None,
                    };
                    let error = || junk(&format!("{text}{}", word.value)).at(places.position(span.start));
                    let number = base.and_then(|base| parse(&word.value[1..], base)).ok_or_else(error)?;
                    let end = tokens[at + 1].span.end;
                    tokens[at].token = Token::Number(number, false);
                    tokens[at].span.end = end;
                    taken.push(at + 1);
                }
            }
            _ => {}
        }
    }
    if !taken.is_empty() {
        let mut place = 0..;
        let mut taken = taken.into_iter().peekable();
        tokens.retain(|_| taken.next_if_eq(&place.next().unwrap_or_default()).is_none());
    }
    Ok(())
}

fn parse(digits: &str, base: u32) -> Option<String> {
    let digits: String = digits.chars().filter(|c| *c != '_').collect();
    u128::from_str_radix(&digits, base).ok().map(|number| number.to_string())
}

fn junk(text: &str) -> Error {
    Error::invalid(format!("trailing junk after numeric literal at or near \"{text}\"")).code(SqlState::SyntaxError)
}
