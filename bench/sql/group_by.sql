-- Orders by user and month → upsert-kafka.
CREATE TABLE sums (user_id INT, m STRING, order_total BIGINT, total_amount FLOAT, discount_amount FLOAT, PRIMARY KEY (user_id, m) NOT ENFORCED)
WITH ('connector' = 'upsert-kafka', 'topic' = '${OUT}', 'properties.bootstrap.servers' = '${KAFKA}', 'key.format' = 'json',
  'value.format' = 'json'${GUARANTEE});
INSERT INTO sums
SELECT user_id, DATE_FORMAT(created_at, 'yyyy-MM') AS m, COUNT(*), SUM(order_amount), SUM(coupon_discount_amount)
FROM kafka_orders WHERE user_id IS NOT NULL AND created_at IS NOT NULL
GROUP BY user_id, DATE_FORMAT(created_at, 'yyyy-MM');
