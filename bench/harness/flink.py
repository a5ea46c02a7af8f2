"""Flink in a local mini cluster of one JVM: fetched and compiled once into the cache, run with bench/flink's Runner.

Settings, as Flink's documentation recommends for throughput: parallelism 2 (the cores), object reuse, state on the heap, G1, 2 GB of heap. Without
mini-batch: over 750,000 groups it merges few rows and cost more than it saved wherever it was tried."""
import json
import subprocess
import threading
import time

from harness import environment, process

MODULE = environment.CHECKOUT / "bench" / "flink"
# Java 17 hides what Flink's serializers look at.
OPENED = ["lang", "lang.reflect", "io", "math", "net", "nio", "text", "time", "util", "util.concurrent", "util.concurrent.atomic",
          "util.concurrent.locks"]
JVM = ["-Xmx2g", "-XX:+UseG1GC", *(f"--add-opens=java.base/java.{name}=ALL-UNNAMED" for name in OPENED),
       "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED"]
SETTINGS = {"parallelism.default": "2", "pipeline.object-reuse": "true", "state.backend.type": "hashmap",
            "execution.checkpointing.mode": "EXACTLY_ONCE", "restart-strategy.type": "none"}
RELEASES = {"2.2": "Flink 2.2.0", "1.20": "Flink 1.20.3"}


def build(release):
    """The class path of a release. Fetched completely or not at all; compiled anew when the sources changed."""
    folder = environment.CACHE / f"flink-{release}"
    sources = [MODULE / "pom.xml", *sorted((MODULE / "src").rglob("*.*"))]
    stamp = "\n".join(f"{path} {path.stat().st_mtime_ns}" for path in sources)
    ready = folder / "ready"
    if not ready.exists() or ready.read_text() != stamp:
        print(f"fetching and compiling for {RELEASES[release]}", flush=True)
        subprocess.run(["mvn", "-q", "-B", "-f", MODULE / "pom.xml", "-P", f"flink-{release}", f"-Dout={folder / 'target'}", "compile",
                        "dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={folder / 'lib'}"], check=True)
        ready.write_text(stamp)
    return f"{folder / 'target' / 'classes'}:{folder / 'lib'}/*"


class Flink:
    """One JVM that executes SQL texts one after the other."""

    def __init__(self, release, folder, texts, checkpoint_interval="1s", properties=None, settings=None):
        class_path = build(release)
        folder.mkdir(parents=True, exist_ok=True)
        files = []
        for number, text in enumerate(texts):
            files.append(folder / f"{number}.sql")
            files[-1].write_text(text)
        configuration = SETTINGS | {"execution.checkpointing.interval": checkpoint_interval,
                                    "execution.checkpointing.dir": (folder / "checkpoints").as_uri()} | (settings or {})
        command = ["java", *JVM, *(f"-D{name}={value}" for name, value in (properties or {}).items()), "-cp", class_path,
                   "streamgate.bench.Runner", *(f"{name}={value}" for name, value in configuration.items()), *map(str, files)]
        self.log_file = folder / "log"
        with open(self.log_file, "wb") as log:
            self.started = time.time()
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)

    @property
    def pid(self):
        return self.process.pid

    def expect(self, event, seconds=900):
        """The next event, which must be this one."""
        watchdog = threading.Timer(seconds, self.process.kill)
        watchdog.start()
        try:
            line = self.process.stdout.readline()
        finally:
            watchdog.cancel()
        if not line:
            raise process.Failed(f"Flink ended before \"{event}\": {self.last_error()}")
        found = json.loads(line)
        if found["event"] != event:
            raise process.Failed(f"Flink said {line!r} instead of \"{event}\"")
        return found

    def go(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def last_error(self):
        lines = self.log_file.read_text(errors="replace").splitlines()
        causes = [line for line in lines if line.startswith(("Caused by:", "Exception in thread"))]
        return (causes or lines or ["nothing in its log"])[-1]

    def cpu(self):
        return process.cpu_seconds(self.pid)

    def memory(self):
        return process.memory_mb(self.pid)

    def stop(self):
        process.end(self.process)
        self.process.stdin.close()
        self.process.stdout.close()
