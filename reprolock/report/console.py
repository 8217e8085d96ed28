"""Results for the terminal: verdict first, then why, then what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reprolock.report.lines import (
    Line,
    and_more,
    clean,
    grouped,
    heading,
    number,
    size,
    table,
    wrapped,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_STYLES = {
    "BIT_EXACT": "bold green",
    "REPRODUCED_WITHIN_TOLERANCE": "bold green",
    "PARTIAL": "bold yellow",
    "INCONCLUSIVE": "bold yellow",
}
_MEANING = {
    "BIT_EXACT": "every compared output and metric is the same",
    "REPRODUCED_WITHIN_TOLERANCE": "every metric is within its stated tolerance",
    "PARTIAL": "all metrics hold, but something else differs",
    "DIVERGED": "a metric or an output is not what was recorded",
    "DID_NOT_RUN": "the notebook did not run to its end",
    "COULD_NOT_REBUILD": "the environment or the data could not be restored as locked",
    "INCONCLUSIVE": "the evidence does not decide",
    "UNVERIFIABLE": "there is nothing to hold the run against",
}
_SEVERITY = {"error": "red", "warning": "yellow", "note": "dim"}
_SHOWN = 12
_MODES = {
    "live": ", in a living kernel",
    "journal": ", in a kernel that has ended",
    "outside": ", in a kernel that nobody recorded",
}


def verify(result: dict[str, Any], verbose: bool) -> list[Line]:
    return [
        *_verdict(result),
        *_metrics(result["metrics"]),
        *_causes(result),
        *_findings(result["findings"], verbose),
        *_environment(result),
    ]


def capture(result: dict[str, Any], verbose: bool) -> list[Line]:
    seen = result["captured"]
    lines = (
        _verdict(result)
        if "verdict" in result
        else [Line(f"captured  {clean(result['lock']['path'])}", "bold green")]
    )
    if "journal" in result:
        lines += wrapped(f"no lock was written; what was seen is in {result['journal']}")
    lines += [
        Line(f"  Python {seen['python']}, {seen['cells']} cells run"),
        Line(f"  {seen['packages']} packages locked to their files, {seen['unresolved']} not"),
        Line(f"  {seen['inputs']} files read, {seen['outputs']} written"),
        Line(f"  random streams: {_streams(seen)}"),
        *wrapped(f"metrics: {_named(seen['metrics'])}"),
    ]
    if verbose or "journal" in result:
        lines += [Line(f"  run by {clean(result['kernel'])}")]
    lines += _findings(result["findings"], verbose)
    if "lock" in result:
        lines += [
            Line(""),
            Line(f"verify it with: reprolock verify {_quoted(result['lock']['path'])}"),
        ]
    return lines


def _quoted(path: str) -> str:
    import shlex

    return shlex.quote(clean(path))


def _named(metrics: dict[str, Any]) -> str:
    found = ", ".join(f"{name} {number(value)}" for name, value in metrics.items())
    return found or "none found; name one with --metric NAME=EXPRESSION"


def _streams(seen: dict[str, Any]) -> str:
    parts = [f"{name} seeded" for name in seen["seeded"]] + [
        f"{name} UNSEEDED" for name in seen["unseeded"]
    ]
    return ", ".join(parts) or "none drawn from"


def _verdict(result: dict[str, Any]) -> list[Line]:
    verdict = result["verdict"]
    lines = [Line(verdict, _STYLES.get(verdict, "bold red")), *wrapped(_MEANING[verdict])]
    first = result.get("first_divergence")
    if first and result["exit_code"]:
        where = f"cell {first['cell']}" + (
            f", output {first['output']}" if first["output"] is not None else ""
        )
        lines += wrapped(f"the runs part at {where}")
    return lines


def _metrics(metrics: list[dict[str, Any]]) -> list[Line]:
    if not metrics:
        return []
    rows = [
        (
            m["name"],
            number(m["expected"]),
            number(m["observed"]),
            m["status"],
            _tolerance(m["tolerance"]),
        )
        for m in metrics
    ]
    return [*heading("Metrics"), *table(rows, ("name", "locked", "now", "", "tolerance"))]


def _tolerance(tolerance: dict[str, Any]) -> str:
    parts = [f"{tolerance['abs']:g}"] if tolerance["abs"] else []
    parts += [f"{tolerance['rel']:g} of it"] if tolerance["rel"] else []
    return f"{' or '.join(parts) or 'exact'} ({tolerance['source']})"


def _causes(result: dict[str, Any]) -> list[Line]:
    causes = result.get("causes") or []
    if not causes:
        return []
    lines = heading("Likely causes, the likeliest first")
    for cause in causes[:5]:
        lines += wrapped(f"{cause['message']}", first=f"  {cause['rank']}. ", indent="     ")
    return lines


def _findings(findings: list[dict[str, Any]], verbose: bool) -> list[Line]:
    order = list(_SEVERITY)
    findings = sorted(findings, key=lambda f: order.index(f["severity"]))
    told = [f for f in findings if verbose or f["severity"] != "note"]
    notes = len(findings) - len(told)
    shown = [(f, []) for f in told] if verbose else grouped(told)
    lines: list[Line] = heading("Findings") if shown else []
    for finding, others in shown if verbose else shown[:_SHOWN]:
        lines += _finding(finding, others)
    if not verbose and (len(shown) > _SHOWN or notes):
        more = [f"{len(shown) - _SHOWN} more"] if len(shown) > _SHOWN else []
        more += [f"{notes} note{'s' if notes > 1 else ''}"] if notes else []
        lines += [Line(""), Line(f"  {' and '.join(more)}: --verbose shows them", "dim")]
    return lines


def _finding(finding: dict[str, Any], others: Sequence[str] = ()) -> list[Line]:
    severity = finding["severity"]
    lines = wrapped(
        finding["message"], first=f"  {severity}: ", indent="    ", style=_SEVERITY[severity]
    )
    if "expected" in finding and "observed" in finding:
        lines += [
            Line(f"    locked  {_short(finding['expected'])}"),
            Line(f"    now     {_short(finding['observed'])}"),
        ]
    if others:
        lines += wrapped(and_more(others), indent="    ")
    if "hint" in finding:
        lines += wrapped(finding["hint"], first="    hint: ", indent="    ")
    return [*lines, Line(f"    {finding['code']}", "dim")]


def _short(value: Any) -> str:
    text = clean(value)
    return text if len(text) <= 66 else text[:65] + "…"  # noqa: PLR2004


def _environment(result: dict[str, Any]) -> list[Line]:
    lines: list[Line] = []
    environment = result.get("environment")
    if environment:
        lines += heading("Environment")
        lines += [Line(f"  {clean(environment['path'])}")]  # not broken, so that it can be copied
        for change in environment["substitutions"]:
            lines += wrapped(f"substituted: {change}")
    steps = ", ".join(
        f"{s['name']} {s['seconds']:.1f} s" for s in result["steps"] if s["status"] != "skipped"
    )
    return [*lines, Line(""), *wrapped(f"{steps}; {result['seconds']:.1f} s in all", indent="  ")]


def rebuild(result: dict[str, Any], verbose: bool) -> list[Line]:
    if "verdict" in result:
        return [*_verdict(result), *_findings(result["findings"], verbose)]
    return [Line(result["environment"]["path"])]


def availability(result: dict[str, Any], verbose: bool) -> list[Line]:
    """A line for each place, and for what is not where the lock says."""
    counts: dict[str, int] = {}
    for file in result["files"]:
        counts[file["place"]] = counts.get(file["place"], 0) + 1
    lines = [Line(f"  {_FOUND[place]}: {count}") for place, count in sorted(counts.items())]
    if "verdict" in result:
        return [*_verdict(result), *lines, *_findings(result["findings"], verbose)]
    title = Line("all of it can be had", "bold green")
    return [title, *lines, *_findings(result["findings"], verbose)]


_FOUND = {
    "at hand": "in the bundle",
    "address": "at the address in the lock",
    "cache": "in uv's cache alone",
    "index": "on an index, at another address",
    "nowhere": "nowhere",
    "repository": "in a repository, which was not asked",
    "source archive": "as a source archive alone",
}


def cache(result: dict[str, Any], verbose: bool) -> list[Line]:  # noqa: ARG001
    lines = [Line(clean(result["cache"]), "bold")]
    found = result.get("environments", [])
    if result["command"] != "cache prune":
        rows = [
            (
                entry["key"][:12],
                size(entry["bytes"]),
                _day(entry["used"]),
                "in use" if entry["busy"] else "" if entry["whole"] else "half made",
            )
            for entry in found
        ]
        empty = [Line("  no environment")]
        lines += table(rows, ("environment", "size", "last used", "")) if rows else empty
    parts = result.get("parts", {})
    lines += [Line(f"  {name}: {size(count)}") for name, count in parts.items()]
    return lines + _findings(result["findings"], verbose=True)


def _day(seconds: float) -> str:
    import datetime as dt

    return dt.datetime.fromtimestamp(seconds, tz=dt.timezone.utc).date().isoformat()


def export(result: dict[str, Any], verbose: bool) -> list[Line]:
    about = result["export"]
    lines = [
        Line(f"exported  {clean(about['path'])}", "bold green"),
        Line(f"  {about['format']}, {size(about['size'])}, sha256 {about['sha256']}"),
        *_findings(result["findings"], verbose),
    ]
    if about["format"] == "bundle":
        lines += [Line(""), Line(f"verify it with: reprolock verify {_quoted(about['path'])}")]
    return lines


def diff(result: dict[str, Any], verbose: bool) -> list[Line]:
    same = not result["findings"] and not any(m["status"] != "exact" for m in result["metrics"])
    title = "the two locks hold the same" if same else "they differ"
    changed = [m for m in result["metrics"] if m["status"] != "exact"]
    added = [f for f in result["findings"] if f["code"] == "metrics.added"]
    lines = [
        Line(f"{clean(result['locks'][0])}  ->  {clean(result['locks'][1])}", "bold"),
        Line(f"  {title}"),
    ]
    if changed or added:
        rows = [(m["name"], number(m["expected"]), number(m["observed"])) for m in changed]
        rows += [(f["subject"], "-", number(f.get("observed"))) for f in added]
        lines += [*heading("Metrics"), *table(rows, ("name", "first", "second"))]
    # the table above tells the metrics already
    rest = (f["family"] for f in result["findings"] if f["family"] != "metrics")
    for family in dict.fromkeys(rest):
        lines += heading(family.capitalize())
        for finding in result["findings"]:
            if finding["family"] == family:
                lines += wrapped(finding["message"], first="  - ", indent="    ")
                if verbose and "expected" in finding:
                    before, after = finding["expected"], finding.get("observed")
                    lines.append(Line(f"    {_short(before)} -> {_short(after)}"))
    return lines


def show(result: dict[str, Any], verbose: bool) -> list[Line]:
    record = result["record"]
    lines = [Line(clean(result["lock"]["path"]), "bold")]
    lines += _findings(result["findings"], verbose)
    for part in (
        _notebook,
        _interpreter,
        _packages,
        _installs,
        _machine,
        _data,
        _randomness,
        _shown_metrics,
    ):
        lines += part(record, verbose)
    return lines


def _notebook(record: dict[str, Any], verbose: bool) -> list[Line]:
    facts = record["notebook"]
    code = [c for c in facts["cells"] if c["type"] == "code"]
    ran = [c for c in code if "ran" in c]
    raised = [f"cell {c['index']} raised {c['raised']}" for c in facts["cells"] if "raised" in c]
    how = _MODES.get(record["session"]["mode"], "")
    lines = [
        *heading("Notebook"),
        *wrapped(f"{facts['path']}: {len(ran)} of {len(code)} code cells ran{how}"),
    ]
    lines += wrapped(f"reference: {facts.get('reference', 'none')}")
    for text in raised:
        lines += wrapped(text)
    if verbose:
        rows = [
            (
                str(c["index"]),
                c.get("id", "-"),
                c["source-sha256"][:12],
                c.get("outputs-sha256", "-")[:12],
            )
            for c in ran
        ]
        lines += table(rows, ("cell", "id", "source", "outputs"))
    return lines


def _interpreter(record: dict[str, Any], verbose: bool) -> list[Line]:  # noqa: ARG001
    facts = record["interpreter"]
    return [*heading("Interpreter"), *wrapped(f"{facts['implementation']} {facts['version']}")]


def _packages(record: dict[str, Any], verbose: bool) -> list[Line]:
    pinned, loose = record["packages"]["pylock"], record["packages"].get("unresolved", [])
    lines = [
        *heading("Packages"),
        Line(f"  {len(pinned)} locked to the very file that was installed"),
    ]
    if verbose:
        lines += table(
            [(p["name"], p.get("version", "-"), _file_of(p)) for p in pinned],
            ("name", "version", "sha256"),
        )
    elif pinned:
        lines += wrapped(
            ", ".join(f"{p['name']} {p.get('version', '')}" for p in pinned), indent="    "
        )
    for package in loose:
        lines += wrapped(f"not locked: {package['name']} {package['version']}: {package['reason']}")
    return lines


def _file_of(package: dict[str, Any]) -> str:
    files = package.get("wheels") or [package.get("sdist") or package.get("archive") or {}]
    return str(files[0].get("hashes", {}).get("sha256", "-"))[:12]


def _machine(record: dict[str, Any], verbose: bool) -> list[Line]:  # noqa: ARG001
    system, hardware = record["system"], record["hardware"]
    gpus = hardware["gpus"]
    names = gpus if isinstance(gpus, str) else ", ".join(g["name"] for g in gpus)
    lines = heading("Machine")
    lines += wrapped(
        f"{system['os']} {system.get('os-version', '')}, {system.get('libc', 'unknown libc')}, "
        f"{system['platform']}"
    )
    lines += wrapped(
        f"{hardware['cpu']}, {hardware['cores']} cores, {size(hardware.get('memory'))}"
    )
    lines += wrapped(f"instruction sets: {' '.join(hardware['instruction-sets']) or 'unknown'}")
    return [*lines, *wrapped(f"GPU: {names}")]


def _data(record: dict[str, Any], verbose: bool) -> list[Line]:  # noqa: ARG001
    files = record["data"].get("files", [])
    if not files:
        return [*heading("Data"), Line("  no file read or written")]
    rows = [
        (
            f["role"],
            f["name"],
            size(f.get("size")),
            str(f.get("cell", "-")),
            f.get("sha256", f.get("problem", "-"))[:12],
        )
        for f in files
    ]
    return [*heading("Data"), *table(rows, ("role", "file", "size", "cell", "sha256"))]


def _randomness(record: dict[str, Any], verbose: bool) -> list[Line]:  # noqa: ARG001
    streams = record["randomness"].get("streams", [])
    rows = [
        (
            s["library"],
            str(s.get("seed", "-")),
            str(s.get("seeded-in", "-")),
            str(s.get("unseeded-in", "-")),
        )
        for s in streams
    ]
    if not rows:
        return [*heading("Randomness"), Line("  no stream seeded or drawn from")]
    return [
        *heading("Randomness"),
        *table(rows, ("stream", "seed", "seeded in cell", "unseeded in cell")),
    ]


def _installs(record: dict[str, Any], verbose: bool) -> list[Line]:
    commands = record["installs"].get("commands", [])
    if not commands:
        return []
    lines = heading("Installed by the notebook")
    for command in commands if verbose else commands[:_SHOWN]:
        lines += wrapped(
            f"cell {command.get('cell', '?')}: {command['asked']}", first="  ", indent="    "
        )
    more = 0 if verbose else len(commands) - _SHOWN
    return [*lines, Line(f"  {more} more: --verbose shows them", "dim")] if more > 0 else lines


def _shown_metrics(record: dict[str, Any], verbose: bool) -> list[Line]:  # noqa: ARG001
    found = record["metrics"]
    if not found:
        return [*heading("Metrics"), Line("  none named and none found")]
    rows = [
        (
            name,
            number(m.get("value", m.get("error"))),
            str(m.get("cell", "end")),
            m.get("source", "failed"),
        )
        for name, m in found.items()
    ]
    return [*heading("Metrics"), *table(rows, ("name", "value", "cell", "from"))]
