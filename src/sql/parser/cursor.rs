//! A cursor over the tokens of a statement.
//!
//! Our own statements are read token by token (see `statements`), queries are handed to sqlparser. Positions are characters from 1
//! within the statement. Hints (`/*+ … */`) are taken out of the token stream and kept by the place of the word before them:
//! sqlparser would drop them as comments.

use datafusion::sql::sqlparser::ast::{self, Ident};
use datafusion::sql::sqlparser::dialect::{Dialect, Precedence};
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer, Whitespace};

use super::dialect::{DIALECT, effort};
use super::hints::Hints;
use super::places::Places;
use super::{balance, numbers, repetition, statement_size};
use crate::error::{Error, Result, SqlState};
use crate::options::parse_duration;

/// Reads a query alone: the text of a view or of a function's body.
///
/// # Errors
/// A syntax error (42601 with position), or a construct that is refused (0A000).
pub fn parse_query(text: &str) -> Result<(Box<ast::Query>, Hints)> {
    let mut cursor = Cursor::new(text)?;
    let query = cursor.query()?;
    cursor.end()?;
    Ok((query, cursor.hints))
}

/// A place in a statement's tokens. Reads sqlparser's grammar where that is wanted, ours otherwise.
pub struct Cursor<'a> {
    parser: Parser<'static>,
    text: &'a str,
    tokens: usize,
    places: Places,
    /// The hints of the statement.
    pub hints: Hints,
}

impl<'a> Cursor<'a> {
    /// Tokenizes a statement.
    ///
    /// # Errors
    /// A text that has no tokens, a hint that is refused, a construct that is not implemented.
    pub fn new(text: &'a str) -> Result<Self> {
        // Names with it are those that the server itself writes into trees.
        if text.contains('\0') {
            return Err(Error::invalid("invalid byte sequence for encoding \"UTF8\": 0x00")
                .code(SqlState::CharacterNotInRepertoire));
        }
        let places = Places::new(text);
        let tokens = Tokenizer::new(&DIALECT, text).tokenize_with_location().map_err(|error| {
            Error::invalid(format!("syntax error: {}", lower_first(&error.message)))
                .code(SqlState::SyntaxError)
                .at(places.position(error.location))
        })?;
        let mut kept: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
        let mut hints = Hints::default();
        for token in tokens {
            match &token.token {
                Token::Whitespace(Whitespace::MultiLineComment(comment)) if comment.starts_with('+') => {
                    let before = kept.last().map(|token| places.position(token.span.start));
                    let position = places.position(token.span.start);
                    read_hint(&comment[1..], position, before, &mut hints)?;
                }
                Token::Whitespace(_) => {}
                // The end of types within types (`ARRAY<ARRAY<ARRAY<INT>>>`), which would be an operator of Postgres.
                Token::CustomBinaryOperator(sign) if sign.bytes().all(|byte| byte == b'>') => {
                    let begin = token.span.start;
                    kept.extend((0..).zip(sign.bytes()).map(|(offset, _)| {
                        let at = |offset| Location::new(begin.line, begin.column + offset);
                        TokenWithSpan::new(Token::Gt, Span::new(at(offset), at(offset + 1)))
                    }));
                }
                _ => kept.push(token),
            }
        }
        numbers::read(&mut kept, &places)?;
        refuse_what_is_not_there_yet(&kept, &places)?;
        statement_size::check(&kept, &places)?;
        repetition::check(&kept, &places)?;
        let tokens = kept.len();
        let parser =
            Parser::new(&DIALECT).with_recursion_limit(statement_size::RECURSION_MAX).with_tokens_with_locations(kept);
        Ok(Self { parser, text, tokens, places, hints })
    }

    /// The whole text.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// The next token.
    pub fn peek(&self) -> Token {
        self.parser.peek_token_ref().token.clone()
    }

    /// The token `n` after the next.
    pub fn peek_nth(&self, n: usize) -> Token {
        self.parser.peek_nth_token_ref(n).token.clone()
    }

    /// Takes the next token.
    pub fn take(&mut self) -> Token {
        self.parser.next_token().token
    }

    /// Where the next token begins.
    pub fn position(&self) -> usize {
        let token = self.parser.peek_token_ref();
        if token.token == Token::EOF { self.places.len() + 1 } else { self.places.position(token.span.start) }
    }

    /// Where the last taken token ended (the position after it).
    pub fn last_end(&self) -> usize {
        self.places.position(self.parser.get_current_token().span.end)
    }

