"""How streamgate's cost grows with keys, threads and jobs: for each million rows it should stay the same."""
from harness import orders
from harness.cases import SEED_ORDERS, Meter, guarded, table
from harness.run import submit

SEED_SCALE = 8


def measure(run, name):
    if run.options.only == "flink":
        return
    keys = [count for count in (10_000, 100_000, 1_000_000) if count <= run.options.rows] + [10_000_000] * run.options.ten_million
    for turn in range(run.options.rounds):
        for count in keys:
            # A single month, so that there are as many groups as users.
            shape = orders.Shape(max(run.options.rows, count), count, SEED_SCALE, days=28)
            for threads in (1, 2):
                guarded(run, name, "streamgate", turn, lambda: group_by(run, shape, threads),
                        label=f"GROUP BY, {count:,} keys, {threads} job thread{'s' * (threads > 1)}")
        for jobs in (1, 10, 100):
            guarded(run, name, "streamgate", turn, lambda: filters(run, jobs), label=f"filter, {jobs} job{'s' * (jobs > 1)}")


def group_by(run, shape, threads):
    topic, made = run.orders(shape)
    with run.out_topic("scale") as out, run.streamgate("--job-threads", str(threads), **{"parallelism.default": str(threads)}) as server:
        rest = server.memory()[0]
        text = run.sql(table("kafka_orders"), "group_by.sql", TOPIC=topic, OUT=out)
        meter = Meter(run, server)
        submit(server, "scale", text)
        server.wait_acknowledged("scale", shape.rows)
        figures = meter.figures(shape.rows) | {"rest_mb": round(rest), "peak_mb": round(server.memory()[1])}
        server.rows("STOP JOB scale")
        return figures | {"verified": orders.check_groups(made, run.kafka.read(out))}


def parts(run, jobs, made):
    """The orders dealt out to as many topics; made once."""
    key = ("parts", jobs)
    if key not in run.topics:
        names = [run.name("part") for _ in range(jobs)]
        run.kafka.create(*names, partitions=4 if jobs == 1 else 1)
        producer_records = [[] for _ in names]
        for number, record in enumerate(made.records()):
            producer_records[number % jobs].append(record)
        for topic, records in zip(names, producer_records):
            run.kafka.produce(topic, records)
        run.topics[key] = [(topic, len(records)) for topic, records in zip(names, producer_records)], made
    return run.topics[key][0]


def filters(run, jobs):
    _, made = run.orders(orders.Shape(run.options.rows, 50_000, SEED_ORDERS))
    topics = parts(run, jobs, made)
    outs = [run.name("scale") for _ in topics]
    run.kafka.create(*outs, partitions=1)
    try:
        with run.streamgate(**{"parallelism.default": "2" if jobs == 1 else "1"}) as server:
            rest, meter = server.memory()[0], None
            for number, ((topic, _), out) in enumerate(zip(topics, outs)):
                text = run.sql(table("kafka_orders"), "filter.sql", TOPIC=topic, OUT=out)
                for name in ("kafka_orders", "filtered"):
                    text = text.replace(f"TABLE {name} ", f"TABLE {name}_{number} ").replace(f"FROM {name} ", f"FROM {name}_{number} ")
                text = text.replace("INSERT INTO filtered", f"INSERT INTO filtered_{number}")
                meter = meter or Meter(run, server)
                submit(server, f"scale_{number}", text)
            for number, (_, count) in enumerate(topics):
                server.wait_acknowledged(f"scale_{number}", count)
            figures = meter.figures(made.shape.rows) | {"rest_mb": round(rest), "peak_mb": round(server.memory()[1])}
        records = (record for out in outs for record in run.kafka.read(out))
        return figures | {"verified": orders.check_filtered(made, records)}
    finally:
        run.kafka.delete(*outs)
