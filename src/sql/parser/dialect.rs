//! What we add to sqlparser's Postgres: backticks, table versions and expressions of Flink, and how much reading may cost.

pub(super) mod effort;
mod flink_expressions;

use std::any::TypeId;

use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::dialect::{Dialect, PostgreSqlDialect, Precedence};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};

use crate::error::Result;

/// Postgres' expressions and Flink's backticks and table versions.
#[derive(Debug, Default)]
pub struct StreamgateDialect;

const POSTGRES: PostgreSqlDialect = PostgreSqlDialect {};

impl Dialect for StreamgateDialect {
    fn dialect(&self) -> TypeId {
        TypeId::of::<PostgreSqlDialect>() // sqlparser asks for it where it has no method to ask
    }
    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        ch == '"' || ch == '`'
    }
    fn identifier_quote_style(&self, _identifier: &str) -> Option<char> {
        Some('"')
    }
    fn is_identifier_start(&self, ch: char) -> bool {
        POSTGRES.is_identifier_start(ch)
    }
    fn is_identifier_part(&self, ch: char) -> bool {
        POSTGRES.is_identifier_part(ch)
    }
    fn is_custom_operator_part(&self, ch: char) -> bool {
        ch != '`' && POSTGRES.is_custom_operator_part(ch)
    }
    fn is_reserved_for_identifier(&self, kw: Keyword) -> bool {
        POSTGRES.is_reserved_for_identifier(kw)
    }
    fn is_column_alias(&self, word: &Keyword, parser: &mut Parser) -> bool {
        // Of INSERT INTO t SELECT 1 ON CONFLICT …
        let is_conflict = *word == Keyword::ON && parser.peek_keyword(Keyword::CONFLICT);
        !is_conflict && POSTGRES.is_column_alias(word, parser)
    }
    fn parse_prefix(&self, parser: &mut Parser) -> Option<Result<ast::Expr, ParserError>> {
        effort::spend();
        flink_expressions::parse(parser)
    }
    fn parse_infix(
        &self,
        parser: &mut Parser,
        expr: &ast::Expr,
        _precedence: u8,
    ) -> Option<Result<ast::Expr, ParserError>> {
        flink_expressions::between(parser, expr)
    }
    fn supports_top_before_distinct(&self) -> bool {
        effort::spend(); // asked for each SELECT
        false
    }
    fn get_next_precedence(&self, parser: &Parser) -> Option<Result<u8, ParserError>> {
        POSTGRES.get_next_precedence(parser)
    }
    fn prec_value(&self, prec: Precedence) -> u8 {
        POSTGRES.prec_value(prec)
    }
    fn supports_unicode_string_literal(&self) -> bool {
        true
    }
    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }
    fn supports_group_by_expr(&self) -> bool {
        true
    }
    fn allow_extract_custom(&self) -> bool {
        true
    }
    fn allow_extract_single_quotes(&self) -> bool {
        true
    }
    fn supports_factorial_operator(&self) -> bool {
        true
    }
    fn supports_bitwise_shift_operators(&self) -> bool {
        true
    }
    fn supports_named_fn_args_with_colon_operator(&self) -> bool {
        true
    }
    fn supports_named_fn_args_with_expr_name(&self) -> bool {
        false // each argument would be read twice, and each of its own arguments four times
    }
    fn supports_empty_projections(&self) -> bool {
        true
    }
    fn supports_nested_comments(&self) -> bool {
        true
    }
    fn supports_string_escape_constant(&self) -> bool {
        true
    }
    fn supports_numeric_literal_underscores(&self) -> bool {
        true
    }
    fn supports_array_typedef_with_brackets(&self) -> bool {
        true
    }
    fn supports_notnull_operator(&self) -> bool {
        true
    }
    fn supports_interval_options(&self) -> bool {
        true
    }
    fn supports_select_wildcard_with_alias(&self) -> bool {
        true
    }
    fn supports_comma_separated_trim(&self) -> bool {
        true
    }
    fn supports_table_versioning(&self) -> bool {
        true
    }
}

pub(super) static DIALECT: StreamgateDialect = StreamgateDialect;
