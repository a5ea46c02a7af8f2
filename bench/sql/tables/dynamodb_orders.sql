-- An item for each order. PARTITIONED BY tells Flink's sink the key, by which it merges what a batch writes twice.
CREATE TABLE dynamodb_orders (
  order_id INT, order_amount FLOAT, coupon_code VARCHAR(255), coupon_discount_amount FLOAT, user_id INT,
  order_status VARCHAR(255), created_at TIMESTAMP(3), updated_at TIMESTAMP(3), product_id INT
) PARTITIONED BY (order_id)
WITH ('connector' = 'dynamodb', 'table-name' = '${OUT}', 'aws.region' = 'us-east-1', 'aws.endpoint' = '${DYNAMODB}',
  'aws.credentials.provider' = 'BASIC', 'aws.credentials.basic.accesskeyid' = 'local', 'aws.credentials.basic.secretkey' = 'local');
