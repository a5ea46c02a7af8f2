"""Two binaries of streamgate in turns, in one run over the same topics: how much dearer the one is than the other. The order of the two
changes from round to round, and only ratios of medians count: machines are shared."""
import collections
import statistics

from harness import catalog

FIGURE = "cpu_per_million"


def measure(run, names):
    """Measures the cases and prints a table."""
    binaries = {"new": run.options.binary, "old": run.options.against}
    rounds, run.options.rounds = run.options.rounds, 1
    figures, voids = collections.defaultdict(list), []
    record, now = run.record, None

    def keep(case, engine, kind="cpu", label=None, **taken):
        if FIGURE in taken:
            figures[label or case, now].append(taken[FIGURE])
        if "void" in taken:
            voids.append(f"{label or case}, {now}: {taken['void']}")
        record(case, f"{engine} ({now})", kind=kind, label=label, **taken)

    run.record = keep
    for name in names:
        for turn in range(rounds):
            for now in sorted(binaries, reverse=turn % 2 == 0):
                run.options.binary = binaries[now]
                catalog.measure(run, name)
    print("\n| case | old: CPU s per million rows | new | median of new / old |\n|---|---|---|---|")
    for label in dict.fromkeys(label for label, _ in figures):
        old, new = figures[label, "old"], figures[label, "new"]
        if old and new:
            print(f"| {label} | {shown(old)} | {shown(new)} | {statistics.median(new) / statistics.median(old):.3f} |")
    print("".join(f"void: {void}\n" for void in voids), end="")


def shown(values):
    return f"{statistics.median(values):.3g} ({min(values):.3g}–{max(values):.3g}, {len(values)} rounds)"
