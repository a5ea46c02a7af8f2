"""What a client of the Postgres protocol waits for, beside PostgreSQL where it can do the same: one round of each in turns, medians of the
rounds, and the ratio of them where both have a figure."""
import collections
import contextlib
import pathlib
import re
import statistics
import subprocess
import time

import psycopg

from harness import process
from harness.dynamodb import Client
from harness.postgres import Postgres, programs
from harness.streamgate import Server

IDLE_JOBS = 100
MANY_IDS = 50_000
MANY_ROWS = 1_000_000


class Bench:
    """The two servers of a run, and the figures: (case, engine) → one for each round."""

    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.figures, self.units = collections.defaultdict(list), {}

    def keep(self, case, engine, value, unit):
        self.units[case] = unit
        self.figures[case, engine].append(value)
        print(f"  {case}, {engine}: {value:.4g} {unit}", flush=True)

    def fresh(self, name):
        """A server of the binary under measurement that is like a new one."""
        path = self.folder / f"{name}-{len(list(self.folder.iterdir()))}"
        return contextlib.closing(Closing(Server(self.options.binary, path)))


class Closing:
    """`close` for a server, as contextlib wants it."""

    def __init__(self, server):
        self.server = server

    def close(self):
        self.server.stop()


def pgbench(bench, engine, server, database):
    """Transactions a second over 32 connections, and the median answer over one."""
    script = bench.folder / "select-1.sql"
    script.write_text("SELECT 1\n")
    base = [str(programs() / "pgbench"), "-n", "-h", "127.0.0.1", "-p", str(server.port), "-U", "bench", "-f", str(script)]
    for mode in ["simple", "extended", "prepared"]:
        shown = run_pgbench([*base, "-M", mode, "-c", "32", "-j", "1", "-T", str(bench.options.seconds), database])
        bench.keep(f"SELECT 1, 32 connections, {mode}", engine, float(re.search(r"tps = ([\d.]+)", shown)[1]), "tps")
    log = bench.folder / "transactions"
    run_pgbench([*base, "-M", "prepared", "-c", "1", "-l", f"--log-prefix={log}", "-T", str(bench.options.seconds), database])
    taken = []
    for part in bench.folder.glob("transactions.*"):
        taken += [int(line.split()[2]) for line in part.read_text().splitlines()]
        part.unlink()
    bench.keep("SELECT 1, 1 connection, prepared, p50", engine, statistics.median(taken) / 1000, "ms")


