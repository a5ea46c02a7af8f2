//! What EXPLAIN says of a few plans, and how plans that cannot run are refused.

use std::sync::Arc;

use expect_test::{Expect, expect};

use super::job::{declare_target, session_over};
use super::log::Log;
use super::sink::{Broker, Mode, Target};
use crate::changelog::Changelog;
use crate::engine::dataflow::JobSettings;
use crate::engine::planner::{PlannedInsert, plan_job};
use crate::engine::testing::plan;
use crate::error::Result;

/// EXPLAIN of one INSERT over logs of this kind, with two tasks.
async fn explained(changelog: Changelog, sql: &str, keys: usize, mode: Mode) -> Result<String> {
    let logs: Vec<Arc<Log>> =
        ["orders", "refunds"].iter().map(|name| Log::generate(name, changelog, 10, false, 1)).collect();
    let context = session_over(&logs);
    let query = plan(&context, sql).await;
    let target = Target::new(declare_target("target", &query, keys, mode), mode, &Broker::new(0, 0), 0);
    let settings = JobSettings::new("UTC", [("parallelism.default", "2")])?;
    let dataflow =
        plan_job(&[PlannedInsert { query: &query, sink: target.provider(), columns: None }], settings).await?;
    Ok(dataflow.explain().join("\n"))
}

async fn check(changelog: Changelog, sql: &str, keys: usize, mode: Mode, expected: Expect) {
    expected.assert_eq(&explained(changelog, sql, keys, mode).await.unwrap());
}

