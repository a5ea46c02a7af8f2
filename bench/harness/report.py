"""From raw results (docs/benchmarks.jsonl) to docs/benchmarks.md and its plot. Of each case the latest run counts; text outside of the two markers stays as it is.

A round whose result was wrong or did not come has no figure: it is void, and the document says why."""
import json
import statistics

from harness import catalog

BEGIN, END = "<!-- figures -->", "<!-- /figures -->"
OURS = "streamgate"
TITLE = """# Benchmarks

streamgate beside Flink on one machine, in turns, by `bench/compare` ([how](../bench/README.md)).

"""


def write(results, document):
    lines = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    conditions = {line["run"]: line["conditions"] for line in lines if "conditions" in line}
    measured = [line for line in lines if "case" in line]
    latest = {line["case"]: line["run"] for line in measured}
    measured = [line for line in measured if latest[line["case"]] == line["run"]]
    measured.sort(key=lambda line: catalog.NAMES.index(line["case"]))
    _keep(results, conditions, measured)
    groups = {}
    for line in measured:
        groups.setdefault((line["kind"], line["case"], line["label"], line["engine"]), []).append(line)
    plot = document.with_suffix(".svg")
    text = document.read_text() if document.exists() else TITLE + f"{BEGIN}\n{END}\n"
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    parts = [_conditions(conditions, measured, latest)]
    if any(kind == "cpu" and case != "scale" for kind, case, _, _ in groups):
        _plot(groups, plot)
        parts.append(f"![CPU per row, as a multiple of streamgate's]({plot.name})")
    for title, kind, of_scale, table in [("CPU, throughput, memory", "cpu", False, _cpu_table), ("How cost grows", "cpu", True, _cpu_table),
                                         ("Latency", "latency", False, _latency_table),
                                         ("Starts, memory, queries", "value", False, _value_table)]:
        chosen = {key: found for key, found in groups.items() if key[0] == kind and (key[1] == "scale") == of_scale}
        if chosen:
            parts.append(f"## {title}\n\n{table(chosen)}{_voids(chosen)}")
    document.write_text(before + BEGIN + "\n" + "\n\n".join(parts) + "\n" + END + after)


def _keep(results, conditions, measured):
    """Raw results that no longer count are dropped from their file."""
    runs = {line["run"] for line in measured}
    kept = [{"run": run, "conditions": facts} for run, facts in conditions.items() if run in runs] + measured
    new = results.with_suffix(".new")
    new.write_text("".join(json.dumps(line) + "\n" for line in kept))
    new.replace(results)


def _valid(lines):
    return [line for line in lines if "void" not in line]


def spread(values, digits):
    """Median (least–most)."""
    values = sorted(values)
    middle, low, high = (f"{value:,.{digits}f}" for value in (statistics.median(values), values[0], values[-1]))
    return middle if low == high else f"{middle} ({low}–{high})"


def digits_for(values):
    median = abs(statistics.median(values))
    return 0 if median >= 100 else 1 if median >= 10 else 2


def _cell(lines, name):
    values = [line[name] for line in _valid(lines) if name in line]
    return spread(values, digits_for(values)) if values else "–"


def _row(cells):
    return "| " + " | ".join(str(cell) for cell in cells) + " |\n"


def _header(cells):
    return _row(cells) + "|" + "---|" * len(cells) + "\n"


def _conditions(conditions, measured, latest):
    runs = sorted(set(latest.values()))
    text = ""
    for run in runs:
        facts = conditions[run]
        load = [line["load"] for line in measured if line["run"] == run]
        cases = ", ".join(case for case, of in latest.items() if of == run)
        text += (f"- {run} UTC, `{facts['command']}`: {cases}. {facts['cores']} cores ({facts['processor']}), {facts['memory_gb']} GB, Linux "
                 f"{facts['kernel']}; load of the last minute {min(load)}–{max(load)}, {facts['load']} before. {facts['streamgate']} at "
                 f"{facts['commit']}; Flink 2.2.0 (Kafka connector 5.0.0-2.2), where DynamoDB is written Flink 1.20.3 (3.4.0-1.20, DynamoDB "
                 f"connector 4.3.0-1.19); {facts['java']}; Apache Kafka 4.1.1; {facts['store']}.\n")
    return "## Conditions\n\n" + text.rstrip()


