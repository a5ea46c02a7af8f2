//! The system catalog through DataFusion, as a session would use it: what clients send must plan, and `\d` must be right.

use std::sync::Arc;

use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::catalog::CatalogProvider;
use datafusion::catalog::{MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider};
use datafusion::execution::SessionStateBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use expect_test::{Expect, expect};

use crate::catalog::database::{DatabaseEntry, SchemaEntry};
use crate::catalog::table::TableColumn;
use crate::catalog::{FunctionEntry, Snapshot, TableEntry, ViewEntry};
use crate::connectors::declaration::{ColumnDeclaration, ColumnKind, TableDeclaration};
use crate::sql::activity::Backend;
use crate::sql::planning::rules::analyzer_rules;
use crate::sql::{SessionView, SystemSchema};

fn snapshot() -> Snapshot {
    let columns = [("user_id", "INT"), ("order_id", "BIGINT"), ("Name", "VARCHAR(20)"), ("at", "TIMESTAMP(3)")];
    let physical = columns.map(|(name, sql_type)| ColumnDeclaration {
        name: name.into(),
        sql_type: sql_type.into(),
        nullable: true,
        kind: ColumnKind::Physical,
    });
    let shown = columns.map(|(name, sql_type)| TableColumn {
        name: name.into(),
        sql_type: sql_type.into(),
        computed: None,
        default: None,
        comment: (name == "at").then(|| "下单时间".into()),
    });
    let table = TableEntry {
        checks: Vec::new(),
        access: Default::default(),
        oid: 16400,
        declaration: TableDeclaration {
            local: None,
            name: "streamgate.public.t".into(),
            columns: physical.into(),
            primary_key: vec!["user_id".into(), "order_id".into()],
            partitioned_by: Vec::new(),
            options: std::collections::BTreeMap::new(),
        },
        columns: shown.into(),
        watermarks: Vec::new(),
        comment: Some("orders".into()),
    };
    let view = ViewEntry {
        oid: 16401,
        query: "SELECT user_id FROM t".into(),
        columns: vec![("user_id".into(), "INT".into())],
        comment: None,
        column_comments: vec![Some("of the view".into())],
        access: Default::default(),
    };
    let function = FunctionEntry {
        oid: 16402,
        parameters: vec![("a".into(), "INT".into())],
        returns: "STRING".into(),
        body: "SELECT 1".into(),
        comment: Some("one".into()),
        access: Default::default(),
    };
    let schema = SchemaEntry {
        comment: None,
        access: Default::default(),
        tables: [("t".to_owned(), table)].into(),
        views: [("v".to_owned(), view)].into(),
        functions: [("f".to_owned(), function)].into(),
    };
    let schemas = [("public".to_owned(), schema), ("s".to_owned(), SchemaEntry::default())].into();
    Snapshot {
        databases: [(
            "streamgate".to_owned(),
            DatabaseEntry { comment: Some("the data".into()), schemas, ..DatabaseEntry::default() },
        )]
        .into(),
        ..Snapshot::default()
    }
}

fn context() -> (SessionContext, super::PgCatalog) {
    let view = Arc::new(SessionView {
        user: "me".into(),
        session_user: "me".into(),
        is_unbound: true,
        database: "streamgate".into(),
        search_path: vec!["public".into()],
        process_id: 7,
        settings: vec![("search_path".into(), "public".into()), ("TimeZone".into(), "UTC".into())],
        backend: Arc::new(Backend::new((7, "me".into(), "streamgate".into()), None, Arc::default(), String::new(), 0)),
        activity: Arc::default(),
    });
    let snapshot = Arc::new(snapshot());
    let (pg_catalog, information_schema) = super::over(Box::new(move || Arc::clone(&snapshot)), Vec::new());
    let state = SessionStateBuilder::new_with_default_features()
        .with_config(SessionConfig::new().with_default_catalog_and_schema("streamgate", "public"))
        .with_analyzer_rules(analyzer_rules())
        .build();
    let context = SessionContext::new_with_state(state);
    let catalog = MemoryCatalogProvider::new();
    for schema in [&pg_catalog as &dyn SystemSchema, &information_schema] {
        let provider = MemorySchemaProvider::new();
        for name in schema.relation_names() {
            let relation = schema.relation(&name, &view).unwrap();
            provider.register_table(name, relation).unwrap();
        }
        catalog.register_schema(schema.name(), Arc::new(provider)).unwrap();
        for name in schema.functions().iter().flat_map(|about| about.names()) {
            let function = schema.function(name, &view).unwrap();
            context.register_udf(function.as_ref().clone().with_aliases([name]));
        }
    }
    context.register_catalog("streamgate", Arc::new(catalog));
    (context, pg_catalog)
}

