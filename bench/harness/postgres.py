"""A PostgreSQL of its own: made by initdb, started on a free port of the loopback, ended by process id. As root its programs run as `postgres`,
since they refuse to run as root."""
import os
import pathlib
import pwd
import shutil
import subprocess
import sys

import psycopg

from harness import process
from harness.streamgate import free_port


def programs():
    """The folder of the newest `postgres` and `initdb`."""
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    if shutil.which("initdb"):
        return pathlib.Path(shutil.which("initdb")).parent
    sys.exit("no PostgreSQL is installed (apt-get install postgresql)")


class Postgres:
    """`postgres` with its defaults, but that it does not wait for the disk."""

    def __init__(self, folder):
        self.folder, self.port = folder, free_port()
        self.owner = {}
        if os.geteuid() == 0:
            entry = pwd.getpwnam("postgres")
            self.owner = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
            folder.parent.chmod(0o755)
            folder.mkdir()
            os.chown(folder, entry.pw_uid, entry.pw_gid)
        subprocess.run([programs() / "initdb", "-D", folder, "-U", "bench", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"],
                       check=True, stdout=subprocess.DEVNULL, cwd="/", **self.owner)
        command = [programs() / "postgres", "-D", folder, "-p", str(self.port), "-h", "127.0.0.1", "-k", "", "-F", "-c", "max_connections=200"]
        with open(folder.parent / "postgres.log", "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", **self.owner)
        self.connection = process.wait_until(self._connect, 60, "PostgreSQL to answer", 0.05, self.process)

    def _connect(self):
        try:
            return self.connect()
        except psycopg.OperationalError:
            return None

    database = "postgres"

    def connect(self):
        return psycopg.connect(host="127.0.0.1", port=self.port, user="bench", dbname=self.database, autocommit=True)

    def stop(self):
        self.connection.close()
        process.end(self.process)
