-- Kafka JSON → filter and projection → Kafka JSON. ${GUARANTEE}: empty, or the options of exactly-once.
CREATE TABLE filtered (order_id INT, user_id INT, net_amount FLOAT, order_status VARCHAR(255), created_at TIMESTAMP(3))
WITH ('connector' = 'kafka', 'topic' = '${OUT}', 'properties.bootstrap.servers' = '${KAFKA}', 'format' = 'json'${GUARANTEE});
INSERT INTO filtered
SELECT order_id, user_id, order_amount - coupon_discount_amount, order_status, created_at
FROM kafka_orders WHERE order_amount > 10 AND user_id IS NOT NULL;
