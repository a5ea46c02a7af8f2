"""All cases by name, in the order in which they run."""
from harness import cases, count, features, latency, scale, service

THROUGHPUT = ["filter", "filter_exactly_once", "group_by", "group_by_exactly_once", "orders_to_dynamodb"]
OTHERS = {
    "features": features.measure,
    "count": count.measure,
    "start": service.measure_start,
    "restart": service.measure_restart,
    "idle": service.measure_idle,
    "select_1": service.measure_select_1,
    "latency_dynamodb": latency.measure_dynamodb,
    "latency_kafka": latency.measure_kafka,
    "latency_kafka_exactly_once": latency.measure_kafka_exactly_once,
    "scale": scale.measure,
}
NAMES = [*THROUGHPUT, *OTHERS]


def measure(run, name):
    if name in THROUGHPUT:
        cases.run_throughput(run, name, cases.throughput(run.options)[name])
    else:
        OTHERS[name](run, name)
