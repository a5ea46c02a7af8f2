"""What the suites in Python share: checks are functions; each prints its line, and a failed one does not keep the others from running."""
import asyncio
import inspect
import os
import sys
import traceback

AGAINST = os.environ["CLIENTS_AGAINST"]
_checks = []


def check(function):
    """A check under the function's name. Those that are about streamgate's own things are called ours_…, and skipped against others."""
    _checks.append(function)
    return function


def equal(found, expected, what=""):
    if found != expected or (isinstance(expected, bool) and not isinstance(found, bool)):
        raise AssertionError(f"{what} {found!r}, not {expected!r}".strip())


def main(arguments, asynchronous=False):
    """Runs every check with what `arguments()` gives; exits with 1 if one failed."""
    failed = False

    async def one(function):
        if asynchronous:
            given = await arguments()
            try:
                await asyncio.wait_for(function(*given), 60)
            finally:
                for thing in given:
                    await thing.close()
        else:
            given = arguments()
            try:
                function(*given)
            finally:
                for thing in given:
                    thing.close()

    async def every():
        nonlocal failed
        for function in _checks:
            name = function.__name__
            if name.startswith("ours_") and AGAINST != "streamgate":
                print(f"skip {name}: streamgate only")
                continue
            try:
                await one(function)
                print(f"ok {name}", flush=True)
            except Exception as error:  # noqa: BLE001: whatever a driver throws is the check's failure
                failed = True
                where = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == inspect.getfile(function)]
                text = " ".join(f"{type(error).__name__}: {error}".split())
                print(f"FAIL {name}: line {where[-1].lineno if where else '?'}: {text[:900]}", flush=True)

    asyncio.run(every())
    sys.exit(1 if failed else 0)
