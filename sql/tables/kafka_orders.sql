-- The orders, as JSON records of the topic "orders". Blank bootstrap servers mean the server's default Kafka.
-- Without a group of its own (properties.group.id) each job that reads it shows its progress under a name of the job's.
-- Money is DECIMAL, so that it stays exact all the way; FLOAT works too.
CREATE TABLE IF NOT EXISTS kafka_orders (
  order_id INT,
  order_amount DECIMAL(10, 2),
  coupon_code VARCHAR(255), -- NULL without a coupon
  coupon_discount_amount DECIMAL(10, 2),
  user_id INT,
  order_status VARCHAR(255), -- 1: created, 2: completed
  created_at TIMESTAMP(3),
  updated_at TIMESTAMP(3),
  product_id INT
) WITH (
  'connector' = 'kafka',
  'topic' = 'orders',
  'properties.bootstrap.servers' = '',
  'format' = 'json',
  'json.fail-on-missing-field' = 'false',
  'json.ignore-parse-errors' = 'true',
  'scan.startup.mode' = 'earliest-offset'
);
