"""A process of the release binary, asked over one Postgres connection. Used by bench/compare and bench/jobs."""
import itertools
import os
import pathlib
import socket
import subprocess
import time

import psycopg

from harness import process


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """`streamgate serve` with a data folder of its own. `extra` are more flags, `environment` more variables."""

    def __init__(self, binary, folder, extra=(), environment=None):
        self.binary, self.folder, self.extra = str(binary), pathlib.Path(folder), list(extra)
        # A server that someone configured in this shell is none of the measurement's business.
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("STREAMGATE_")} | (environment or {})
        self.port = free_port()
        self.connection = None
        self.start()

    def start(self):
        """Starts the process and returns once it answers; `started` and `answered` are clock readings."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [self.binary, "serve", "--listen", f"127.0.0.1:{self.port}", "--data-dir", str(self.folder), "--log", "warn"]
        with open(self.folder / "log", "ab") as log:
            self.started = time.time()
            self.process = subprocess.Popen(command + self.extra, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment)
        process.wait_until(self._connect, 60, f"the server to answer; see {self.folder}/log", 0.001, self.process)
        self.answered = time.time()

    def _connect(self):
        try:
            connection = self.connect()
            connection.execute("SELECT 1").fetchone()
        except psycopg.OperationalError:
            return False
        self.connection = connection
        return True

    def connect(self):
        return psycopg.connect(host="127.0.0.1", port=self.port, user="bench", dbname="streamgate", autocommit=True)

    @property
    def pid(self):
        return self.process.pid

    def rows(self, text):
        """Runs statements; the rows of the last one that has any."""
        try:
            # Bytes go by the simple protocol: several statements at once, each answered in text.
            cursor = self.connection.execute(text.encode())
            found = []
            while True:
                if cursor.description:
                    found = cursor.fetchall()
                if not cursor.nextset():
                    return found
        except psycopg.Error as error:
            detail = getattr(error.diag, "message_detail", None)
            raise process.Failed(f"{error}{' ' + detail if detail else ''}\n{text}") from error

    def value(self, text):
        found = self.rows(text)
        return found[0][0] if found else None

    def acknowledged(self, job):
        """Records that the job has read and written durably. Offsets count the records of a topic that is not cut."""
        query = "SELECT COALESCE(SUM(acknowledged), 0) FROM streamgate.job_splits WHERE job = %s"
        # Prepared, since it is asked again and again of the process that is measured.
        return int(self.connection.execute(query, (job,), prepare=True).fetchone()[0])

    def wait_acknowledged(self, job, records, seconds=900):
        polls = itertools.count(1)

        def done():
            count = self.acknowledged(job)
            if count < records and next(polls) % 20 == 0:
                state, error = self.rows(f"SELECT state, last_error FROM streamgate.jobs WHERE name = '{job}'")[0]
                if state == "FAILED":
                    raise process.Failed(f"job {job} failed: {error}")
            return count >= records
        # Seldom when it takes long: what an answer costs is the engine's cost too.
        process.wait_until(done, seconds, f"job {job} to acknowledge {records} records", 0.1, self.process, 0.02)

    def cpu(self):
        return process.cpu_seconds(self.pid)

    def memory(self):
        return process.memory_mb(self.pid)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.connection.close()

    def stop(self):
        if self.connection:
            self.connection.close()
        process.end(self.process)