    /// The text between two positions.
    pub fn slice(&self, from: usize, to: usize) -> String {
        self.text.chars().skip(from.saturating_sub(1)).take(to.saturating_sub(from)).collect()
    }

    /// Whether the next tokens are these unquoted words.
    pub fn peek_words(&self, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(i, word)| {
            matches!(self.peek_nth(i), Token::Word(w) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word))
        })
    }

    /// Takes these words if they are next.
    pub fn words(&mut self, words: &[&str]) -> bool {
        let found = self.peek_words(words);
        if found {
            for _ in words {
                self.parser.advance_token();
            }
        }
        found
    }

    /// Takes this word if it is next.
    pub fn word(&mut self, word: &str) -> bool {
        self.words(&[word])
    }

    /// Takes this word.
    ///
    /// # Errors
    /// Another one is next.
    pub fn expect_word(&mut self, word: &str) -> Result<()> {
        if self.word(word) { Ok(()) } else { Err(self.expected(word)) }
    }

    /// Takes a token if it is next.
    pub fn token(&mut self, token: &Token) -> bool {
        self.parser.consume_token(token)
    }

    /// Takes a token.
    ///
    /// # Errors
    /// Another one is next.
    pub fn expect(&mut self, token: &Token) -> Result<()> {
        if self.token(token) { Ok(()) } else { Err(self.expected(&format!("\"{token}\""))) }
    }

    /// A syntax error at the next token.
    pub fn error(&self) -> Error {
        let message = match self.peek() {
            Token::EOF => "syntax error at end of input".to_owned(),
            token => format!("syntax error at or near \"{token}\""),
        };
        Error::invalid(message).code(SqlState::SyntaxError).at(self.position())
    }

    /// A syntax error that says what was expected.
    pub fn expected(&self, what: &str) -> Error {
        self.error().detail(format!("Expected {what}."))
    }

    /// Takes an identifier, quoted or not.
    ///
    /// # Errors
    /// Something else is next.
    pub fn ident(&mut self) -> Result<Ident> {
        match self.peek() {
            Token::Word(word) => {
                let span = self.parser.peek_token_ref().span;
                self.parser.advance_token();
                Ok(word.into_ident(span))
            }
            _ => Err(self.expected("a name")),
        }
    }

    /// Takes a name of one to three parts.
    ///
    /// # Errors
    /// Something else is next.
    pub fn name(&mut self) -> Result<Vec<Ident>> {
        let mut parts = vec![self.ident()?];
        while self.token(&Token::Period) {
            parts.push(self.ident()?);
        }
        Ok(parts)
    }

    /// Takes a parenthesised list of names.
    ///
    /// # Errors
    /// Something else is next.
    pub fn idents(&mut self) -> Result<Vec<Ident>> {
        self.expect(&Token::LParen)?;
        let mut names = vec![self.ident()?];
        while self.token(&Token::Comma) {
            names.push(self.ident()?);
        }
        self.expect(&Token::RParen)?;
        Ok(names)
    }

    /// Takes a string literal.
    ///
    /// # Errors
    /// Something else is next.
    pub fn string(&mut self) -> Result<String> {
        let text = match self.peek() {
            Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) | Token::UnicodeStringLiteral(text) => {
                text
            }
            Token::DollarQuotedString(quoted) => quoted.value,
            _ => return Err(self.expected("a string in single quotes")),
        };
        self.parser.advance_token();
        Ok(text)
    }

    /// Takes an identifier or a string.
    ///
    /// # Errors
    /// Something else is next.
    pub fn ident_or_string(&mut self) -> Result<String> {
        match self.peek() {
            Token::Word(_) => Ok(fold(&self.ident()?)),
            _ => self.string(),
        }
    }

    /// Reads an expression with sqlparser, and gives its text.
    ///
    /// # Errors
    /// A syntax error.
    pub fn expression(&mut self) -> Result<String> {
        let from = self.position();
        effort::bounded(self.tokens, || self.parser.parse_expr()).map_err(|error| self.of_parser(&error))?;
        Ok(self.slice(from, self.last_end()))
    }

    /// As [`Self::expression`], up to NOT NULL and other clauses of a column.
    ///
    /// # Errors
    /// A syntax error.
    pub fn column_expression(&mut self) -> Result<String> {
        let from = self.position();
        let precedence = DIALECT.prec_value(Precedence::Is);
        let read = effort::bounded(self.tokens, || self.parser.parse_subexpr(precedence));
        read.map_err(|error| self.of_parser(&error))?;
        Ok(self.slice(from, self.last_end()))
    }

    /// Reads a list as that of a SELECT with sqlparser.
    ///
    /// # Errors
    /// A syntax error.
    pub fn select_list(&mut self) -> Result<Vec<ast::SelectItem>> {
        let read = effort::bounded(self.tokens, || self.parser.parse_projection());
        read.map_err(|error| self.of_parser(&error))
    }

    /// Reads a query with sqlparser.
    ///
    /// # Errors
    /// A syntax error.
    pub fn query(&mut self) -> Result<Box<ast::Query>> {
        let read = effort::bounded(self.tokens, || self.parser.parse_query());
        let mut query = read.map_err(|error| self.of_parser(&error))?;
        balance::query(&mut query);
        Ok(query)
    }

    /// Reads an expression with sqlparser.
    ///
    /// # Errors
    /// A syntax error.
    pub fn expr(&mut self) -> Result<ast::Expr> {
        let read = effort::bounded(self.tokens, || self.parser.parse_expr());
        let mut expr = read.map_err(|error| self.of_parser(&error))?;
        balance::expression(&mut expr);
        Ok(expr)
    }

    /// Takes a type's tokens and gives their text, blanks reduced.
    ///
    /// # Errors
    /// No type is next, or it does not exist.
    pub fn data_type(&mut self) -> Result<String> {
        let from = self.position();
        self.ident().map_err(|_| self.expected("a type"))?;
        if self.token(&Token::Period) {
            self.ident()?;
        }
        loop {
            match self.peek() {
                Token::LParen | Token::Lt => self.skip_balanced()?,
                Token::LBracket => {
                    self.take();
                    if matches!(self.peek(), Token::Number(..)) {
                        self.take();
                    }
                    self.expect(&Token::RBracket)?;
                }
                Token::Word(_) => {
                    let continues = self.words(&["WITH", "LOCAL", "TIME", "ZONE"])
                        || self.words(&["WITH", "TIME", "ZONE"])
                        || self.words(&["WITHOUT", "TIME", "ZONE"])
                        || self.word("PRECISION")
                        || self.word("VARYING")
                        || self.word("ARRAY");
                    if !continues {
                        break;
                    }
                }
                _ => break,
            }
        }
        let text = self.slice(from, self.last_end());
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        crate::data_type::parse(&text).map_err(|error| error.at(from))?;
        Ok(text)
    }

    fn skip_balanced(&mut self) -> Result<()> {
        let mut depth = 0_i32;
        loop {
            depth += match self.peek() {
                Token::LParen | Token::Lt => 1,
                Token::RParen | Token::Gt => -1,
                Token::ShiftRight => -2,
                Token::Neq => 0, // ROW<>
                Token::EOF | Token::SemiColon => return Err(self.error()),
                _ => 0,
            };
            self.take();
            if depth <= 0 {
                return Ok(());
            }
        }
    }

    /// Whether nothing is left but semicolons.
    pub fn is_at_end(&mut self) -> bool {
        while self.token(&Token::SemiColon) {}
        self.peek() == Token::EOF
    }

    /// Ends the statement.
    ///
    /// # Errors
    /// Something is left.
    pub fn end(&mut self) -> Result<()> {
        if self.is_at_end() { Ok(()) } else { Err(self.error()) }
    }

    /// Takes everything up to the end, as text.
    pub fn rest(&mut self) -> String {
        let from = self.position();
        while !matches!(self.peek(), Token::EOF | Token::SemiColon) {
            self.take();
        }
        self.slice(from, self.position()).trim().to_owned()
    }

    fn of_parser(&self, error: &ParserError) -> Error {
        parser_error(error, &self.places)
    }
}