#[tokio::test]
async fn a_filter_stays_in_its_task_and_a_sink_by_key_gets_the_keys_together() {
    let sql = "SELECT id, amount * 2 FROM orders WHERE quantity > 1";
    check(
        Changelog::Append,
        sql,
        1,
        Mode::Append,
        expect![[r#"
        Sink: target, needs inserts, at-least-once [sink-0]
          Projection: orders.id, orders.amount * Decimal128(2,20,0) AS orders.amount * Int64(2) [project-0]
            Filter: orders.quantity > Int64(1) [filter-0]
              Source: orders columns [id, amount, quantity] [source-0]
        Parallelism: 2; checkpoint every 1000 ms"#]],
    )
    .await;
    check(
        Changelog::Append,
        sql,
        1,
        Mode::Upsert,
        expect![[r#"
        Sink: target, needs changes by key (c0), at-least-once [sink-0]
          Exchange: hash(orders.id)
            Projection: orders.id, orders.amount * Decimal128(2,20,0) AS orders.amount * Int64(2) [project-0]
              Filter: orders.quantity > Int64(1) [filter-0]
                Source: orders columns [id, amount, quantity] [source-0]
        Parallelism: 2; checkpoint every 1000 ms"#]],
    )
    .await;
}

#[tokio::test]
async fn a_group_aggregate_gives_changes_by_key_where_that_is_the_sinks_key() {
    let sql = "SELECT user_id, COUNT(*), SUM(amount) FROM orders GROUP BY user_id";
    check(Changelog::Append, sql, 1, Mode::Upsert, expect![[r#"
        Sink: target, needs changes by key (c0), at-least-once [sink-0]
          Projection: orders.user_id, count(Int64(1)) AS count(*), sum(orders.amount) [project-1]
            GroupAggregate: by [orders.user_id], count(Int64(1)), sum(orders.amount); state: one row a group [aggregate-0] changelog=upsert
              Exchange: hash(orders.user_id)
                Projection: orders.user_id, orders.amount [project-0]
                  Source: orders columns [user_id, amount] [source-0]
        Parallelism: 2; checkpoint every 1000 ms"#]]).await;
    check(Changelog::Append, sql, 1, Mode::ChangelogOnce, expect![[r#"
        Sink: target, takes all changes, exactly-once [sink-0]
          Projection: orders.user_id, count(Int64(1)) AS count(*), sum(orders.amount) [project-1]
            GroupAggregate: by [orders.user_id], count(Int64(1)), sum(orders.amount); state: one row a group [aggregate-0] changelog=retract
              Exchange: hash(orders.user_id)
                Projection: orders.user_id, orders.amount [project-0]
                  Source: orders columns [user_id, amount] [source-0]
        Parallelism: 2; checkpoint every 1000 ms"#]]).await;
}

#[tokio::test]
async fn changes_by_key_are_made_full_and_another_key_of_the_sink_is_materialised() {
    let sql = "SELECT kind, id, amount FROM orders";
    check(
        Changelog::Upsert,
        sql,
        1,
        Mode::Upsert,
        expect![[r#"
        Sink: target, needs changes by key (c0), at-least-once [sink-0]
          SinkMaterializer: by [orders.kind]; state: the live rows of each key [sink-materializer-0] changelog=upsert
            Exchange: hash(orders.kind)
              Projection: orders.kind, orders.id, orders.amount [project-0]
                ChangelogNormalize: by [id]; state: the last row of each key [normalize-0] changelog=retract
                  Exchange: hash(id)
                    Source: orders columns [id, kind, amount], changelog=upsert [source-0]
        Parallelism: 2; checkpoint every 1000 ms"#]],
    )
    .await;
}

#[tokio::test]
async fn writes_wait_for_the_checkpoint_where_a_replay_need_not_repeat_their_keys() {
    let sql = "SELECT n, COUNT(*) FROM (SELECT user_id, COUNT(*) AS n FROM orders GROUP BY user_id) AS q GROUP BY n";
    check(Changelog::Append, sql, 1, Mode::Upsert, expect![[r#"
        Sink: target, needs changes by key (c0), at-least-once, written after each checkpoint [sink-0]
          Exchange: hash(q.n)
            Projection: q.n, count(Int64(1)) AS count(*) [project-3]
              GroupAggregate: by [q.n], count(Int64(1)); state: one row a group [aggregate-1] changelog=upsert
                Exchange: hash(q.n)
                  Projection: q.n [project-2]
                    Projection: count(Int64(1)) AS count(*) AS n [project-1]
                      GroupAggregate: by [orders.user_id], count(Int64(1)); state: one row a group [aggregate-0] changelog=retract
                        Exchange: hash(orders.user_id)
                          Projection: orders.user_id [project-0]
                            Source: orders columns [user_id] [source-0]
        Parallelism: 2; checkpoint every 1000 ms"#]]).await;
    check(Changelog::Append, sql, 1, Mode::UpsertOnce, expect![[r#"
        Sink: target, needs changes by key (c0), exactly-once [sink-0]
          Projection: q.n, count(Int64(1)) AS count(*) [project-3]
            GroupAggregate: by [q.n], count(Int64(1)); state: one row a group [aggregate-1] changelog=upsert
              Exchange: hash(q.n)
                Projection: q.n [project-2]
                  Projection: count(Int64(1)) AS count(*) AS n [project-1]
                    GroupAggregate: by [orders.user_id], count(Int64(1)); state: one row a group [aggregate-0] changelog=retract
                      Exchange: hash(orders.user_id)
                        Projection: orders.user_id [project-0]
                          Source: orders columns [user_id] [source-0]
        Parallelism: 2; checkpoint every 1000 ms"#]]).await;
}

#[tokio::test]
async fn grouping_sets_are_a_projection_each() {
    let sql = "SELECT user_id, kind, SUM(amount) FROM orders GROUP BY GROUPING SETS ((user_id, kind), (user_id))";
    check(Changelog::Append, sql, 2, Mode::Upsert, expect![[r#"
        Sink: target, needs changes by key (c0, c1), at-least-once, written after each checkpoint [sink-0]
          Exchange: hash(orders.user_id, orders.kind)
            SinkMaterializer: by [orders.user_id, orders.kind]; state: the live rows of each key [sink-materializer-0] changelog=upsert
              Exchange: hash(orders.user_id, orders.kind)
                Projection: orders.user_id, orders.kind, sum(orders.amount) [project-2]
                  GroupAggregate: by [orders.user_id, orders.kind, UInt8(0)], sum(orders.amount); state: one row a group [aggregate-0] changelog=retract
                    Exchange: hash(orders.user_id, orders.kind, UInt8(0))
                      Union
                        Projection: orders.user_id, orders.kind, UInt8(0), orders.amount [project-0]
                          Source: orders columns [user_id, kind, amount] [source-0]
                        Projection: orders.user_id, Utf8(NULL), UInt8(1), orders.amount [project-1]
                          Source [source-0], as above
        Parallelism: 2; checkpoint every 1000 ms"#]]).await;
}

#[tokio::test]
async fn what_comes_of_an_array_has_no_key_and_stays_in_its_task() {
    let sql = "SELECT id, unnest(range(0, quantity)) FROM orders";
    // The rows of an id are several, so that the source's key is none of theirs; they are together still.
    check(Changelog::Upsert, sql, 1, Mode::Upsert, expect![[r#"
        Sink: target, needs changes by key (c0), at-least-once [sink-0]
          SinkMaterializer: by [orders.id]; state: the live rows of each key [sink-materializer-0] changelog=upsert
            Projection: orders.id, __unnest_placeholder(range(Int64(0),orders.quantity),depth=1) AS UNNEST(range(Int64(0),orders.quantity)) [project-1]
              Unnest: range(Int64(0), orders.quantity) AS __unnest_placeholder(range(Int64(0),orders.quantity)) [unnest-0]
                Projection: orders.id, range(Int64(0), orders.quantity) AS __unnest_placeholder(range(Int64(0),orders.quantity)) [project-0]
                  ChangelogNormalize: by [id]; state: the last row of each key [normalize-0] changelog=retract
                    Exchange: hash(id)
                      Source: orders columns [id, quantity], changelog=upsert [source-0]
        Parallelism: 2; checkpoint every 1000 ms"#]]).await;
    let sql = "SELECT user_id, SUM(n) FROM (SELECT user_id, unnest(range(0, quantity)) AS n FROM orders) AS q GROUP BY user_id";
    check(Changelog::Append, sql, 1, Mode::Upsert, expect![[r#"
        Sink: target, needs changes by key (c0), at-least-once [sink-0]
          GroupAggregate: by [q.user_id], sum(q.n); state: one row a group [aggregate-0] changelog=upsert
            Exchange: hash(q.user_id)
              Projection: q.user_id, q.n [project-2]
                Projection: orders.user_id, __unnest_placeholder(range(Int64(0),orders.quantity),depth=1) AS UNNEST(range(Int64(0),orders.quantity)) AS n [project-1]
                  Unnest: range(Int64(0), orders.quantity) AS __unnest_placeholder(range(Int64(0),orders.quantity)) [unnest-0]
                    Projection: orders.user_id, range(Int64(0), orders.quantity) AS __unnest_placeholder(range(Int64(0),orders.quantity)) [project-0]
                      Source: orders columns [user_id, quantity] [source-0]
        Parallelism: 2; checkpoint every 1000 ms"#]]).await;
}

#[tokio::test]
async fn what_cannot_run_is_refused_with_operator_reason_and_way_out() {
    let refused = [
        ("SELECT user_id, COUNT(*) FROM orders GROUP BY user_id", Mode::Append),
        ("SELECT id, amount FROM orders", Mode::Append),
        ("SELECT id, SUM(amount) OVER (PARTITION BY user_id) FROM orders", Mode::Upsert),
        ("SELECT orders.id, refunds.amount FROM orders JOIN refunds ON orders.id = refunds.id", Mode::Upsert),
        ("SELECT id, amount FROM orders ORDER BY amount LIMIT 3", Mode::Upsert),
        ("SELECT id FROM orders INTERSECT SELECT id FROM refunds", Mode::Upsert),
        ("SELECT unnest(unnest(make_array(make_array(id)))) FROM orders", Mode::Upsert),
        ("SELECT unnest(named_struct('a', id, 'b', id)) FROM orders", Mode::Upsert),
    ];
    let mut texts = Vec::new();
    for (sql, mode) in refused {
        let error = explained(Changelog::Upsert, sql, 1, mode).await.unwrap_err();
        assert_eq!(error.sqlstate().code(), "0A000");
        texts.push(format!("{sql}\n  {error}\n  hint: {}", error.hint_text().unwrap()));
    }
    expect![[r#"
        SELECT user_id, COUNT(*) FROM orders GROUP BY user_id
          table "target" takes only inserts, and the query gives updates and deletes (retract) (They come from operator GroupAggregate.)
          hint: Write to an upsert-kafka or DynamoDB table with a PRIMARY KEY, or use a CDC format such as debezium-json.
        SELECT id, amount FROM orders
          table "target" takes only inserts, and the query gives updates and deletes (retract) (They come from operator ChangelogNormalize.)
          hint: Write to an upsert-kafka or DynamoDB table with a PRIMARY KEY, or use a CDC format such as debezium-json.
        SELECT id, SUM(amount) OVER (PARTITION BY user_id) FROM orders
          operator WindowAggr cannot run in a job: OVER windows keep state of a kind that jobs cannot yet
          hint: Aggregate with GROUP BY, or bound the source by /*+ OPTIONS('scan.bounded.mode'='latest-offset') */ to run it once.
        SELECT orders.id, refunds.amount FROM orders JOIN refunds ON orders.id = refunds.id
          operator Join cannot run in a job: joins keep state of a kind that jobs cannot yet
          hint: Use a lookup function over a keyed table.
        SELECT id, amount FROM orders ORDER BY amount LIMIT 3
          operator Sort cannot run in a job: an endless query has no last row
          hint: Remove it, or bound the source.
        SELECT id FROM orders INTERSECT SELECT id FROM refunds
          operator Join cannot run in a job: joins keep state of a kind that jobs cannot yet
          hint: Use a lookup function over a keyed table.
        SELECT unnest(unnest(make_array(make_array(id)))) FROM orders
          operator Unnest cannot run in a job: it takes arrays within arrays apart in one step
          hint: Use CROSS JOIN UNNEST (a) AS t (b) CROSS JOIN UNNEST (b) AS u (c).
        SELECT unnest(named_struct('a', id, 'b', id)) FROM orders
          operator Unnest cannot run in a job: it makes columns of the fields of a row
          hint: Name the fields: SELECT item.field."#]].assert_eq(&texts.join("\n"));
}
