-- A job: every order refreshes the features of its user. It reads behind orders_to_dynamodb, so the order itself is in them.
INSERT INTO user_features (
user_id,
total_orders_lastest_month,
total_order_amount_latest_month,
total_discount_amount_latest_month,
total_orders_latest_year,
total_order_amount_latest_year,
total_discount_amount_latest_year
)
SELECT
user_id,
SPLIT_INDEX(latest_month_order_sum(user_id), '_' ,0) as total_orders_lastest_month,
SPLIT_INDEX(latest_month_order_sum(user_id), '_' ,1) as total_order_amount_latest_month,
SPLIT_INDEX(latest_month_order_sum(user_id), '_' ,2) as total_discount_amount_latest_month,
SPLIT_INDEX(latest_month_order_sum(user_id), '_' ,0) + SPLIT_INDEX(latest_year_order_sum(user_id), '_' ,0) as total_orders_latest_year,
SPLIT_INDEX(latest_month_order_sum(user_id), '_' ,1) + SPLIT_INDEX(latest_year_order_sum(user_id), '_' ,1) as total_order_amount_latest_year,
SPLIT_INDEX(latest_month_order_sum(user_id), '_' ,2) + SPLIT_INDEX(latest_year_order_sum(user_id), '_' ,2) as total_discount_amount_latest_year
FROM kafka_orders;
