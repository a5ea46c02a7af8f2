-- One item for each user and month: how many orders, their amounts and discounts.
CREATE TABLE IF NOT EXISTS order_sum_monthly (
  user_id INT,
  month VARCHAR(7), -- yyyy-MM
  order_total BIGINT,
  total_amount DECIMAL(38, 2),
  discount_amount DECIMAL(38, 2),
  PRIMARY KEY (user_id, month) NOT ENFORCED
) WITH (
  'connector' = 'dynamodb',
  'table-name' = 'order_sum_monthly',
  'table.create' = 'if-not-exists'
);
