-- The features and the two lookup functions, for Flink.
CREATE FUNCTION latest_month_order_sum AS 'streamgate.bench.Lookups$$LatestMonth';
CREATE FUNCTION latest_year_order_sum AS 'streamgate.bench.Lookups$$LatestYear';
CREATE TABLE user_features (
  user_id INT, total_orders_lastest_month STRING, total_order_amount_latest_month STRING, total_discount_amount_latest_month STRING,
  total_orders_latest_year DOUBLE, total_order_amount_latest_year DOUBLE, total_discount_amount_latest_year DOUBLE
) PARTITIONED BY (user_id)
WITH ('connector' = 'dynamodb', 'table-name' = '${OUT}', 'aws.region' = 'us-east-1', 'aws.endpoint' = '${DYNAMODB}',
  'aws.credentials.provider' = 'BASIC', 'aws.credentials.basic.accesskeyid' = 'local', 'aws.credentials.basic.secretkey' = 'local');
