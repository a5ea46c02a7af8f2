//! The queries that jobs are held against the oracle with. To cover an operator, add its SQL here.

/// A query over the tables `orders` and `refunds`, and the number of its first columns that are the key of a sink written by key.
/// Where several rows of the result have the same key, any of them may be what the sink holds.
#[derive(Debug)]
pub struct Query {
    pub name: &'static str,
    pub keys: usize,
    pub sql: &'static str,
}

const fn query(name: &'static str, keys: usize, sql: &'static str) -> Query {
    Query { name, keys, sql }
}

pub const QUERIES: &[Query] = &[
    query("project", 1, "SELECT id, user_id, amount * 2 AS twice, UPPER(kind) FROM orders"),
    query("filter", 1, "SELECT id, amount FROM orders WHERE amount > 20 AND kind <> 'b'"),
    query("filter_without_key", 1, "SELECT user_id, amount FROM orders WHERE quantity > 1"),
    query(
        "union_all",
        2,
        "SELECT 'order' AS what, id, amount FROM orders UNION ALL SELECT 'refund', id, -amount FROM refunds",
    ),
    query("union_all_of_one_table", 1, "SELECT id, amount FROM orders UNION ALL SELECT id, -amount FROM orders"),
    query(
        "group",
        1,
        "SELECT user_id, COUNT(*), COUNT(discount), SUM(amount), AVG(amount), MIN(amount), MAX(discount), SUM(quantity) \
         FROM orders GROUP BY user_id",
    ),
    query("group_by_two", 2, "SELECT user_id, kind, COUNT(*), SUM(amount) FROM orders GROUP BY user_id, kind"),
    query("group_keys_turned", 2, "SELECT kind, user_id, SUM(amount) FROM orders GROUP BY user_id, kind"),
    query(
        "group_by_expression",
        1,
        "SELECT CONCAT('u', CAST(user_id % 3 AS VARCHAR)), SUM(amount - COALESCE(discount, 0)), COUNT(*) FROM orders \
         GROUP BY CONCAT('u', CAST(user_id % 3 AS VARCHAR))",
    ),
    query("group_of_filtered", 1, "SELECT user_id, SUM(amount) FROM orders WHERE quantity >= 2 GROUP BY user_id"),
    query(
        "distinct_aggregates",
        1,
        "SELECT user_id, COUNT(DISTINCT kind), COUNT(DISTINCT quantity), SUM(DISTINCT quantity) FROM orders GROUP BY user_id",
    ),
    query("one_distinct_aggregate", 1, "SELECT user_id, COUNT(DISTINCT kind) FROM orders GROUP BY user_id"),
    query(
        "filtered_aggregates",
        1,
        "SELECT user_id, COUNT(*) FILTER (WHERE kind = 'a'), SUM(amount) FILTER (WHERE quantity > 2), \
         MAX(amount) FILTER (WHERE discount IS NULL), COUNT(DISTINCT quantity) FILTER (WHERE kind <> 'c') \
         FROM orders GROUP BY user_id",
    ),
    query("having", 1, "SELECT user_id, SUM(amount) FROM orders GROUP BY user_id HAVING SUM(amount) > 900"),
    query(
        "having_on_count",
        2,
        "SELECT user_id, kind, COUNT(*) FROM orders GROUP BY user_id, kind HAVING COUNT(*) % 2 = 1",
    ),
    query(
        "grouping_sets",
        3,
        "SELECT GROUPING(user_id) * 2 + GROUPING(kind), user_id, kind, COUNT(*), SUM(amount) FROM orders \
         GROUP BY GROUPING SETS ((user_id, kind), (user_id), (kind), ())",
    ),
    query(
        "rollup",
        4,
        "SELECT user_id, kind, GROUPING(user_id), GROUPING(kind), SUM(amount) FROM orders GROUP BY ROLLUP (user_id, kind)",
    ),
    query(
        "cube",
        4,
        "SELECT user_id, kind, GROUPING(user_id), GROUPING(kind), MIN(amount), COUNT(*) FROM orders GROUP BY CUBE (user_id, kind)",
    ),
    query(
        "aggregate_of_aggregate",
        1,
        "SELECT n, COUNT(*), SUM(total) FROM (SELECT user_id, kind, COUNT(*) AS n, SUM(amount) AS total FROM orders \
         GROUP BY user_id, kind) AS q GROUP BY n",
    ),
    query(
        "aggregate_of_extremes",
        1,
        "SELECT kind, MAX(total), MIN(total), COUNT(DISTINCT n) FROM (SELECT user_id, kind, COUNT(*) AS n, \
         SUM(amount) AS total FROM orders GROUP BY user_id, kind) AS q GROUP BY kind",
    ),
    query("global", 1, "SELECT 'all' AS k, COUNT(*), SUM(amount), AVG(amount), MIN(id), MAX(id) FROM orders"),
    query(
        "global_of_aggregate",
        1,
        "SELECT 'all' AS k, COUNT(*), SUM(n), MAX(total) FROM (SELECT user_id, COUNT(*) AS n, SUM(amount) AS total \
         FROM orders GROUP BY user_id) AS q",
    ),
    query("distinct", 2, "SELECT DISTINCT user_id, kind FROM orders"),
    query("distinct_of_filtered", 1, "SELECT DISTINCT kind FROM orders WHERE quantity = 3"),
    query("other_key", 1, "SELECT kind, user_id, SUM(amount) FROM orders GROUP BY user_id, kind"),
    query("value_as_key", 1, "SELECT COUNT(*) AS n, user_id, MAX(amount) FROM orders GROUP BY user_id"),
    query("expression_of_value_as_key", 1, "SELECT COUNT(*) % 4 AS n, user_id FROM orders GROUP BY user_id"),
    query("filter_by_other_key", 1, "SELECT kind, id, amount FROM orders WHERE amount > 30"),
    query(
        "group_of_union",
        1,
        "SELECT user_id, SUM(amount), COUNT(*) FROM (SELECT user_id, amount FROM orders UNION ALL \
         SELECT user_id, -amount FROM refunds) AS q GROUP BY user_id",
    ),
    query(
        "union_of_groups",
        1,
        "SELECT user_id, SUM(amount) FROM orders GROUP BY user_id UNION ALL \
         SELECT user_id + 100, SUM(amount) FROM refunds GROUP BY user_id",
    ),
    query(
        "projection_of_group",
        1,
        "SELECT user_id, total + 1, n FROM (SELECT user_id, SUM(amount) AS total, COUNT(*) AS n FROM orders \
         GROUP BY user_id) AS q",
    ),
    query("key_twice", 2, "SELECT user_id, user_id AS again, COUNT(*) FROM orders GROUP BY user_id"),
    query("part_of_group_key", 1, "SELECT user_id, SUM(amount), kind FROM orders GROUP BY user_id, kind"),
    query(
        "expression_of_group_key",
        1,
        "SELECT user_id % 3, total FROM (SELECT user_id, SUM(amount) AS total FROM orders GROUP BY user_id) AS q",
    ),
    query("union", 1, "SELECT user_id FROM orders UNION SELECT user_id FROM refunds"),
    query(
        "group_of_distinct",
        1,
        "SELECT kind, COUNT(*), SUM(quantity) FROM (SELECT DISTINCT user_id, kind, quantity FROM orders) AS q GROUP BY kind",
    ),
    query(
        "distinct_of_group",
        2,
        "SELECT DISTINCT kind, n FROM (SELECT user_id, kind, COUNT(*) AS n FROM orders GROUP BY user_id, kind) AS q",
    ),
    query(
        "group_of_having",
        1,
        "SELECT kind, COUNT(*), MAX(total) FROM (SELECT user_id, kind, SUM(amount) AS total FROM orders \
         GROUP BY user_id, kind HAVING SUM(amount) > 100) AS q GROUP BY kind",
    ),
    query(
        "group_of_union_of_groups",
        1,
        "SELECT k, SUM(n), COUNT(*) FROM (SELECT user_id AS k, COUNT(*) AS n FROM orders GROUP BY user_id UNION ALL \
         SELECT quantity, COUNT(*) FROM refunds GROUP BY quantity) AS q GROUP BY k",
    ),
    query(
        "three_aggregates",
        1,
        "SELECT users, COUNT(*), SUM(total) FROM (SELECT n, COUNT(*) AS users, SUM(total) AS total FROM (SELECT user_id, kind, \
         COUNT(*) AS n, SUM(amount) AS total FROM orders GROUP BY user_id, kind) AS a GROUP BY n) AS b GROUP BY users",
    ),
    query(
        "having_between_filters",
        1,
        "SELECT user_id, n FROM (SELECT user_id, COUNT(*) AS n, MIN(amount) AS least FROM orders WHERE quantity <> 4 \
         GROUP BY user_id) AS q WHERE n > 3 AND least < 0",
    ),
    query(
        "group_by_case",
        1,
        "SELECT CASE WHEN amount > 50 THEN 'much' WHEN amount > 0 THEN 'some' ELSE COALESCE(kind, 'none') END AS class, COUNT(*), \
         MAX(kind), SUM(CASE WHEN discount IS NULL THEN 1 ELSE 0 END) FROM orders GROUP BY 1",
    ),
    query(
        "distinct_of_expressions",
        2,
        "SELECT DISTINCT COALESCE(kind, '?'), amount > 50 FROM orders WHERE discount IS NOT NULL OR quantity > 0",
    ),
    query(
        "unnest",
        2,
        "SELECT id, n, amount FROM (SELECT id, amount, unnest(range(0, quantity)) AS n FROM orders) AS q",
    ),
    query(
        "unnest_side_by_side",
        1,
        "SELECT id, unnest(range(0, quantity)), unnest(make_array(kind, 'x')), user_id FROM orders WHERE quantity <> 3",
    ),
    query(
        "filter_of_unnest",
        2,
        "SELECT user_id, n, id FROM (SELECT id, user_id, unnest(range(0, quantity)) AS n FROM orders) AS q WHERE n > 1",
    ),
    query(
        "group_of_unnest",
        1,
        "SELECT n, COUNT(*), SUM(amount), MAX(id) FROM (SELECT id, amount, unnest(range(0, quantity)) AS n FROM orders) AS q \
         GROUP BY n",
    ),
    query(
        "group_by_column_beside_unnest",
        1,
        "SELECT user_id, SUM(n), COUNT(*) FROM (SELECT user_id, unnest(range(0, quantity)) AS n FROM orders) AS q GROUP BY user_id",
    ),
    query(
        "unnest_of_group",
        2,
        "SELECT user_id, unnest(range(0, n % 7)), total FROM (SELECT user_id, COUNT(*) AS n, SUM(amount) AS total FROM orders \
         GROUP BY user_id) AS q",
    ),
    query(
        "unnest_of_unnest",
        1,
        "SELECT n, unnest(range(0, n)), id FROM (SELECT id, unnest(range(0, quantity)) AS n FROM orders) AS q",
    ),
    query("count_only", 1, "SELECT user_id, COUNT(*) FROM refunds GROUP BY user_id"),
];
