-- A job: every order becomes an item that expires at the end of its month. An order without a time of creation is in no month.
INSERT INTO dynamodb_orders
SELECT
  order_id, order_amount, coupon_code, coupon_discount_amount, user_id, order_status, created_at, updated_at, product_id,
  DATE_TRUNC('month', created_at) + INTERVAL '1' MONTH AS expires_at
FROM kafka_orders
WHERE created_at IS NOT NULL;
