-- A job: backfill and stream in one statement. Every order counts in its user's month at once, whatever the month.
INSERT INTO order_sum_monthly SELECT user_id, DATE_FORMAT(created_at, 'yyyy-MM'), COUNT(*), SUM(order_amount), SUM(coupon_discount_amount) FROM kafka_orders GROUP BY user_id, DATE_FORMAT(created_at, 'yyyy-MM');
