-- The orders, as the article declares them but for its consumer group: each job shows its progress under a name of its own.
CREATE TABLE kafka_orders (
  order_id INT, order_amount FLOAT, coupon_code VARCHAR(255), coupon_discount_amount FLOAT, user_id INT,
  order_status VARCHAR(255), created_at TIMESTAMP(3), updated_at TIMESTAMP(3), product_id INT
) WITH ('connector' = 'kafka', 'topic' = '${TOPIC}', 'properties.bootstrap.servers' = '${KAFKA}',
  'format' = 'json', 'json.fail-on-missing-field' = 'false', 'json.ignore-parse-errors' = 'true',
  'scan.startup.mode' = 'earliest-offset'${BOUNDED});
