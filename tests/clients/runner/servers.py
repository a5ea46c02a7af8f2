"""The servers that suites run against: on a free loopback port, with TLS, one superuser who logs in by password, ended by process id."""
import contextlib
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

USER, PASSWORD, DATABASE = "app", "correct horse battery", "streamgate"
SECONDS_TO_START = 60


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def certificate(folder):
    """A certificate for localhost that nobody has signed: with `sslmode=prefer`, the default of most drivers, a client takes it."""
    certificate_file, key = folder / "server.pem", folder / "server.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", certificate_file],
        check=True, capture_output=True)
    key.chmod(0o600)
    return certificate_file, key


def stop(process):
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def until(what, ready, process, log):
    deadline = time.monotonic() + SECONDS_TO_START
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"{what} did not start:\n{pathlib.Path(log).read_text()}")
        time.sleep(0.05)


@contextlib.contextmanager
def streamgate(folder):
    target = os.environ.get("CARGO_TARGET_DIR") or f"{os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')}/streamgate/target"
    binary = os.environ.get("STREAMGATE_TEST_SERVER") or f"{target}/debug/streamgate"
    port, http = free_port(), free_port()
    certificate_file, key = certificate(folder)
    configuration = folder / "streamgate.toml"
    configuration.write_text(
        f'tls_certificate = "{certificate_file}"\ntls_key = "{key}"\n'
        '[[access]]\naddress = "127.0.0.1"\nmethod = "scram"\n[kafka]\nembedded_port = %d\n[aws]\nembedded_port = %d\n' % (free_port(), free_port()))
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("STREAMGATE_", "AWS_"))}
    clean |= {"STREAMGATE_SUPERUSER": USER, "STREAMGATE_SUPERUSER_PASSWORD": PASSWORD}
    log = folder / "server.log"
    with open(log, "w") as out:
        process = subprocess.Popen(
            [binary, "serve", "--config", configuration, "--data-dir", folder / "data", "--listen", f"127.0.0.1:{port}", "--http-listen", f"127.0.0.1:{http}"],
            env=clean, stdout=out, stderr=subprocess.STDOUT)

    def ready():
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{http}/readyz", timeout=5) as answer:
                return answer.status == 200
        except (urllib.error.URLError, ConnectionError):
            return False

    try:
        until("streamgate", ready, process, log)
        yield port
        if process.poll() is not None:
            raise SystemExit(f"streamgate ended with {process.returncode}:\n{log.read_text()[-4000:]}")
    finally:
        stop(process)


def unprivileged():
    """PostgreSQL does not run as root: as whom, then."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise SystemExit("PostgreSQL does not run as root, and there is neither a user postgres nor nobody")


@contextlib.contextmanager
def postgres(folder):
    versions = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    if not versions:
        raise SystemExit("there is no PostgreSQL: apt-get install postgresql")
    programs, port, user = versions[-1].parent, free_port(), unprivileged()
    certificate_file, key = certificate(folder)
    password = folder / "password"
    password.write_text(PASSWORD + "\n")
    if user:
        for path in (folder, certificate_file, key, password):
            os.chown(path, user.pw_uid, user.pw_gid)
    run_as = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
    data, log = folder / "data", folder / "server.log"
    subprocess.run(
        [programs / "initdb", "-D", data, "-U", USER, "--pwfile", password, "-A", "scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"],
        check=True, capture_output=True, cwd=folder, **run_as)
    with open(log, "w") as out:
        process = subprocess.Popen(
            [programs / "postgres", "-D", data, "-p", str(port), "-k", "", "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "ssl=on",
             "-c", f"ssl_cert_file={certificate_file}", "-c", f"ssl_key_file={key}", "-c", "timezone=UTC"],
            stdout=out, stderr=subprocess.STDOUT, cwd=folder, **run_as)
    environment = {**os.environ, "PGPASSWORD": PASSWORD}

    def ready():
        command = [programs / "psql", "-h", "127.0.0.1", "-p", str(port), "-U", USER, "-qc", f"CREATE DATABASE {DATABASE}", "postgres"]
        return subprocess.run(command, env=environment, capture_output=True).returncode == 0

    try:
        until("PostgreSQL", ready, process, log)
        yield port
    finally:
        process.send_signal(2)  # its fast shutdown
        process.wait(30)


@contextlib.contextmanager
def start(kind):
    """Starts a server; gives the environment that suites find it by."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="streamgate-clients-"))
    try:
        with {"streamgate": streamgate, "postgres": postgres}[kind](folder) as port:
            yield {
                "PGHOST": "127.0.0.1", "PGPORT": str(port), "PGUSER": USER, "PGPASSWORD": PASSWORD, "PGDATABASE": DATABASE,
                "CLIENTS_AGAINST": kind,
            }
    finally:
        shutil.rmtree(folder, ignore_errors=True)
