-- count_amount_discount of a user's orders in the eleven months before the current one; 0_0_0 for a user without any. Together with
-- latest_month_order_sum that makes twelve months. Months are compared as texts yyyy-MM, which sort as the months do.
CREATE OR REPLACE FUNCTION latest_year_order_sum(user_id BIGINT) RETURNS STRING LANGUAGE SQL AS $$
  SELECT CONCAT_WS('_',
    COALESCE(SUM(order_total), 0),
    COALESCE(SUM(CAST(total_amount AS NUMERIC)), 0),
    COALESCE(SUM(CAST(discount_amount AS NUMERIC)), 0))
  FROM order_sum_monthly
  WHERE user_id = $1
    AND month >= DATE_FORMAT(LOCALTIMESTAMP - INTERVAL '11' MONTH, 'yyyy-MM')
    AND month < DATE_FORMAT(LOCALTIMESTAMP, 'yyyy-MM')
$$;