def _cpu_table(groups):
    ours = {(case, label): lines for (_, case, label, engine), lines in groups.items() if engine == OURS}
    text = _header(["case", "engine", "CPU-s per million rows", "× streamgate", "rows/s", "peak MB", "at rest MB", "cold CPU-s per million",
                    "of Kafka", "of the store", "verified"])
    for (_, case, label, engine), lines in groups.items():
        valid = _valid(lines)
        if not valid:
            text += _row([label, engine, "**void**", *["–"] * 8])
            continue
        ratio = "–"
        base = _valid(ours.get((case, label), []))
        if engine != OURS and base:
            median = lambda found: statistics.median(line["cpu_per_million"] for line in found)
            ratio = f"{median(valid) / median(base):.1f}" if median(base) else "–"
        text += _row([label, engine, f"**{_cell(lines, 'cpu_per_million')}**", ratio, _cell(lines, "rows_per_s"), _cell(lines, "peak_mb"),
                      _cell(lines, "rest_mb"), _cell(lines, "cold_cpu_per_million"), _cell(lines, "kafka_per_million"),
                      _cell(lines, "store_per_million"), f"{len(valid)} of {len(lines)}: {valid[-1]['verified']}"])
    return text


def _latency_table(groups):
    text = _header(["case", "engine", "p50 ms", "p90 ms", "p99 ms", "records", "missing", "CPU % of a core"])
    for (_, _, label, engine), lines in groups.items():
        if _valid(lines):
            text += _row([label, engine, *(_cell(lines, name) for name in ("p50", "p90", "p99", "records", "missing", "cpu_percent"))])
        else:
            text += _row([label, engine, "**void**", *["–"] * 5])
    return text


def _value_table(groups):
    engines = list(dict.fromkeys(engine for *_, engine in groups))
    engines.sort(key=lambda engine: engine != OURS)
    text = _header(["what", "unit", *engines])
    for label in dict.fromkeys((case, label) for _, case, label, _ in groups):
        found = {engine: lines for (_, case, of, engine), lines in groups.items() if (case, of) == label}
        unit = next((line["unit"] for lines in found.values() for line in lines if "unit" in line), "")
        cells = [("–" if engine not in found else _cell(found[engine], "value") if _valid(found[engine]) else "**void**")
                 for engine in engines]
        text += _row([label[1], unit, *cells])
    return text


def _voids(groups):
    reasons = {}
    for (_, _, label, engine), lines in groups.items():
        for line in lines:
            if "void" in line:
                reason = " ".join(line["void"].split())
                reasons.setdefault((label, engine, reason[:400]), []).append(line.get("round", 0) + 1)
    if not reasons:
        return ""
    return "\nVoid:\n\n" + "".join(f"- {label}, {engine}, round {', '.join(map(str, rounds))}: {reason}\n"
                                   for (label, engine, reason), rounds in reasons.items())


def _plot(groups, path):
    """How many times streamgate's CPU each other engine takes for the same case, on a linear axis that begins at nothing."""
    import matplotlib
    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "streamgate", "font.size": 9})
    from matplotlib import pyplot
    cpu = {(case, label, engine): [line["cpu_per_million"] for line in _valid(lines)]
           for (kind, case, label, engine), lines in groups.items() if kind == "cpu" and case != "scale" and _valid(lines)}
    ours = {case: statistics.median(values) for (case, label, engine), values in reversed(cpu.items()) if engine == OURS}
    bars = [(label, engine, values, ours[case]) for (case, label, engine), values in cpu.items() if engine != OURS and case in ours]
    if not bars:
        return
    figure, axes = pyplot.subplots(figsize=(8, 1.0 + 0.42 * len(bars)), layout="constrained")
    for place, (_, engine, values, base) in enumerate(bars):
        median, least, most = (value / base for value in (statistics.median(values), min(values), max(values)))
        axes.barh(place, median, color="#c96f4a", height=0.66, xerr=[[median - least], [most - median]], ecolor="#333333", capsize=2)
        digits = digits_for(values)
        axes.annotate(f"{median:.1f} ×   ({statistics.median(values):,.{digits}f} against {base:,.{digits_for([base])}f} CPU-s)", (most, place), xytext=(5, 0),
                      textcoords="offset points", va="center")
    axes.axvline(1, color="#2a6f97", linewidth=2)
    axes.annotate("streamgate", (1, 1), xycoords=("data", "axes fraction"), xytext=(0, 3), textcoords="offset points", ha="center", color="#2a6f97")
    axes.set_yticks(range(len(bars)), [f"{label}\n{engine}" if len(label) + len(engine) > 34 else f"{label} · {engine}" for label, engine, _, _ in bars])
    axes.invert_yaxis()
    # Room for the figures behind the longest bar.
    axes.set_xlim(0, 1.65 * max(max(values) / base for _, _, values, base in bars))
    axes.set_xlabel("CPU per row as a multiple of streamgate's: median, least and most")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
