-- The whole pipeline, in order, against any server:
--   psql -h 127.0.0.1 -p 5439 streamgate -v ON_ERROR_STOP=1 -f sql/pipeline.sql
-- The topic "orders" must be there (the embedded Kafka makes it when it is first asked for it).

\ir tables/kafka_orders.sql
\ir tables/dynamodb_orders.sql
\ir tables/order_sum_monthly.sql
\ir tables/user_features.sql

\ir functions/latest_month_order_sum.sql
\ir functions/latest_year_order_sum.sql

\ir jobs/orders_to_dynamodb.sql
\ir jobs/order_sum_monthly.sql
\ir jobs/user_features.sql
