"""From the sending of an order to the moment when a reader of the result sees it. Sender and reader are processes of their own on the same clock.
The first seconds are left out: five of streamgate's, thirty of Flink's, whose JVM is slow for so long. The store alone and Kafka alone are
measured as well, since both engines wait for them."""
import collections
import contextlib
import statistics
import subprocess
import sys
import time

import orjson

from harness import environment, process
from harness.cases import guarded, run_clock, table
from harness.flink import RELEASES
from harness.run import EXACTLY_ONCE, submit
from harness.sender import order

FIRST_ID = 1000  # probes have smaller ones


class Pace:
    """How fast, how long, and how much of the beginning is left out."""

    def __init__(self, run, rate, warm_seconds):
        quick = run.options.quick
        self.rate, self.warm = rate, warm_seconds if not quick else min(warm_seconds, 8)
        self.seconds = self.warm + (5 if quick else 20)
        self.total = int(rate * self.seconds)
        # Of a table only so many are asked for, since each question is work for the store that the engine waits for.
        self.step = max(1, int(rate) // 200)


@contextlib.contextmanager
def sending(run, topic, pace):
    command = [sys.executable, "-B", "-m", "harness.sender", run.kafka.servers, topic, str(pace.rate), str(pace.seconds), str(FIRST_ID)]
    sender = subprocess.Popen(command, cwd=environment.CHECKOUT / "bench", stdout=subprocess.PIPE, text=True)
    try:
        line = sender.stdout.readline()
        if not line:
            raise process.Failed("the sender ended")
        yield float(line), sender
    finally:
        process.end(sender)
        sender.stdout.close()


class Seen:
    """Latencies by order."""

    def __init__(self, pace, begun):
        self.pace, self.begun, self.count, self.kept = pace, begun, 0, []

    def add(self, sent_us, now):
        self.count += 1
        sent = int(sent_us) / 1e6
        if sent >= self.begun + self.pace.warm:
            self.kept.append((now - sent) * 1000)

    def figures(self):
        if not self.kept:
            raise process.Failed("nothing arrived after the first seconds")
        if self.count != self.pace.total:
            raise process.Failed(f"{self.count:,} orders arrived instead of {self.pace.total:,}")
        return quantiles(self.kept) | {"records": len(self.kept), "missing": 0, "rate": self.pace.rate}


def quantiles(milliseconds):
    cuts = statistics.quantiles(milliseconds, n=100, method="inclusive")
    return {"p50": round(cuts[49], 2), "p90": round(cuts[89], 2), "p99": round(cuts[98], 2)}


class CpuShare:
    """CPU of an engine after the first seconds, in percent of a core."""

    def __init__(self, engine, begins):
        self.engine, self.begins, self.at = engine, begins, None

    def look(self):
        if self.engine and self.at is None and time.time() >= self.begins:
            self.at, self.cpu = run_clock(), self.engine.cpu()

    def figures(self):
        if self.at is None:
            return {}
        return {"cpu_percent": round(100 * (self.engine.cpu() - self.cpu) / (run_clock() - self.at), 1),
                "memory_mb": round(self.engine.memory()[0])}


def watch_topic(run, topic_in, topic_out, pace, engine):
    consumer = run.kafka.watch(topic_out)
    try:
        run.kafka.produce(topic_in, [("1", order(1, "2026-10-31 00:00:00.0"))])
        wait_message(consumer, 120, engine)
        with sending(run, topic_in, pace) as (begun, sender):
            seen, ids, share = Seen(pace, begun), set(), CpuShare(engine, begun + pace.warm)
            deadline = begun + pace.seconds + 30
            while seen.count < pace.total and time.time() < deadline:
                share.look()
                message = consumer.poll(0.05)
                if message is None or message.error():
                    continue
                now = time.time()
                row = orjson.loads(message.value())
                if row["order_id"] < FIRST_ID:
                    continue
                if row["order_id"] in ids:
                    raise process.Failed(f"order {row['order_id']} came twice")
                ids.add(row["order_id"])
                seen.add(row["order_status"], now)
            return seen.figures() | share.figures()
    finally:
        consumer.close()


def wait_message(consumer, seconds, engine):
    def arrived():
        message = consumer.poll(0.05)
        return message is not None and not message.error()
    process.wait_until(arrived, seconds, "the first record", 0, engine.process if engine else None)


def watch_table(run, topic_in, table_name, pace, engine):
    """Asks again and again for the orders that are still missing: for 200 of each second, oldest first. In the end all must be there."""
    store = run.backends.store_client()

    def look(numbers):
        found = store.call("BatchGetItem", RequestItems={table_name: {
            "Keys": [{"order_id": {"N": str(number)}} for number in numbers], "ProjectionExpression": "order_id, order_status"}})
        return [(int(item["order_id"]["N"]), item["order_status"]["S"]) for item in found["Responses"].get(table_name, [])]

    run.kafka.produce(topic_in, [("1", order(1, "2026-10-31 00:00:00.0"))])
    process.wait_until(lambda: look([1]), 120, "the first item", 0.02, engine.process)
    with sending(run, topic_in, pace) as (begun, sender):
        seen, share = Seen(pace, begun), CpuShare(engine, begun + pace.warm)
        missing, asked, polls, tracked = collections.OrderedDict(), 0, 0, len(range(0, pace.total, pace.step))
        deadline = begun + pace.seconds + 30
        while seen.count < tracked and time.time() < deadline:
            share.look()
            due = min(pace.total, int((time.time() - begun) * pace.rate))
            missing.update((FIRST_ID + number, None) for number in range(asked, due, pace.step))
            asked += len(range(asked, due, pace.step)) * pace.step
            waiting = list(missing)[:400]
            for at in range(0, len(waiting), 100):
                for number, stamp in look(waiting[at:at + 100]):
                    del missing[number]
                    seen.add(stamp, time.time())
                polls += 1
            time.sleep(0.002)  # the store has the engine to serve as well
        process.wait_until(lambda: sum(1 for _ in store.scan(table_name)) == pace.total + 1 or time.time() > deadline, 60, "the scan", 0.5)
        seen.count = sum(1 for _ in store.scan(table_name)) - 1  # without the probe
        return seen.figures() | share.figures() | {"poll_every_ms": round(1000 * pace.seconds / max(1, polls), 2)}


def store_alone(run, pace):
    """An order put and got, at this rate, by one client."""
    store, name = run.backends.store_client(), run.name("alone")
    store.create_table(name, "order_id")
    begun, taken, number = time.time(), [], 0
    while number < pace.total - pace.rate * pace.warm:
        before = time.time()
        if before < begun + number / pace.rate:
            time.sleep(begun + number / pace.rate - before)
            continue
        store.call("PutItem", TableName=name, Item={
            "order_id": {"N": str(number)}, "order_amount": {"N": "123.45"}, "coupon_code": {"S": "C001"},
            "coupon_discount_amount": {"N": "3.5"}, "user_id": {"N": str(number)}, "order_status": {"S": "1"},
            "created_at": {"S": "2026-10-31 00:00:00.0"}, "updated_at": {"S": "2026-10-31 00:00:00.0"}, "product_id": {"N": "7"}})
        store.call("GetItem", TableName=name, Key={"order_id": {"N": str(number)}})
        taken.append((time.time() - before) * 1000)
        number += 1
    wall = time.time() - begun
    store.call("DeleteTable", TableName=name)
    return quantiles(taken) | {"records": len(taken), "missing": 0, "rate": round(number / wall)}


def warm_up(run, rate):
    """Once a run: the broker, a JVM as well, is slow at many small requests until it has had some seconds of them."""
    if "warm" not in run.topics:
        run.topics["warm"] = True
        with run.out_topic("warm") as topic:
            watch_topic(run, topic, topic, Pace(run, rate, 10), None)


def turns(run, name, label, engines):
    """`engines`: name → what measures it, in turns."""
    for turn in range(run.options.rounds):
        for engine, measure in engines.items():
            if run.options.only == "streamgate" and engine.startswith("Flink") or run.options.only == "flink" and engine == "streamgate":
                continue
            guarded(run, name, engine, turn, measure, kind="latency", label=label)


def measure_dynamodb(run, name):
    tables = (table("kafka_orders"), table("dynamodb_orders"))

    def with_table(measure):
        store, out = run.backends.store_client(), run.name("latency")
        store.create_table(out, "order_id")
        try:
            with run.out_topic("latency_in") as topic:
                return measure(topic, out)
        finally:
            store.call("DeleteTable", TableName=out)

    def ours(pace):
        def measured(topic, out):
            with run.streamgate() as server:
                submit(server, "latency", run.sql(*tables, "orders_to_dynamodb.sql", TOPIC=topic, OUT=out))
                return watch_table(run, topic, out, pace, server)
        return with_table(measured)

    def flinks(pace):
        def measured(topic, out):
            text = run.sql(*tables, "orders_to_dynamodb.flink.sql", TOPIC=topic, OUT=out)
            with run.flink("1.20", [text]) as engine:
                engine.expect("begin")
                engine.go()
                engine.expect("submitted")
                return watch_table(run, topic, out, pace, engine)
        return with_table(measured)

    warm_up(run, 10_000)
    turns(run, name, "order → DynamoDB item, 200/s", {
        "streamgate": lambda: ours(Pace(run, 200, 5)), RELEASES["1.20"]: lambda: flinks(Pace(run, 200, 30)),
        "the store alone, put and get": lambda: store_alone(run, Pace(run, 200, 5))})
    turns(run, name, "order → DynamoDB item, 2,000/s", {
        "streamgate": lambda: ours(Pace(run, 2_000, 5)), "the store alone, put and get": lambda: store_alone(run, Pace(run, 2_000, 5))})


def measure_kafka(run, name, exactly_once=False):
    rate, interval = 10_000, "100 ms" if exactly_once else "1 s"
    guarantee = EXACTLY_ONCE if exactly_once else ""

    def ours():
        with run.out_topic("latency_in") as topic, run.out_topic("latency_out") as out:
            with run.streamgate(**{"execution.checkpointing.interval": interval}) as server:
                submit(server, "latency", run.sql(table("kafka_orders"), "filter.sql", TOPIC=topic, OUT=out, GUARANTEE=guarantee))
                return watch_topic(run, topic, out, Pace(run, rate, 5), server)

    def flinks():
        with run.out_topic("latency_in") as topic, run.out_topic("latency_out") as out:
            text = run.sql(table("kafka_orders"), "filter.sql", TOPIC=topic, OUT=out, GUARANTEE=guarantee)
            with run.flink("2.2", [text], checkpoint_interval=interval) as engine:
                engine.expect("begin")
                engine.go()
                engine.expect("submitted")
                return watch_topic(run, topic, out, Pace(run, rate, 30), engine)

    def alone():
        with run.out_topic("latency_in") as topic:
            return watch_topic(run, topic, topic, Pace(run, rate, 5), None)

    warm_up(run, rate)
    how = "exactly-once, checkpoints each 100 ms" if exactly_once else "at-least-once"
    engines = {"streamgate": ours, RELEASES["2.2"]: flinks}
    if not exactly_once:
        engines["Kafka alone"] = alone
    turns(run, name, f"Kafka → Kafka, 10,000/s, {how}", engines)


def measure_kafka_exactly_once(run, name):
    measure_kafka(run, name, exactly_once=True)
