-- The same, each function once a row. Needs functions that say they are not deterministic, else the planner takes the sub-select apart.
INSERT INTO user_features
SELECT user_id, SPLIT_INDEX(m, '_', 0), SPLIT_INDEX(m, '_', 1), SPLIT_INDEX(m, '_', 2),
  CAST(SPLIT_INDEX(m, '_', 0) AS DOUBLE) + CAST(SPLIT_INDEX(y, '_', 0) AS DOUBLE),
  CAST(SPLIT_INDEX(m, '_', 1) AS DOUBLE) + CAST(SPLIT_INDEX(y, '_', 1) AS DOUBLE),
  CAST(SPLIT_INDEX(m, '_', 2) AS DOUBLE) + CAST(SPLIT_INDEX(y, '_', 2) AS DOUBLE)
FROM (SELECT user_id, latest_month_order_sum(user_id) AS m, latest_year_order_sum(user_id) AS y
      FROM kafka_orders WHERE user_id IS NOT NULL);