async fn run(context: &SessionContext, pg_catalog: &super::PgCatalog, sql: &str) -> Result<String, String> {
    let mut statement =
        Parser::parse_sql(&PostgreSqlDialect {}, sql).map_err(|error| format!("parse: {error}"))?.remove(0);
    pg_catalog.rewrite(&mut statement);
    let text = statement.to_string();
    let state = context.state();
    let plan = state
        .statement_to_plan(DfStatement::Statement(Box::new(statement)))
        .await
        .map_err(|error| format!("plan: {}\n  {text}", error.strip_backtrace()))?;
    let batches = context
        .execute_logical_plan(plan)
        .await
        .map_err(|error| format!("optimise: {}", error.strip_backtrace()))?
        .collect()
        .await
        .map_err(|error| format!("run: {}\n  {text}", error.strip_backtrace()))?;
    Ok(pretty_format_batches(&batches).unwrap().to_string())
}

async fn check(sql: &str, expected: Expect) {
    let (context, pg_catalog) = context();
    expected.assert_eq(&run(&context, &pg_catalog, sql).await.unwrap_or_else(|error| error));
}

#[tokio::test]
async fn all_that_psql_sends_runs() {
    let (context, pg_catalog) = context();
    let mut failures = Vec::new();
    for sql in include_str!("../../tests/clients/psql_15.sql").split(";\n") {
        if sql.lines().any(|line| !line.starts_with("--") && !line.trim().is_empty())
            && let Err(error) = run(&context, &pg_catalog, sql).await
        {
            failures.push(format!("{sql}\n=> {error}\n"));
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[tokio::test]
async fn drivers_find_types() {
    let (context, pg_catalog) = context();
    let mut failures = Vec::new();
    for sql in include_str!("../../tests/clients/drivers.sql").split(";\n") {
        if sql.lines().any(|line| !line.starts_with("--") && !line.trim().is_empty())
            && let Err(error) = run(&context, &pg_catalog, sql).await
        {
            failures.push(format!("{sql}\n=> {error}\n"));
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[tokio::test]
async fn relations_are_listed() {
    check(
        "SELECT c.oid, c.oid::regclass, relkind, n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
         WHERE nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY relname",
        expect![[r#"
            +------------+----------+---------+---------+
            | oid        | regclass | relkind | nspname |
            +------------+----------+---------+---------+
            | 16400      | t        | r       | public  |
            | 1073758224 | t_pkey   | i       | public  |
            | 16401      | v        | v       | public  |
            +------------+----------+---------+---------+"#]],
    )
    .await;
}

#[tokio::test]
async fn names_resolve() {
    check(
        "SELECT 'public.t'::regclass::oid AS a, '\"t\"'::regclass AS b, 'pg_class'::regclass::oid AS c, 23::regtype AS d,
         'int4[]'::regtype::oid AS e, to_regclass('nowhere') AS g, 'array_in'::regproc::oid AS h, format_type(1043, 24) AS i,
         obj_description(16400, 'pg_class') AS j, col_description(16400, 4) AS k, pg_get_viewdef('v'::regclass) AS l",
        expect![[r#"
            +-------+---+------+---------+------+---+-----+-----------------------+--------+----------+-------------------------+
            | a     | b | c    | d       | e    | g | h   | i                     | j      | k        | l                       |
            +-------+---+------+---------+------+---+-----+-----------------------+--------+----------+-------------------------+
            | 16400 | t | 1259 | integer | 1007 |   | 750 | character varying(20) | orders | 下单时间 |  SELECT user_id FROM t; |
            +-------+---+------+---------+------+---+-----+-----------------------+--------+----------+-------------------------+"#]],
    )
    .await;
    check(
        "SELECT 'nowhere'::regclass",
        expect![[r#"
        run: External error: relation "nowhere" does not exist
          SELECT regclassout(regclassin('nowhere')) AS regclass"#]],
    )
    .await;
}

#[tokio::test]
async fn describing_a_table_shows_columns_and_its_key() {
    check(
        "SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod),
           (SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid, true) FROM pg_catalog.pg_attrdef d
            WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.atthasdef), a.attnotnull
         FROM pg_catalog.pg_attribute a WHERE a.attrelid = '16400' AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
        expect![[r#"
            +----------+-------------------------------------+---------------------------------------------------+------------+
            | attname  | format_type(a.atttypid,a.atttypmod) | max(pg_get_expr(d.adbin,d.adrelid,Boolean(true))) | attnotnull |
            +----------+-------------------------------------+---------------------------------------------------+------------+
            | user_id  | integer                             |                                                   | true       |
            | order_id | bigint                              |                                                   | true       |
            | Name     | character varying(20)               |                                                   | false      |
            | at       | timestamp(3) without time zone      |                                                   | false      |
            +----------+-------------------------------------+---------------------------------------------------+------------+"#]],
    )
    .await;
    check(
        "SELECT c2.relname, i.indisprimary, i.indisunique, i.indisclustered, i.indisvalid,
           pg_catalog.pg_get_indexdef(i.indexrelid, 0, true), pg_catalog.pg_get_constraintdef(con.oid, true), contype, condeferrable
         FROM pg_catalog.pg_class c, pg_catalog.pg_class c2, pg_catalog.pg_index i
           LEFT JOIN pg_catalog.pg_constraint con ON (conrelid = i.indrelid AND conindid = i.indexrelid AND contype IN ('p','u','x'))
         WHERE c.oid = '16400' AND c.oid = i.indrelid AND i.indexrelid = c2.oid ORDER BY i.indisprimary DESC, c2.relname",
        expect![[r#"
            +---------+--------------+-------------+----------------+------------+-----------------------------------------------------------------+---------------------------------------------+---------+---------------+
            | relname | indisprimary | indisunique | indisclustered | indisvalid | pg_get_indexdef(i.indexrelid,Int64(0),Boolean(true))            | pg_get_constraintdef(con.oid,Boolean(true)) | contype | condeferrable |
            +---------+--------------+-------------+----------------+------------+-----------------------------------------------------------------+---------------------------------------------+---------+---------------+
            | t_pkey  | true         | true        | false          | true       | CREATE UNIQUE INDEX t_pkey ON t USING btree (user_id, order_id) | PRIMARY KEY (user_id, order_id)             | p       | false         |
            +---------+--------------+-------------+----------------+------------+-----------------------------------------------------------------+---------------------------------------------+---------+---------------+"#]],
    )
    .await;
}

#[tokio::test]
async fn duplicate_and_registered_columns_are_named() {
    check("SELECT 1, 1, EXISTS (SELECT 1 FROM pg_class WHERE relname = 't'), ARRAY(SELECT nspname FROM pg_namespace WHERE nspname = 's')", expect![[r#"
        +----------+-----------+--------+-------------------------------------------------------------------+
        | Int64(1) | ?column?2 | EXISTS | coalesce(array_agg(pg_catalog.pg_namespace.nspname),make_array()) |
        +----------+-----------+--------+-------------------------------------------------------------------+
        | 1        | 1         | true   | [s]                                                               |
        +----------+-----------+--------+-------------------------------------------------------------------+"#]]).await;
    check("SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns WHERE table_schema = 'public' AND table_name = 't'", expect![[r#"
        +------------+-------------+-----------------------------+-------------+
        | table_name | column_name | data_type                   | is_nullable |
        +------------+-------------+-----------------------------+-------------+
        | t          | user_id     | integer                     | NO          |
        | t          | order_id    | bigint                      | NO          |
        | t          | Name        | character varying           | YES         |
        | t          | at          | timestamp without time zone | YES         |
        +------------+-------------+-----------------------------+-------------+"#]]).await;
    check(
        "SELECT 's'::name OPERATOR(pg_catalog.~) '^s' AS x, 5::oid AS y, 'a'::\"char\" AS z",
        expect![[r#"
            +------+---+---+
            | x    | y | z |
            +------+---+---+
            | true | 5 | a |
            +------+---+---+"#]],
    )
    .await;
}

#[tokio::test]
async fn subscripts_are_planned() {
    check(
        "SELECT unnest(i.indkey) AS number, generate_subscripts(i.indkey, 1) AS place FROM pg_catalog.pg_index i",
        expect![[r#"
            +--------+-------+
            | number | place |
            +--------+-------+
            | 1      | 1     |
            | 2      | 2     |
            +--------+-------+"#]],
    )
    .await;
}
