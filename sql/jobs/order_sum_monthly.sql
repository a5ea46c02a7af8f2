-- Bounded: runs now, over the orders there are, and returns its count. To be run again each month until jobs can aggregate.
INSERT INTO order_sum_monthly SELECT user_id, DATE_FORMAT(created_at,'yyyy-MM'), COUNT(*), SUM(order_amount), SUM(coupon_discount_amount) FROM kafka_orders /*+ OPTIONS('scan.bounded.mode'='latest-offset') */ GROUP BY 1, 2;
