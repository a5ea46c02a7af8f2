"""The suites: what each needs, how it is run. What is installed is kept by a hash of the files that pin it."""
import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent.parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "streamgate" / "clients"
SECONDS_OF_A_SUITE = 180


def installed(kind, pins, install):
    """The folder that `install(folder)` fills, once for each content of `pins`: complete or not there at all."""
    digest = hashlib.sha256(b"".join((HERE / kind / pin).read_bytes() for pin in pins)).hexdigest()[:16]
    folder = CACHE / f"{kind}-{digest}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another checkout may be installing the same
        done = folder / "installed"
        if not done.exists():
            print(f"installing for {kind}", flush=True)
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            install(folder)
            done.touch()
    return folder


def call(*command, **more):
    """A command that must succeed; what it says is shown only if it does not."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}")


def python():
    def install(folder):
        call(sys.executable, "-m", "venv", folder / "venv")
        call(folder / "venv/bin/pip", "install", "-q", "-r", HERE / "python/requirements.txt")
    return installed("python", ["requirements.txt"], install)


def java():
    def install(folder):
        shutil.copy(HERE / "java/pom.xml", folder)
        call("mvn", "-q", "-B", "-f", folder / "pom.xml", "dependency:copy-dependencies", f"-DoutputDirectory={folder / 'lib'}")
    return installed("java", ["pom.xml"], install)


def node():
    def install(folder):
        for file in ("package.json", "package-lock.json"):
            shutil.copy(HERE / "node" / file, folder)
        call("npm", "ci", "--no-audit", "--no-fund", cwd=folder)
    folder = installed("node", ["package.json", "package-lock.json"], install)
    for file in (HERE / "node").glob("*.mjs"):  # modules are looked for beside the program
        shutil.copy(file, folder)
    return folder


def go():
    folder = installed("go", ["go.mod", "go.sum"], lambda folder: call("go", "mod", "download", cwd=HERE / "go"))
    call("go", "build", "-o", folder, "./...", cwd=HERE / "go")
    return folder


def odbc():
    library = next(pathlib.Path("/usr/lib").glob("*/odbc/psqlodbcw.so"), None)
    if not library or not next(pathlib.Path("/usr/lib").glob("*/libodbc.so.2"), None):
        if not shutil.which("apt-get"):
            raise SystemExit("psqlodbc is missing and there is no apt-get")
        as_root = [] if os.getuid() == 0 else ["sudo", "-n"]
        call(*as_root, "apt-get", "update", "-q")
        call(*as_root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-q", "--no-install-recommends", "odbc-postgresql", "unixodbc")
    return python()


def of_python(name):
    return (python, lambda folder: [folder / "venv/bin/python", "-B", HERE / f"python/{name}.py"])


# name -> how it is prepared (gives a folder), the command in that folder
ALL = {
    "psycopg3": of_python("psycopg3"),
    "psycopg2": of_python("psycopg2_suite"),
    "asyncpg": of_python("asyncpg_suite"),
    "sqlalchemy": of_python("sqlalchemy_suite"),
    "pgjdbc": (java, lambda folder: ["java", "-cp", f"{folder / 'lib'}/*", HERE / "java/Pgjdbc.java"]),
    "node-postgres": (node, lambda folder: ["node", folder / "pg.mjs"]),
    "postgres.js": (node, lambda folder: ["node", folder / "postgres.mjs"]),
    "pgx": (go, lambda folder: [folder / "pgx"]),
    "pq": (go, lambda folder: [folder / "pq"]),
    "psqlodbc": (odbc, lambda folder: [folder / "venv/bin/python", "-B", HERE / "python/psqlodbc.py"]),
}


def prepare(names):
    for name in names:
        ALL[name][0]()


def run(name, environment):
    """The lines that a suite printed, and its exit code. What it says beside them goes where this program's does."""
    prepare_it, command = ALL[name]
    try:
        done = subprocess.run(command(prepare_it()), env=environment, stdout=subprocess.PIPE, text=True, timeout=SECONDS_OF_A_SUITE)
    except subprocess.TimeoutExpired as late:
        said = late.stdout or b""
        return (said.decode() if isinstance(said, bytes) else said).splitlines(), "a time-out"
    return done.stdout.splitlines(), done.returncode
