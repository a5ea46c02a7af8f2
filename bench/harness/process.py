"""A child process under measurement: CPU and memory by the kernel's accounting, waiting by polling, its end by process id."""
import os
import subprocess
import time

TICKS = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """A case that could not be measured. Its text stands in the document."""


def reason(failure):
    """An exception's text, with its type where the text alone says little."""
    return str(failure) if isinstance(failure, Failed) else f"{type(failure).__name__}: {failure}"


def cpu_seconds(pid):
    """User and system time of all threads."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_mb(pid):
    """Resident now (VmRSS) and at most (VmHWM)."""
    found = {}
    with open(f"/proc/{pid}/status") as status:
        for line in status:
            name, _, value = line.partition(":")
            if name in ("VmRSS", "VmHWM"):
                found[name] = int(value.split()[0]) / 1024
    return found["VmRSS"], found["VmHWM"]


def wait_until(condition, seconds, what, pause=0.05, process=None, share=0.0):
    """The first true value of `condition`; `Failed` after `seconds` or when `process` ends. It is looked at after every `pause`,
    or after this `share` of the time waited so far if that is longer."""
    begun = time.monotonic()
    deadline = begun + seconds
    while True:
        value = condition()
        if value:
            return value
        if process is not None and process.poll() is not None:
            raise Failed(f"the process ended with {process.returncode} before {what}")
        if time.monotonic() > deadline:
            raise Failed(f"waited {seconds} s in vain for {what}")
        time.sleep(max(pause, share * (time.monotonic() - begun)))


def end(process, seconds=20):
    """Ends a child, if need be by force."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


def load():
    """Load average of the last minute."""
    return os.getloadavg()[0]
