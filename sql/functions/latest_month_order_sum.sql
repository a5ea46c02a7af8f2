-- count_amount_discount of a user's orders in the current month of the time zone (table.local-time-zone); 0_0_0 for a user without any.
CREATE OR REPLACE FUNCTION latest_month_order_sum(user_id BIGINT) RETURNS STRING LANGUAGE SQL AS $$
  SELECT CONCAT_WS('_',
    COUNT(*),
    COALESCE(SUM(CAST(order_amount AS NUMERIC)), 0),
    COALESCE(SUM(CAST(coupon_discount_amount AS NUMERIC)), 0))
  FROM dynamodb_orders
  WHERE user_id = $1
    AND DATE_FORMAT(created_at, 'yyyy-MM') = DATE_FORMAT(LOCALTIMESTAMP, 'yyyy-MM')
$$;
