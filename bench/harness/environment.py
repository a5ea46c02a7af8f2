"""The Python that the benchmarks run in: a virtual environment of their own in the cache folder. Standard library only, since this runs
before anything is installed."""
import hashlib
import os
import pathlib
import subprocess
import sys

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "streamgate" / "bench"
PACKAGES = ["confluent-kafka==2.16.1", "matplotlib==3.11.2", "numpy==2.4.6", "orjson==3.13.0", "psycopg[binary]==3.3.9"]


def enter():
    """Starts this program again in the virtual environment, which is made when it is not there or its packages are others."""
    venv = CACHE / ("venv-" + hashlib.sha256("\n".join(PACKAGES).encode()).hexdigest()[:12])
    if pathlib.Path(sys.prefix) == venv:
        return
    ready = venv / "ready"
    if not ready.exists():
        print(f"installing {', '.join(PACKAGES)} into {venv}", file=sys.stderr)
        CACHE.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
        subprocess.run([venv / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES], check=True)
        ready.touch()
    os.execv(venv / "bin" / "python", [venv / "bin" / "python", "-B", *sys.argv])


def default_binary():
    target = os.environ.get("CARGO_TARGET_DIR") or CHECKOUT / "target"
    return pathlib.Path(target) / "release" / "streamgate"