/// Turns sqlparser's error into ours; its text ends with the place.
pub fn parser_error(error: &ParserError, places: &Places) -> Error {
    let text = match error {
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text.as_str(),
        ParserError::RecursionLimitExceeded => {
            return Error::invalid("the statement is too complex: too much of it stands within each other")
                .code(SqlState::StatementTooComplex)
                .hint("Name the inner queries in WITH, or use views.");
        }
    };
    let (text, position) = match text.rsplit_once(" at Line: ") {
        Some((text, place)) => {
            let mut numbers = place.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse::<u64>().ok());
            match (numbers.next(), numbers.next()) {
                (Some(line), Some(column)) => (text, Some(places.position(Location::new(line, column)))),
                _ => (text, None),
            }
        }
        None => (text, None),
    };
    let mut found = match text.split_once(", found: ") {
        Some((expected, "EOF")) => Error::invalid("syntax error at end of input").detail(sentence(expected)),
        Some((expected, found)) => {
            Error::invalid(format!("syntax error at or near \"{found}\"")).detail(sentence(expected))
        }
        None => Error::invalid(format!("syntax error: {}", lower_first(text))),
    };
    if let Some(position) = position {
        found = found.at(position);
    } else if text.ends_with("found: EOF") {
        found = found.at(places.len() + 1);
    }
    found.code(SqlState::SyntaxError)
}

