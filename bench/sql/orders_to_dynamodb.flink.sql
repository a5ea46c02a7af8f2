-- The same for Flink, whose sink throws NullPointerException on the first NULL column (FLINK-36428).
INSERT INTO dynamodb_orders
SELECT order_id, order_amount, COALESCE(coupon_code, ''), COALESCE(coupon_discount_amount, CAST(0 AS FLOAT)), COALESCE(user_id, 0),
  COALESCE(order_status, ''), created_at, updated_at, COALESCE(product_id, 0)
FROM kafka_orders
WHERE order_id IS NOT NULL AND order_amount IS NOT NULL AND created_at IS NOT NULL AND updated_at IS NOT NULL;
