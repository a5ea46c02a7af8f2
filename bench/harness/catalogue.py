"""All cases by name, in the order in which they run."""
from harness import cases

THROUGHPUT = ["filter", "filter_exactly_once", "group_by", "group_by_exactly_once", "orders_to_dynamodb"]
OTHERS = {}
NAMES = [*THROUGHPUT, *OTHERS]


def measure(run, name):
    if name in THROUGHPUT:
        cases.run_throughput(run, name, cases.throughput(run.options)[name])
    else:
        OTHERS[name](run, name)