fn sentence(text: &str) -> String {
    format!("{}.", text.replacen("Expected: ", "Expected ", 1))
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

/// Folds a table, schema or job name: unquoted ones to lower case.
pub fn fold(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

/// The words and signs of a statement, without blanks and comments but with hints: equal for statements that mean the same. Absent
/// for what has no tokens.
pub fn words(text: &str) -> Option<Vec<String>> {
    let tokens = Tokenizer::new(&DIALECT, text).tokenize().ok()?;
    let word = |token: &Token| match token {
        Token::Whitespace(Whitespace::MultiLineComment(hint)) if hint.starts_with('+') => Some(hint.clone()),
        Token::Whitespace(_) => None,
        Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_lowercase()),
        token => Some(token.to_string()),
    };
    Some(tokens.iter().filter_map(word).collect())
}

fn read_hint(text: &str, position: usize, before: Option<usize>, hints: &mut Hints) -> Result<()> {
    let mut cursor = Cursor::new(text).map_err(|error| error.at(position))?;
    while !cursor.is_at_end() {
        let name = cursor.ident().map_err(|error| error.at(position))?.value.to_uppercase();
        if !matches!(name.as_str(), "OPTIONS" | "STATE_TTL") {
            return Err(Error::unsupported(format!("hint {name} is not supported yet")).at(position));
        }
        cursor.expect(&Token::LParen).map_err(|error| error.at(position))?;
        let options = option_list(&mut cursor).map_err(|error| error.at(position))?;
        let Some(before) = before else {
            return Err(Error::invalid("a hint stands after SELECT or the name of a table")
                .code(SqlState::SyntaxError)
                .at(position));
        };
        if name == "OPTIONS" {
            hints.options.entry(before).or_default().extend(options);
        } else {
            let hint = hints.state_ttl.entry(before).or_default();
            hint.position = position;
            for (relation, text) in options {
                let ttl = parse_duration(&text).map_err(|error| error.context("hint STATE_TTL").at(position))?;
                hint.relations.push((relation, ttl));
            }
        }
        cursor.token(&Token::Comma);
    }
    Ok(())
}

/// Reads `'k' = 'v', …)`: the options of WITH and of hints.
///
/// # Errors
/// A syntax error; a value that was blanked out is shown where it should be.
pub fn option_list(cursor: &mut Cursor) -> Result<Vec<(String, String)>> {
    let mut options: Vec<(String, String)> = Vec::new();
    while !cursor.token(&Token::RParen) {
        if !options.is_empty() {
            cursor.expect(&Token::Comma)?;
        }
        let position = cursor.position();
        let name = cursor.string()?;
        cursor.expect(&Token::Eq)?;
        let value = cursor.string().map_err(|error| {
            error
                .detail(format!("Option \"{name}\" has no value."))
                .hint(format!("Write '{name}' = '…' with the value in single quotes; '' means the server's default."))
        })?;
        if options.iter().any(|(other, _)| *other == name) {
            return Err(Error::invalid(format!("option \"{name}\" is given twice"))
                .code(SqlState::SyntaxError)
                .at(position));
        }
        options.push((name, value));
    }
    Ok(options)
}

/// Constructs that sqlparser cannot read, or reads as something else.
fn refuse_what_is_not_there_yet(tokens: &[TokenWithSpan], places: &Places) -> Result<()> {
    for (i, token) in tokens.iter().enumerate() {
        let Token::Word(word) = &token.token else { continue };
        if word.quote_style.is_some() {
            continue;
        }
        let next = tokens.get(i + 1).map(|token| &token.token);
        let opens = next == Some(&Token::LParen);
        let what = match word.value.to_ascii_uppercase().as_str() {
            name @ ("TUMBLE" | "HOP" | "CUMULATE" | "TUMBLE_START" | "TUMBLE_END") if opens => {
                format!("window function {name}")
            }
            "MATCH_RECOGNIZE" if opens => "MATCH_RECOGNIZE".to_owned(),
            "LATERAL" if matches!(next, Some(Token::Word(next)) if next.value.eq_ignore_ascii_case("TABLE")) => {
                "LATERAL TABLE".to_owned()
            }
            _ => continue,
        };
        return Err(Error::unsupported(format!("{what} is not supported yet")).at(places.position(token.span.start)));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
