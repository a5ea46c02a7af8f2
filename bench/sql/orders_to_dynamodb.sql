-- Kafka → DynamoDB, as one would write it.
INSERT INTO dynamodb_orders
SELECT order_id, order_amount, coupon_code, coupon_discount_amount, user_id, order_status, created_at, updated_at, product_id
FROM kafka_orders
WHERE order_amount IS NOT NULL;
