//! Expressions that sqlparser reads in other dialects only: CAST to types in angle brackets (`ROW<a INT>`, `MAP<STRING, INT>`) and to
//! `INT ARRAY`, MAP['a', 1], TRIM(BOTH FROM x) and BETWEEN SYMMETRIC. What begins otherwise is left to sqlparser.

use datafusion::sql::sqlparser::ast::{
    ArrayElemTypeDef, BinaryOperator, CastKind, DataType, Expr, Ident, Map, MapEntry, ObjectName, TrimWhereField,
};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

/// Reads such an expression if one begins here.
pub(super) fn parse(parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
    let Token::Word(word) = &parser.peek_token_ref().token else { return None };
    if word.quote_style.is_some() {
        return None;
    }
    let kind = match word.keyword {
        Keyword::CAST => CastKind::Cast,
        Keyword::TRY_CAST => CastKind::TryCast,
        Keyword::TRIM => return trim(parser),
        Keyword::MAP if parser.peek_nth_token_ref(1).token == Token::LBracket => return Some(map(parser)),
        _ => return None,
    };
    (parser.peek_nth_token_ref(1).token == Token::LParen).then(|| cast(parser, kind))
}

fn cast(parser: &mut Parser, kind: CastKind) -> Result<Expr, ParserError> {
    parser.advance_token();
    parser.expect_token(&Token::LParen)?;
    let expr = Box::new(parser.parse_expr()?);
    parser.expect_keyword(Keyword::AS)?;
    let mut data_type = data_type(parser)?;
    while parser.parse_keyword(Keyword::ARRAY) {
        data_type = DataType::Array(ArrayElemTypeDef::SquareBracket(Box::new(data_type), None));
    }
    parser.expect_token(&Token::RParen)?;
    Ok(Expr::Cast { kind, expr, data_type, array: false, format: None })
}

fn data_type(parser: &mut Parser) -> Result<DataType, ParserError> {
    let opens = match &parser.peek_nth_token_ref(1).token {
        Token::Lt => true,
        Token::LParen => false,
        _ => return parser.parse_data_type(),
    };
    let is_nested = match &parser.peek_token_ref().token {
        Token::Word(word) if word.quote_style.is_none() => match word.value.to_ascii_uppercase().as_str() {
            "ROW" => true,
            "ARRAY" | "MAP" | "MULTISET" => opens,
            _ => false,
        },
        _ => false,
    };
    if !is_nested {
        return parser.parse_data_type();
    }
    // The whole type as one word, which the planner of types reads.
    let mut words = vec![parser.next_token().token.to_string()];
    let mut depth = 0;
    loop {
        let token = parser.next_token();
        depth += match &token.token {
            Token::Lt | Token::LParen => 1,
            Token::Gt | Token::RParen => -1,
            Token::ShiftRight => -2,
            Token::EOF | Token::SemiColon => return parser.expected(">", token),
            _ => 0,
        };
        words.push(token.token.to_string());
        if depth <= 0 {
            break;
        }
    }
    Ok(DataType::Custom(ObjectName::from(vec![Ident::new(words.join(" "))]), Vec::new()))
}

/// `TRIM([LEADING | TRAILING | BOTH] FROM x)`, without what is trimmed.
fn trim(parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
    let word = |parser: &Parser, at: usize| match &parser.peek_nth_token_ref(at).token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.keyword),
        _ => None,
    };
    if parser.peek_nth_token_ref(1).token != Token::LParen {
        return None;
    }
    let (trim_where, words) = match word(parser, 2)? {
        Keyword::LEADING => (Some(TrimWhereField::Leading), 4),
        Keyword::TRAILING => (Some(TrimWhereField::Trailing), 4),
        Keyword::BOTH => (Some(TrimWhereField::Both), 4),
        Keyword::FROM => (None, 3),
        _ => return None,
    };
    if word(parser, words - 1)? != Keyword::FROM {
        return None;
    }
    for _ in 0..words {
        parser.advance_token();
    }
    let expr = match parser.parse_expr() {
        Ok(expr) => Box::new(expr),
        Err(error) => return Some(Err(error)),
    };
    let trimmed = Expr::Trim { expr, trim_where, trim_what: None, trim_characters: None };
    Some(parser.expect_token(&Token::RParen).map(|_| trimmed))
}

/// `x [NOT] BETWEEN SYMMETRIC a AND b`: between the lesser and the greater of both.
pub(super) fn between(parser: &mut Parser, expr: &Expr) -> Option<Result<Expr, ParserError>> {
    let word = |parser: &Parser, at: usize| match &parser.peek_nth_token_ref(at).token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_ascii_uppercase()),
        _ => None,
    };
    let negated = word(parser, 0)? == "NOT";
    let at = usize::from(negated);
    if word(parser, at)? != "BETWEEN" {
        return None;
    }
    let is_symmetric = match word(parser, at + 1)?.as_str() {
        "SYMMETRIC" => true,
        "ASYMMETRIC" => false,
        _ => return None,
    };
    for _ in 0..at + 2 {
        parser.advance_token();
    }
    let between = match parser.parse_between(expr.clone(), negated) {
        Ok(between) => between,
        Err(error) => return Some(Err(error)),
    };
    let Expr::Between { expr, low, high, .. } = &between else { return Some(Ok(between)) };
    if !is_symmetric {
        return Some(Ok(between));
    }
    let turned = Expr::Between { expr: expr.clone(), negated, low: high.clone(), high: low.clone() };
    let op = if negated { BinaryOperator::And } else { BinaryOperator::Or };
    let either = Expr::BinaryOp { left: Box::new(between), op, right: Box::new(turned) };
    Some(Ok(Expr::Nested(Box::new(either))))
}

/// `MAP['a', 1, 'b', 2]`
fn map(parser: &mut Parser) -> Result<Expr, ParserError> {
    parser.advance_token();
    parser.expect_token(&Token::LBracket)?;
    let mut entries = Vec::new();
    if !parser.consume_token(&Token::RBracket) {
        loop {
            let key = Box::new(parser.parse_expr()?);
            parser.expect_token(&Token::Comma)?;
            let value = Box::new(parser.parse_expr()?);
            entries.push(MapEntry { key, value });
            if !parser.consume_token(&Token::Comma) {
                break;
            }
        }
        parser.expect_token(&Token::RBracket)?;
    }
    Ok(Expr::Map(Map { entries }))
}
