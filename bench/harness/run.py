"""One run of bench/compare: the backends, the topics that are loaded once, engines, results. What cases are given."""
import contextlib
import json
import os
import pathlib
import platform
import shutil
import string
import subprocess
import tempfile
import time

from harness import environment, process, streamgate
from harness.backends import Backends
from harness.flink import Flink
from harness.orders import Orders

SQL = environment.CHECKOUT / "bench" / "sql"
EXACTLY_ONCE = (", 'sink.delivery-guarantee' = 'exactly-once', 'sink.transactional-id-prefix' = '${OUT}', "
                "'properties.transaction.timeout.ms' = '600000'")
BOUNDED = ", 'scan.bounded.mode' = 'latest-offset'"


class Run:
    def __init__(self, options):
        self.options = options
        self.id = time.strftime("%Y-%m-%d %H:%M:%S")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="bench-", dir=environment.CACHE))
        self.topics, self.names = {}, 0
        self.backends = None
        self._write({"run": self.id, "conditions": self._conditions()})

    def __enter__(self):
        try:
            self.backends = Backends(self.folder, self.options.binary, self.options.dynamodb)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.backends:
            self.backends.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def kafka(self):
        return self.backends.kafka

    def name(self, base):
        """A name that nothing in this run has had yet."""
        self.names += 1
        return f"{base}_{self.names}"

    def orders(self, shape):
        """The topic with orders of this shape, and the orders. Loaded when first asked for."""
        if shape not in self.topics:
            begun = time.monotonic()
            name, orders = self.name("orders"), Orders(shape)
            self.kafka.create(name)
            self.kafka.produce(name, orders.records())
            self.topics[shape] = name, orders
            self.say(f"{shape.rows:,} orders of {shape.users:,} users loaded in {time.monotonic() - begun:.1f} s")
        return self.topics[shape]

    @contextlib.contextmanager
    def out_topic(self, base, **settings):
        """A new topic for one result, thrown away afterwards."""
        name = self.name(base)
        self.kafka.create(name, **settings)
        try:
            yield name
        finally:
            self.kafka.delete(name)

    def sql(self, *files, **variables):
        """The text of SQL files with their variables; those that a case does not give are empty."""
        variables = {"KAFKA": self.kafka.servers, "DYNAMODB": self.backends.dynamodb, "BOUNDED": "", "GUARANTEE": "", "OUT": ""} | variables
        text = "\n".join((SQL / file).read_text() for file in files)
        variables["GUARANTEE"] = string.Template(variables["GUARANTEE"]).substitute(variables)
        return string.Template(text).substitute(variables)

    @contextlib.contextmanager
    def streamgate(self, *flags, **settings):
        """A new server, which knows the backends."""
        folder = self.folder / self.name("streamgate")
        server = streamgate.Server(
            self.options.binary, folder,
            ["--kafka-bootstrap-servers", self.kafka.servers, "--aws-endpoint", self.backends.dynamodb, "--aws-region", "us-east-1",
             "--aws-access-key-id", "local", *flags], {"STREAMGATE_AWS_SECRET_ACCESS_KEY": "local"})
        try:
            for name, value in ({"execution.checkpointing.interval": "1 s", "parallelism.default": "2"} | settings).items():
                server.rows(f"SET '{name}' = '{value}'")
            yield server
        finally:
            server.stop()
            shutil.rmtree(folder, ignore_errors=True)

    @contextlib.contextmanager
    def flink(self, release, texts, **more):
        folder = self.folder / self.name("flink")
        engine = Flink(release, folder, texts, properties={"dynamodb": self.backends.dynamodb} | more.pop("properties", {}), **more)
        try:
            yield engine
        finally:
            engine.stop()
            shutil.rmtree(folder, ignore_errors=True)

    def record(self, case, engine, kind="cpu", label=None, **figures):
        """Keeps a result. `kind`: which table of the document. Figures are numbers, or what was verified, or why a figure is void."""
        self._write({"run": self.id, "case": case, "label": label or case, "kind": kind, "engine": engine,
                     "load": round(process.load(), 1)} | figures)
        shown = ", ".join(f"{name} {value:,.2f}" if isinstance(value, float) else f"{name} {value}" for name, value in figures.items())
        self.say(f"{label or case} · {engine}: {shown}")

    def _write(self, line):
        with open(self.options.results, "a") as results:
            results.write(json.dumps(line) + "\n")

    def _conditions(self):
        tool = lambda *command: subprocess.run(command, capture_output=True, text=True)
        first = lambda text: (text.strip().splitlines() or ["unknown"])[0]
        with open("/proc/cpuinfo") as file:
            model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), platform.machine())
        java = tool("java", "-version")
        return {"streamgate": first(tool(self.options.binary, "--version").stdout),
                "commit": first(tool("git", "-C", environment.CHECKOUT, "rev-parse", "--short=12", "HEAD").stdout),
                "java": first(java.stderr or java.stdout), "processor": model, "cores": os.cpu_count(),
                "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30), "kernel": platform.release(),
                "store": "another store (--dynamodb)" if self.options.dynamodb else "streamgate's embedded DynamoDB in a process of its own",
                "rows": self.options.rows, "rounds": self.options.rounds, "load": round(process.load(), 1),
                "command": self.options.command}

    def say(self, text):
        print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def statements(text):
    """The statements of a text that has them as our SQL files do: comments on lines of their own, ";" at the end of a line."""
    text = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("--"))
    return [part.strip() for part in (text + "\n").split(";\n") if part.strip()]


def submit(server, job, text):
    """Runs the declarations of a text, then its INSERT as a job of this name."""
    *declarations, insert = statements(text)
    for statement in declarations:
        server.rows(statement)
    server.rows(f"CREATE JOB {job} AS {insert}")
