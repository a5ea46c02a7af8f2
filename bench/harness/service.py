"""What surrounds the work: how soon it starts, how it comes back after kill -9, what it weighs while it has nothing to do, and whether it answers while it works.
Figures that streamgate has and Flink's local mini cluster can not have (its state ends with the process, it has no SQL port) stand alone."""
import time

from harness import orders, process
from harness.cases import SEED_ORDERS, run_clock, table
from harness.flink import RELEASES
from harness.kafka import first_arrival
from harness.latency import quantiles
from harness.run import submit

SEED_START, SEED_RESTART = 6, 7
STATE_MB = 100


class Values:
    """Values of one turn of one engine, each a line of its own in the document."""

    def __init__(self, run, case, engine, turn):
        self.run, self.case, self.engine, self.turn = run, case, engine, turn

    def add(self, label, value, unit, **more):
        self.run.record(self.case, self.engine, kind="value", label=label, round=self.turn, value=round(value, 2), unit=unit, **more)


def in_turns(run, name, label, engines):
    """`engines`: name → what measures and adds values. A failure stands under `label`."""
    for turn in range(run.options.rounds):
        for engine, measure in engines.items():
            if run.options.only == "streamgate" and engine.startswith("Flink") or run.options.only == "flink" and engine == "streamgate":
                continue
            try:
                measure(Values(run, name, engine, turn))
            except Exception as failure:  # as in cases.guarded
                run.record(name, engine, kind="value", label=label, round=turn, void=process.reason(failure))


def measure_start(run, name):
    topic, _ = run.orders(orders.Shape(6_000, 5_000, SEED_START))
    files = (table("kafka_orders"), "filter.sql")
    first_row = "process start → first row out, 6,000 rows waiting"

    def ours(values):
        with run.out_topic(name) as out:
            consumer = run.kafka.watch(out)
            try:
                with run.streamgate() as server:
                    values.add("process start → first answer", (server.answered - server.started) * 1000, "ms")
                    submitted = time.time()
                    submit(server, "start", run.sql(*files, TOPIC=topic, OUT=out))
                    row = first_arrival(consumer, 60, server.process)
                values.add(first_row, (row - server.started) * 1000, "ms")
                values.add("declarations and job submitted → first row out", (row - submitted) * 1000, "ms")
            finally:
                consumer.close()

    def flinks(values):
        with run.out_topic(name) as out:
            consumer = run.kafka.watch(out)
            try:
                with run.flink("2.2", [run.sql(*files, TOPIC=topic, OUT=out)]) as engine:
                    engine.expect("begin")
                    submitted = time.time()
                    engine.go()
                    row = first_arrival(consumer, 120, engine.process)
                values.add(first_row, (row - engine.started) * 1000, "ms")
                values.add("declarations and job submitted → first row out", (row - submitted) * 1000, "ms")
            finally:
                consumer.close()

    in_turns(run, name, first_row, {"streamgate": ours, RELEASES["2.2"]: flinks})