def run_pgbench(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode or not re.search(r"tps = ", done.stdout):
        raise process.Failed(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def rows_to_psycopg(bench, engine, server):
    """A million rows of a number, a decimal and a text into Python, by the cursor of the client."""
    text = f"SELECT i, i * 1.5 AS amount, 'row ' || CAST(i AS VARCHAR(20)) AS name FROM generate_series(1, {MANY_ROWS}) AS s (i)"
    with server.connect() as connection:
        begun = time.monotonic()
        count = sum(1 for _ in connection.cursor().stream(text))
        if count != MANY_ROWS:
            raise process.Failed(f"{count} rows instead of {MANY_ROWS}")
        bench.keep("a million rows to psycopg", engine, time.monotonic() - begun, "s")


def many_ids(bench, engine, server):
    """IN of many literals over a table of a hundred thousand rows, the text read, planned and run."""
    server.connection.execute("CREATE TABLE IF NOT EXISTS many_ids (id INT PRIMARY KEY, name VARCHAR(20))")
    if not server.connection.execute("SELECT 1 FROM many_ids LIMIT 1").fetchone():
        server.connection.execute("INSERT INTO many_ids SELECT i, 'name' FROM generate_series(1, 100000) AS s (i)")
    ids = ", ".join(str(3 * number) for number in range(1, MANY_IDS + 1))
    begun = time.monotonic()
    found = server.connection.execute(f"SELECT count(*) FROM many_ids WHERE id IN ({ids})".encode()).fetchone()[0]
    bench.keep(f"IN of {MANY_IDS:,} ids", engine, time.monotonic() - begun, "s")
    if int(found) != 33333:
        raise process.Failed(f"{found} rows by IN")


def point_read(bench, server):
    """One DynamoDB item by its key in a prepared statement, less the store's own time for the same GetItem."""
    server.rows("""CREATE TABLE IF NOT EXISTS items (id INT, name VARCHAR(20), amount DECIMAL(10, 2), PRIMARY KEY (id) NOT ENFORCED)
        WITH ('connector' = 'dynamodb', 'table-name' = 'items', 'table.create' = 'if-not-exists')""")
    server.rows("INSERT INTO items SELECT i, 'name', 1.5 FROM generate_series(1, 100) AS s (i)")
    store = Client(server.value("SHOW aws.endpoint"))

    def by_sql(number):
        row = server.connection.execute("SELECT * FROM items WHERE id = %s", (number,), prepare=True).fetchone()
        assert row[0] == number

    def direct(number):
        assert store.call("GetItem", TableName="items", Key={"id": {"N": str(number)}})["Item"]

    def nothing(number):
        assert server.connection.execute("SELECT CAST(%s AS INT)", (number,), prepare=True).fetchone()[0] == number

    medians = {}
    for name, read in [("sql", by_sql), ("store", direct), ("nothing", nothing)]:
        for number in range(1, 101):
            read(number)
        taken = []
        for turn in range(1000):
            begun = time.perf_counter()
            read(turn % 100 + 1)
            taken.append(time.perf_counter() - begun)
        medians[name] = statistics.median(taken) * 1000
    bench.keep("read of an item by its key", "streamgate", medians["sql"], "ms")
    bench.keep("GetItem of the store alone, from Python", "streamgate", medians["store"], "ms")
    bench.keep("a statement without a table, from psycopg", "streamgate", medians["nothing"], "ms")
    bench.keep("read of an item beyond the store's time", "streamgate", medians["sql"] - medians["store"], "ms")


def first_row(bench, server):
    """The first row of a result that never ends, at a thousand rows a second."""
    server.rows("CREATE TABLE IF NOT EXISTS endless (id INT) WITH ('connector' = 'datagen', 'rows-per-second' = '1000')")
    with server.connect() as connection:
        begun = time.monotonic()
        rows = connection.cursor().stream("SELECT id FROM endless")
        next(rows)
        bench.keep("first row of an endless result", "streamgate", (time.monotonic() - begun) * 1000, "ms")
        connection.cancel_safe()
        with contextlib.suppress(psycopg.errors.QueryCanceled):
            collections.deque(rows, 0)


def start(bench):
    """From the start of the process in an empty folder, embedded backends included, until it has answered SELECT 1; what it holds a moment later."""
    with bench.fresh("start") as fresh:
        server = fresh.server
        bench.keep("start to the first answer", "streamgate", (server.answered - server.started) * 1000, "ms")
        time.sleep(2)
        bench.keep("memory at rest", "streamgate", server.memory()[0], "MB")


def idle_jobs(bench):
    """Many jobs to which nothing comes: each reads a topic of its own into another."""
    with bench.fresh("jobs") as fresh:
        server = fresh.server
        for number in range(IDLE_JOBS):
            server.rows(f"""CREATE TABLE a{number} (id INT) WITH ('connector' = 'kafka', 'topic' = 'a{number}', 'format' = 'json',
                'topic.create' = 'if-not-exists', 'scan.startup.mode' = 'earliest-offset')""")
            server.rows(f"""CREATE TABLE b{number} (id INT) WITH ('connector' = 'kafka', 'topic' = 'b{number}', 'format' = 'json',
                'topic.create' = 'if-not-exists')""")
            server.rows(f"CREATE JOB j{number} AS INSERT INTO b{number} SELECT id FROM a{number}")
        process.wait_until(lambda: server.value("SELECT count(*) FROM streamgate.jobs WHERE state = 'RUNNING'") == IDLE_JOBS, 120, "all jobs to run", 0.5)
        time.sleep(5)
        cpu, begun = server.cpu(), time.monotonic()
        time.sleep(10)
        bench.keep(f"{IDLE_JOBS} idle jobs: share of a core", "streamgate", 100 * (server.cpu() - cpu) / (time.monotonic() - begun), "%")
        bench.keep(f"{IDLE_JOBS} idle jobs: memory", "streamgate", server.memory()[0], "MB")


# Each: what it is given besides the bench — both servers in turns, one of ours that goes on, or none.
BOTH, OURS, NONE = "both", "ours", "none"
CASES = {
    "pgbench": (BOTH, pgbench),
    "rows": (BOTH, rows_to_psycopg),
    "many_ids": (BOTH, many_ids),
    "point_read": (OURS, point_read),
    "first_row": (OURS, first_row),
    "start": (NONE, start),
    "idle_jobs": (NONE, idle_jobs),
}


def measure(options, folder: pathlib.Path):
    bench = Bench(options, folder)
    with contextlib.ExitStack() as stack:
        postgres = Postgres(folder / "postgres")
        stack.callback(postgres.stop)
        ours = stack.enter_context(bench.fresh("streamgate")).server
        for name in options.case or CASES:
            kind, case = CASES[name]
            for turn in range(1 if case is idle_jobs else options.rounds):
                if kind == BOTH:
                    pair = [("streamgate", ours, "streamgate"), ("PostgreSQL", postgres, "postgres")]
                    for engine, server, database in pair if turn % 2 else pair[::-1]:
                        case(bench, engine, server, *([database] if case is pgbench else []))
                else:
                    case(bench, *([ours] if kind == OURS else []))
        report(bench)


def report(bench):
    print("\n| | streamgate | PostgreSQL | ratio |\n|---|---|---|---|")
    for case, unit in bench.units.items():
        ours, theirs = bench.figures[case, "streamgate"], bench.figures.get((case, "PostgreSQL"))
        ratio = f"{statistics.median(ours) / statistics.median(theirs):.2f}" if theirs else ""
        print(f"| {case} | {shown(ours, unit)} | {shown(theirs, unit) if theirs else ''} | {ratio} |")


def shown(values, unit):
    digits = ",.0f" if statistics.median(values) >= 1000 else ".3g"
    return f"{statistics.median(values):{digits}} {unit} ({min(values):{digits}}–{max(values):{digits}})"
