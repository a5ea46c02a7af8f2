-- The feature job as the article writes it, with the casts that Flink asks for. It calls a function for each mention: nine calls a row.
INSERT INTO user_features
SELECT user_id,
  SPLIT_INDEX(latest_month_order_sum(user_id), '_', 0),
  SPLIT_INDEX(latest_month_order_sum(user_id), '_', 1),
  SPLIT_INDEX(latest_month_order_sum(user_id), '_', 2),
  CAST(SPLIT_INDEX(latest_month_order_sum(user_id), '_', 0) AS DOUBLE) + CAST(SPLIT_INDEX(latest_year_order_sum(user_id), '_', 0) AS DOUBLE),
  CAST(SPLIT_INDEX(latest_month_order_sum(user_id), '_', 1) AS DOUBLE) + CAST(SPLIT_INDEX(latest_year_order_sum(user_id), '_', 1) AS DOUBLE),
  CAST(SPLIT_INDEX(latest_month_order_sum(user_id), '_', 2) AS DOUBLE) + CAST(SPLIT_INDEX(latest_year_order_sum(user_id), '_', 2) AS DOUBLE)
FROM kafka_orders WHERE user_id IS NOT NULL;