def measure_restart(run, name):
    rows = run.options.rows
    needed_mb = STATE_MB if rows >= 2_000_000 else STATE_MB * rows / 4_000_000
    label = f"kill -9 in the midst of GROUP BY with {needed_mb:.0f} MB of state or more: process start → first new record"
    topic, made = run.orders(orders.Shape(rows, max(1, rows * 3 // 4), SEED_RESTART, days=28))

    def ours(values):
        with run.out_topic(name) as out, run.streamgate() as server:
            submit(server, "restart", run.sql(table("kafka_orders"), "group_by.sql", TOPIC=topic, OUT=out))
            state = "SELECT COALESCE(SUM(state_bytes), 0) FROM streamgate.job_operators WHERE job = 'restart'"
            kept = "SELECT COALESCE(SUM(bytes), 0) FROM streamgate.job_checkpoints WHERE job = 'restart'"
            process.wait_until(lambda: int(server.value(state)) / 1e6 >= needed_mb and int(server.value(kept)), 120,
                               f"{needed_mb:.0f} MB of state", 0.02, server.process)
            state_mb, done = int(server.value(state)) / 1e6, server.acknowledged("restart")
            server.kill()
            if done >= rows:
                raise process.Failed(f"the job had done all {rows:,} rows when its state had {state_mb:.0f} MB")
            folder_mb = sum(file.stat().st_size for file in (server.folder / "jobs").rglob("*") if file.is_file()) / 1e6
            consumer = run.kafka.watch(out)
            try:
                server.start()
                arrived = first_arrival(consumer, 120, server.process)
            finally:
                consumer.close()
            server.wait_acknowledged("restart", rows)
            verified = orders.check_groups(made, run.kafka.read(out))
            values.add(label, (arrived - server.started) * 1000, "ms", verified=verified)
            values.add("… process start → first answer", (server.answered - server.started) * 1000, "ms")
            values.add("… state when it was killed", state_mb, "MB")
            values.add("… of which in checkpoints on disk", folder_mb, "MB")

    in_turns(run, name, label, {"streamgate": ours})


def settled_mb(engine):
    """Resident memory once it has not changed by more than 1 % for three seconds."""
    last, since, until = engine.memory()[0], time.monotonic(), time.monotonic() + 40
    while time.monotonic() - since < 3 and time.monotonic() < until:
        time.sleep(0.2)
        now = engine.memory()[0]
        if abs(now - last) > last / 100:
            last, since = now, time.monotonic()
    return engine.memory()[0]


def cpu_percent(engine, seconds=5):
    cpu, clock = engine.cpu(), run_clock()
    time.sleep(seconds)  # the measurement itself
    return 100 * (engine.cpu() - cpu) / (run_clock() - clock)


def measure_idle(run, name):
    def ours(values):
        with run.out_topic("idle_in") as topic, run.out_topic("idle_out") as out, run.streamgate() as server:
            values.add("memory at rest", settled_mb(server), "MB")
            *_, insert = run.sql(table("kafka_orders"), "filter.sql", TOPIC=topic, OUT=out).rpartition("INSERT INTO")
            jobs = 0
            for wanted, label in ((1, "one idle job"), (10, "ten idle jobs"), (100, "a hundred idle jobs")):
                while jobs < wanted:
                    jobs += 1
                    if jobs == 1:
                        submit(server, "idle_1", run.sql(table("kafka_orders"), "filter.sql", TOPIC=topic, OUT=out))
                    else:
                        # The same statement a second time is refused.
                        other = insert.strip().rstrip(";").replace("> 10", f"> {10 + jobs}")
                        server.rows(f"CREATE JOB idle_{jobs} AS INSERT INTO {other}")
                # Running, that is with its sources open and checkpoints taken.
                process.wait_until(lambda: int(server.value(
                    "SELECT COUNT(DISTINCT job) FROM streamgate.job_splits")) >= wanted, 120, f"{wanted} jobs to run", 0.1, server.process)
                values.add(f"memory with {label}", settled_mb(server), "MB")
                values.add(f"CPU with {label}", cpu_percent(server), "% of a core")

    def flinks(values):
        with run.out_topic("idle_in") as topic, run.out_topic("idle_out") as out:
            with run.flink("2.2", [run.sql(table("kafka_orders"), "filter.sql", TOPIC=topic, OUT=out)]) as engine:
                engine.expect("begin")
                values.add("memory at rest", settled_mb(engine), "MB")
                engine.go()
                engine.expect("submitted")
                process.wait_until(lambda: any((engine.log_file.parent / "checkpoints").glob("*/chk-*/_metadata")), 120,
                                   "the first checkpoint", 0.1, engine.process)
                values.add("memory with one idle job", settled_mb(engine), "MB")
                values.add("CPU with one idle job", cpu_percent(engine), "% of a core")

    in_turns(run, name, "memory at rest", {"streamgate": ours, RELEASES["2.2"]: flinks})


def measure_select_1(run, name):
    rows = run.options.rows
    topic, _ = run.orders(orders.Shape(rows, 50_000, SEED_ORDERS))
    items = 1_000

    def timed(ask, enough):
        taken = []
        while not enough(len(taken)):
            begun = time.perf_counter()
            ask()
            taken.append((time.perf_counter() - begun) * 1000)
        if len(taken) < 20:
            raise process.Failed(f"only {len(taken)} answers while the job ran")
        return quantiles(taken)

    def add(values, label, found):
        values.add(f"{label}, p50", found["p50"], "ms")
        values.add(f"{label}, p99", found["p99"], "ms")

    def ours(values):
        with run.out_topic(name) as out, run.streamgate() as server:
            asking, watching = server.connect(), server.connect()
            select = lambda: asking.execute("SELECT 1").fetchone()
            add(values, "SELECT 1, nothing else to do", timed(select, lambda count: count >= 2_000))
            submit(server, "load", run.sql(table("kafka_orders"), "group_by.sql", TOPIC=topic, OUT=out))
            process.wait_until(lambda: int(server.value("SELECT rows_in FROM streamgate.jobs WHERE name = 'load'") or 0), 60,
                               "the job to begin", 0.01, server.process)
            last = [time.monotonic(), False]

            def job_is_through(_):
                if time.monotonic() - last[0] > 0.1:
                    last[:] = time.monotonic(), int(watching.execute("SELECT rows_in FROM streamgate.jobs WHERE name = 'load'").fetchone()[0]) \
                        >= rows * 0.99
                return last[1]
            add(values, "SELECT 1 while GROUP BY works at full load", timed(select, job_is_through))
            server.wait_acknowledged("load", rows)
            server.rows("STOP JOB load")
            asking.close()
            watching.close()

    def point_read(values):
        store, place = run.backends.store_client(), run.name("point")
        store.create_table(place, "order_id")
        try:
            store.write(place, ({"order_id": number, "order_amount": 12.5, "order_status": "paid", "user_id": number}
                                for number in range(1, items + 1)))
            with run.streamgate() as server:
                server.rows(run.sql(table("dynamodb_orders"), OUT=place))
                numbers = iter(range(1, items + 1))

                def read():
                    number = next(numbers)
                    found = server.rows(f"SELECT order_status, user_id FROM dynamodb_orders WHERE order_id = {number}")
                    if found != [("paid", number)]:
                        raise process.Failed(f"order {number} is read as {found}")
                add(values, "point read of a DynamoDB item by SQL", timed(read, lambda count: count >= items))
                numbers = iter(range(1, items + 1))
                add(values, "the same item by GetItem from the store",
                    timed(lambda: store.call("GetItem", TableName=place, Key={"order_id": {"N": str(next(numbers))}}), lambda count: count >= items))
        finally:
            store.call("DeleteTable", TableName=place)

    in_turns(run, name, "SELECT 1", {"streamgate": ours})
    in_turns(run, name, "point read of a DynamoDB item by SQL", {"streamgate": point_read})
