-- The whole pipeline, in order, against any server:
--   psql -h 127.0.0.1 -p 5439 streamgate -v ON_ERROR_STOP=1 -f sql/pipeline.sql
-- The jobs wait for the topic "orders" until it is there: the embedded Kafka makes it with the first record.
-- The two functions are part of the server as well; they stand here so that the pipeline can be read as a whole.

\ir tables/kafka_orders.sql
\ir tables/dynamodb_orders.sql
\ir tables/order_sum_monthly.sql
\ir tables/user_features.sql

\ir functions/latest_month_order_sum.sql
\ir functions/latest_year_order_sum.sql

\ir jobs/orders_to_dynamodb.sql
\ir jobs/order_sum_monthly.sql
\ir jobs/user_features.sql
