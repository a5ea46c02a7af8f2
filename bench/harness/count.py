"""What a person asks of a topic: how many orders, and their sum. Bounded, so Flink runs it in batch mode."""
import re

from harness import orders, process
from harness.cases import SEED_ORDERS, Meter, guarded, table
from harness.flink import RELEASES
from harness.run import BOUNDED, statements


def check(made, count, amount):
    right = made.cents[made.kind == orders.WHOLE].sum() / 100
    if count != made.decodable():
        raise process.Failed(f"count is {count:,} instead of {made.decodable():,}")
    if abs(amount - right) > right * 1e-3:
        raise process.Failed(f"sum is {amount:,.2f} instead of {right:,.2f}")
    return f"count exact, sum off by {abs(amount - right) / right:.1e} (a sum of FLOAT)"


def measure(run, name):
    topic, made = run.orders(orders.Shape(run.options.rows, 50_000, SEED_ORDERS))
    text = run.sql(table("kafka_orders"), "count.sql", TOPIC=topic, BOUNDED=BOUNDED)
    for turn in range(run.options.rounds):
        if run.options.only != "flink":
            guarded(run, name, "streamgate", turn, lambda: streamgate_turn(run, text, made))
        if run.options.only != "streamgate":
            guarded(run, name, f"{RELEASES['2.2']}, batch", turn, lambda: flink_turn(run, text, made))


def streamgate_turn(run, text, made):
    with run.streamgate() as server:
        rest = server.memory()[0]
        declaration, query = statements(text)
        server.rows(declaration)
        meter = Meter(run, server)
        (count, amount), = server.rows(query)
        return meter.figures(made.shape.rows) | {"rest_mb": round(rest), "peak_mb": round(server.memory()[1]),
                                                 "verified": check(made, int(count), float(amount))}


def flink_turn(run, text, made):
    with run.flink("2.2", [text, text], settings={"execution.runtime-mode": "BATCH"}) as engine:
        figures, rest = [], None
        for _ in range(2):
            engine.expect("begin")
            rest = rest or engine.memory()[0]
            meter = Meter(run, engine)
            engine.go()
            engine.expect("submitted")
            count, amount = re.fullmatch(r"\+\w\[(.+), (.+)\]", engine.expect("end")["last_row"]).groups()
            figures.append(meter.figures(made.shape.rows))
            peak = engine.memory()[1]
            engine.go()
    cold, warm = figures
    return warm | {"rest_mb": round(rest), "peak_mb": round(peak), "cold_cpu_per_million": cold["cpu_per_million"],
                   "verified": check(made, int(count), float(amount))}
