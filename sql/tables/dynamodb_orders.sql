-- The orders of the current month, an item each. An item expires at the end of its month: expires_at is the TTL attribute, which DynamoDB
-- clears by; what counts as the current month is decided by the functions, not by the expiry.
CREATE TABLE IF NOT EXISTS dynamodb_orders (
  order_id INT,
  order_amount DECIMAL(10, 2),
  coupon_code VARCHAR(255),
  coupon_discount_amount DECIMAL(10, 2),
  user_id INT,
  order_status VARCHAR(255),
  created_at TIMESTAMP(3),
  updated_at TIMESTAMP(3),
  product_id INT,
  expires_at TIMESTAMP(3),
  PRIMARY KEY (user_id, order_id) NOT ENFORCED
) PARTITIONED BY (user_id)
WITH (
  'connector' = 'dynamodb',
  'table-name' = 'order_detail_latest_month',
  'table.create' = 'if-not-exists',
  'sink.ttl.attribute' = 'expires_at'
);
