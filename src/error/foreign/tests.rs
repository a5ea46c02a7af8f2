use super::*;

fn told(text: &str) -> String {
    let error = Error::from(DataFusionError::Plan(text.to_owned()));
    format!("{} {}", error.sqlstate().code(), error.message())
}

#[test]
fn types_and_literals_are_written_as_in_sql() {
    for (text, expected) in [
        ("List(Utf8) and Int64", "text[] and bigint"),
        ("a Timestamp(ms) of Decimal128(10, 2)", "a timestamp(3) without time zone of numeric(10,2)"),
        ("Struct(\"a\": Int64, \"b\": Utf8)", "record"),
        ("count(Int64(1)) = Utf8(\"x\")", "count(1) = 'x'"),
        ("a List of things, a Map, Int64x", "a List of things, a Map, Int64x"),
        ("public.orders.id in Execution error: x", "orders.id in x"),
        ("ünïcödé Utf8(", "ünïcödé Utf8("),
    ] {
        assert_eq!(sql_words::in_sql_words(text), expected);
    }
}

#[test]
fn sentences_of_planning_are_told_in_postgres_words() {
    for (text, expected) in [
        (
            "Invalid argument error: 100.00 is too large to store in a Decimal128 of precision 4. Max is 99.99",
            "22003 numeric field overflow: 100.00 has more than 4 digits",
        ),
        ("Arithmetic overflow: Overflow happened on: 9 * 7", "22003 value out of range: 9 * 7"),
        ("Compute error: Int32Array overflow on abs(-2147483648)", "22003 integer out of range: abs(-2147483648)"),
        (
            "Internal error: Function 'sum' failed to match any signature, errors: Error during planning: Function 'sum' \
             requires Decimal, but received String (DataType: Utf8).,Error during planning: Function 'sum' requires UInt64.",
            "42883 function sum does not take an argument of type text",
        ),
        (
            "Internal error: Function 'sum' failed to match any signature, errors: Error during planning: Function 'sum' \
             expects 1 arguments but received 2,Error during planning: Function 'sum' expects 1 arguments but received 2.",
            "42883 function sum takes 1 argument, not 2",
        ),
        (
            "Function 'abs' expects 1 arguments but received 2. No function matches the given name and argument types \
             'abs(Utf8, Utf8)'. You might need to add explicit type casts.",
            "42883 function abs(text, text) does not exist",
        ),
        (
            "Cannot coerce arithmetic expression Int64 + List(Utf8) to valid types",
            "42883 operator does not exist: bigint + text[]",
        ),
        (
            "Cannot infer common argument type for comparison operation Int64 IS DISTINCT FROM Boolean",
            "42883 operator does not exist: bigint IS DISTINCT FROM boolean",
        ),
        (
            "Cannot infer common argument type for logical boolean operation Utf8 AND Boolean",
            "42804 argument of AND must be type boolean, not type text",
        ),
        (
            "Cannot create filter with non-boolean predicate 'public.orders.id' returning Int64",
            "42804 argument of WHERE must be type boolean, not type bigint",
        ),
        (
            "LATERAL syntax is not supported for FULL OUTER and RIGHT [OUTER | ANTI | SEMI] joins",
            "42P10 a LATERAL relation or an UNNEST reads columns from the other side of a RIGHT or FULL JOIN",
        ),
        ("This feature is not implemented: Empty tuple not supported yet", "0A000 GROUP BY () is not supported yet"),
        ("Unsupported CAST from List(Utf8) to Int32", "42846 cannot cast type text[] to integer"),
        ("Optimizer rule 'x' met Expr::Nothing", "0A000 this combination of clauses is not supported yet"),
    ] {
        assert_eq!(told(text), expected);
    }
}

#[test]
fn what_a_library_said_is_kept_behind_what_is_told() {
    let foreign = DataFusionError::Plan("something of DataFusion's own".to_owned());
    let told = Error::from(foreign);
    let source = std::error::Error::source(&told).expect("the library's error");
    assert!(source.to_string().contains("something of DataFusion's own"), "{source}");
    let own = Error::denied("not for you");
    let back = Error::from(DataFusionError::from(own.clone()));
    assert_eq!((back.kind(), back.sqlstate().code()), (ErrorKind::Denied, "42501"));
    assert!(std::error::Error::source(&back).is_none(), "{own}");
}

#[test]
fn what_was_said_of_the_place_is_kept_on_the_way_through_the_engine() {
    let arrow = ArrowError::CastError("Cannot cast string 'x' to value of Int32 type".to_owned());
    let cause = Error::of_evaluation(DataFusionError::from(arrow));
    let told = cause.clone().context("line 2, column id");
    assert!(told.message().starts_with("line 2, column id: "));
    let through = DataFusionError::from(told.clone()).context("a stream");
    assert_eq!(Error::from(through).message(), told.message());
}
