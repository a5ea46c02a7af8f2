"""Cases whose figure is CPU for each row: a topic is there, an engine works it off, the result is compared with the generator's. Engines take
turns, each in a new process for each round. Flink runs the same statement once before the one that counts, in the same JVM; streamgate
does not."""
import dataclasses
import datetime
from typing import Callable, Optional

from harness import orders, process
from harness.flink import RELEASES
from harness.run import BOUNDED, EXACTLY_ONCE, statements, submit

SEED_ORDERS, SEED_ITEMS, SEED_FEATURES = 1, 3, 5


@dataclasses.dataclass(frozen=True)
class Case:
    """`shape`: of the topic. `sink`: "topic" or the key of a DynamoDB table. `check`: orders, records or items → what was verified."""
    shape: orders.Shape
    sink: str
    check: Callable
    files: tuple
    flink_files: Optional[tuple] = None
    flink_release: str = "2.2"
    guarantee: str = ""


def table(name):
    return f"tables/{name}.sql"


def throughput(options):
    """The cases between a topic and another topic or a table, by name."""
    full = orders.Shape(options.rows, 50_000, SEED_ORDERS)
    items = orders.Shape(min(200_000, options.rows), 10_000, SEED_ITEMS)
    filter_files = (table("kafka_orders"), "filter.sql")
    group_files = (table("kafka_orders"), "group_by.sql")
    return {
        "filter": Case(full, "topic", orders.check_filtered, filter_files, filter_files),
        "filter_exactly_once": Case(full, "topic", orders.check_filtered, filter_files, filter_files, guarantee=EXACTLY_ONCE),
        "group_by": Case(full, "topic", orders.check_groups, group_files, group_files),
        "group_by_exactly_once": Case(full, "topic", orders.check_groups, group_files, guarantee=EXACTLY_ONCE.replace(
            ", 'properties.transaction.timeout.ms' = '600000'", "")),
        "orders_to_dynamodb": Case(
            items, "order_id", orders.check_items, (table("kafka_orders"), table("dynamodb_orders"), "orders_to_dynamodb.sql"),
            (table("kafka_orders"), table("dynamodb_orders"), "orders_to_dynamodb.flink.sql"), "1.20"),
    }


def run_throughput(run, name, case):
    topic, made = run.orders(case.shape)
    for turn in range(run.options.rounds):
        if run.options.only != "flink":
            guarded(run, name, "streamgate", turn, lambda: streamgate_turn(run, name, case, topic, made))
        if case.flink_files and run.options.only != "streamgate":
            guarded(run, name, RELEASES[case.flink_release], turn, lambda: flink_turn(run, name, case, topic, made))


def guarded(run, case, engine, turn, measure, **more):
    """A failure voids the figure and stands in the document; the other measurements go on."""
    try:
        figures = measure()
    except Exception as failure:  # a client's error is as good a reason, and hours of other cases follow
        figures = {"void": process.reason(failure)}
    run.record(case, engine, round=turn, **more, **figures)


class Meter:
    """CPU of an engine and of the backends between two moments."""

    def __init__(self, run, engine):
        self.run, self.engine = run, engine
        self.cpu, self.behind = engine.cpu(), run.backends.cpu()
        self.wall = run_clock()

    def figures(self, rows):
        wall, cpu, behind = run_clock() - self.wall, self.engine.cpu() - self.cpu, self.run.backends.cpu()
        million = rows / 1e6
        return {"rows": rows, "wall_s": round(wall, 3), "cpu_s": round(cpu, 2), "rows_per_s": round(rows / wall),
                "cpu_per_million": cpu / million, "kafka_per_million": (behind[0] - self.behind[0]) / million,
                "store_per_million": (behind[1] - self.behind[1]) / million}


def run_clock():
    return datetime.datetime.now().timestamp()


class Out:
    """Where a turn writes: a new topic, or a new table."""

    def __init__(self, run, case, base):
        self.run, self.case, self.name = run, case, run.name(base)

    def __enter__(self):
        if self.case.sink == "topic":
            self.run.kafka.create(self.name)
        else:
            self.run.backends.store_client().create_table(self.name, self.case.sink)
        return self

    def verify(self, made):
        """What was verified; `Failed` says what is wrong."""
        if self.case.sink == "topic":
            return self.case.check(made, self.run.kafka.read(self.name))
        return self.case.check(made, self.run.backends.store_client().scan(self.name))

    def __exit__(self, *_):
        if self.case.sink == "topic":
            self.run.kafka.delete(self.name)
        else:
            self.run.backends.store_client().call("DeleteTable", TableName=self.name)


def streamgate_turn(run, name, case, topic, made):
    with Out(run, case, name) as out, run.streamgate() as server:
        rest = server.memory()[0]
        text = run.sql(*case.files, TOPIC=topic, OUT=out.name, GUARANTEE=case.guarantee)
        *declarations, insert = statements(text)
        for statement in declarations:
            server.rows(statement)
        meter = Meter(run, server)
        server.rows(f"CREATE JOB {name} AS {insert}")
        server.wait_acknowledged(name, case.shape.rows)
        figures = meter.figures(case.shape.rows) | {"rest_mb": round(rest), "peak_mb": round(server.memory()[1])}
        server.rows(f"STOP JOB {name}")
        return figures | {"verified": out.verify(made)}


def flink_turn(run, name, case, topic, made, files=None, properties=None):
    with Out(run, case, name) as cold, Out(run, case, name) as warm:
        texts = [run.sql(*(files or case.flink_files), TOPIC=topic, OUT=out.name, GUARANTEE=case.guarantee, BOUNDED=BOUNDED)
                 for out in (cold, warm)]
        with run.flink(case.flink_release, texts, properties=properties or {}) as engine:
            figures, rest = [], None
            for _ in texts:
                engine.expect("begin")
                rest = rest or engine.memory()[0]
                meter = Meter(run, engine)
                engine.go()
                engine.expect("submitted")
                calls = engine.expect("end")["calls"]
                figures.append(meter.figures(case.shape.rows))
                peak = engine.memory()[1]
                engine.go()
        first, second = figures
        second |= {"rest_mb": round(rest), "peak_mb": round(peak), "cold_cpu_per_million": first["cpu_per_million"],
                   "cold_rows_per_s": first["rows_per_s"]}
        if calls:
            second["calls_per_row"] = calls / case.shape.rows
        cold.verify(made)
        return second | {"verified": warm.verify(made)}
