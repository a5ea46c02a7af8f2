use super::*;
use crate::sql::statements::{Statement, parse};

fn statements(script: &str) -> Vec<Result<Statement>> {
    super::super::splitter::split(script).unwrap().iter().map(|statement| parse(&statement.text)).collect()
}

#[test]
fn the_seed_scripts_parse() {
    let scripts = [
        "CREATE TABLE IF NOT EXISTS test_database.test_dynamodb_table(
field1 STRING,
field2 STRING)
WITH ( 'connector' = 'dynamodb-v2', -- 使用Amazon v2版本sdk
'table_name' = 'test_table', -- 对应dynamodb 表名
'primary_key' = 'field1' -- 主键必须定义的partition key
);
-- 查询
select * from test_database.test_dynamodb_table;
insert into test_database.test_dynamodb_table select * from test_database_source.test_source_table;",
        "DROP TABLE IF EXISTS dynamodb_orders;
CREATE TABLE dynamodb_orders (
order_id INT, -- 订单编号
coupon_code VARCHAR(255),
created_at TIMESTAMP(3) -- 创建时间
) PARTITIONED BY ( order_id )
WITH ('connector' = 'dynamodb', 'aws.credentials.basic.accesskeyid' = '');",
        "INSERT INTO user_features (user_id, total)
SELECT user_id, SPLIT_INDEX(f(user_id), '_' ,0) + SPLIT_INDEX(g(user_id), '_' ,0) as total FROM kafka_orders;",
    ];
    for script in scripts {
        for statement in statements(script) {
            statement.unwrap();
        }
    }
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/seed")).unwrap() {
        for statement in statements(&std::fs::read_to_string(file.unwrap().path()).unwrap()) {
            statement.unwrap();
        }
    }
}

#[test]
fn hints_are_kept_by_the_place_of_their_table() {
    let text = "select * from a /*+ OPTIONS('k'='v', 'l' = 'm') */ x join public.b /*+ options('n'='o') */ on true";
    let Statement::Query(query) = parse(text).unwrap() else { panic!() };
    let hints: Vec<(usize, usize)> =
        query.hints.options.iter().map(|(place, options)| (*place, options.len())).collect();
    assert_eq!(hints, [(text.find("a /*").unwrap() + 1, 2), (text.find("b /*").unwrap() + 1, 1)]);
    assert_eq!(parse("select /*+ LOOKUP('table'='t') */ 1").unwrap_err().sqlstate().code(), "0A000");
}

#[test]
fn syntax_errors_have_characters_as_positions() {
    let error = parse("select '中文', 1 form t").unwrap_err();
    assert_eq!((error.sqlstate().code(), error.position()), ("42601", Some(21)));
    let error = parse("CREATE TABLE t (a INT, b FOO)").unwrap_err();
    assert_eq!((error.sqlstate().code(), error.position()), ("42704", Some(26)));
}

#[test]
fn statements_are_told_apart() {
    for (text, wanted) in [
        ("SHOW JOBS", "Show {"),
        ("SHOW CREATE TABLE a.b", "ShowCreateTable {"),
        ("SHOW timezone", "ShowSetting {"),
        ("STOP JOB j WITH DRAIN", "JobControl {"),
        ("STOP JOB j WITH SAVEPOINT TO '/tmp/s' WITH DRAIN", "JobControl {"),
        ("EXPLAIN ANALYZE JOB j", "ExplainJob {"),
        ("EXPLAIN STATEMENT SET BEGIN INSERT INTO a SELECT 1; END", "StatementSet {"),
        ("EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT 1; INSERT INTO b SELECT 2; END;", "StatementSet {"),
        ("BEGIN STATEMENT SET;", "StatementSet {"),
        ("CREATE JOB j AS EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT 1; END", "StatementSet {"),
        ("DROP JOB IF EXISTS 'j'", "JobControl {"),
        ("DESCRIBE JOB j", "JobControl {"),
        ("DESC t", "Describe {"),
        ("EXPLAIN PLAN FOR SELECT 1", "Explain("),
        ("EXPLAIN ANALYZE SELECT 1", "Explain("),
        ("EXPLAIN (ANALYZE, VERBOSE) SELECT 1", "Explain("),
        ("CREATE JOB j IF NOT EXISTS AS INSERT INTO a SELECT 1", "CreateJob {"),
        ("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE", "Set"),
        ("SET TIME ZONE 'UTC'", "Set"),
        ("USE a", "UseSchema {"),
        ("START TRANSACTION READ ONLY", "Begin"),
        ("DISCARD ALL", "Discard"),
        ("INSERT INTO a (SELECT 1)", "Insert("),
        ("(SELECT 1) UNION SELECT 2", "Query("),
        ("", "Empty"),
    ] {
        let parsed = format!("{:?}", parse(text).unwrap_or_else(|error| panic!("{text}: {error}")));
        let parsed = parsed.strip_prefix("Control(").unwrap_or(&parsed);
        assert!(parsed.starts_with(wanted), "{text}: {parsed}");
    }
}
