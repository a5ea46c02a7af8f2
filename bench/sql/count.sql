-- Bounded: what a person asks.
SELECT count(*), sum(order_amount) FROM kafka_orders;
