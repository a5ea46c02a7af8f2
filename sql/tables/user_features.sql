-- What the models read: an item for each user.
CREATE TABLE IF NOT EXISTS user_features (
  user_id INT,
  total_orders_lastest_month BIGINT,
  total_order_amount_latest_month DECIMAL(38, 2),
  total_discount_amount_latest_month DECIMAL(38, 2),
  total_orders_latest_year BIGINT,
  total_order_amount_latest_year DECIMAL(38, 2),
  total_discount_amount_latest_year DECIMAL(38, 2),
  PRIMARY KEY (user_id) NOT ENFORCED
) WITH (
  'connector' = 'dynamodb',
  'table-name' = 'user_features',
  'table.create' = 'if-not-exists'
);
