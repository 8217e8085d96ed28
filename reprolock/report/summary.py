"""The summary that a capture shows in a notebook: HTML, and text where no HTML is shown."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reprolock.report import console
from reprolock.report.lines import and_more, clean, grouped, number

if TYPE_CHECKING:
    from reprolock.result import Result

_SHOWN = 6

# Colours come from the notebook's own text and background, so that it reads on a dark page too.
_PAGE = """\
<div class="reprolock" style="border:1px solid currentColor;border-radius:6px;padding:8px 12px;\
max-width:56em;font-family:sans-serif;font-size:13px;line-height:1.45">
<div><b>reprolock</b> &nbsp;{{ headline }}</div>
<table style="border-collapse:collapse;margin:6px 0;font-size:13px">
{%- for name, value in rows %}
<tr style="background:none"><td style="text-align:left;vertical-align:top;padding:1px 12px 1px 0;\
opacity:.7;white-space:nowrap">{{ name }}</td>
<td style="text-align:left;padding:1px 0">{{ value }}</td></tr>
{%- endfor %}
</table>
{%- if weak %}
<details{% if not many %} open{% endif %}><summary style="cursor:pointer">{{ trust }}</summary>
<ul style="margin:4px 0 4px 0;padding-left:20px">
{%- for finding in weak %}
<li>{{ finding.message }}{% if finding.hint %}<br><span style="opacity:.7">{{ finding.hint }}\
</span>{% endif %}</li>
{%- endfor %}
</ul></details>
{%- else %}
<div>{{ trust }}</div>
{%- endif %}
<div style="margin-top:6px">verify it with <code>{{ command }}</code></div>
</div>"""


def with_display(result: Result) -> Result:
    """Return *result* with its summary under ``display``: MIME type -> text."""
    content = result.to_json()
    shown = {"text/html": html(content), "text/plain": text(content)}
    return replace(result, extra={**result.extra, "display": shown})


def text(result: dict[str, Any]) -> str:
    return "\n".join(line.text for line in console.capture(result, verbose=False))


def html(result: dict[str, Any]) -> str:
    """Return one element; every value that came from a notebook is escaped."""
    from jinja2 import Environment

    weak = [f for f in result["findings"] if f["severity"] != "note"]
    template = Environment(autoescape=True).from_string(_PAGE)
    return template.render(
        headline=_headline(result),
        rows=_rows(result),
        weak=[_told(finding, others) for finding, others in grouped(weak)],
        many=len(grouped(weak)) > _SHOWN,
        trust=_trust(grouped(weak)),
        command=f"reprolock verify {shlex.quote(clean(_name(result)))}",
    )


def _told(finding: dict[str, Any], others: list[str]) -> dict[str, str]:
    more = f" ({and_more(others)})" if others else ""
    return {
        "message": clean(finding["message"]) + more,
        "hint": clean(finding.get("hint") or ""),
    }


def _headline(result: dict[str, Any]) -> str:
    lock = result.get("lock")
    return f"wrote {clean(Path(lock['path']).name)}" if lock else "wrote no lock"


def _name(result: dict[str, Any]) -> str:
    return Path((result.get("lock") or {}).get("path") or "LOCK").name


def _rows(result: dict[str, Any]) -> list[tuple[str, str]]:
    seen = result["captured"]
    files = f"{seen['inputs']} read, {seen['outputs']} written"
    packages = f"{seen['packages']} locked to their files"
    if seen["unresolved"]:
        packages += f", {seen['unresolved']} not"
    streams = [f"{name} seeded" for name in seen["seeded"]]
    streams += [f"{name} unseeded" for name in seen["unseeded"]]
    metrics = ", ".join(f"{clean(n)} = {number(v)}" for n, v in seen["metrics"].items())
    return [
        ("Python", seen["python"]),
        ("cells", str(seen["cells"])),
        ("packages", packages),
        ("files", files),
        ("random streams", ", ".join(streams) or "none drawn from"),
        ("metrics", metrics or "none found; name one with %reprolock metric NAME EXPRESSION"),
    ]


def _trust(weak: list[Any]) -> str:
    if not weak:
        return "Nothing was found that would keep a re-run from giving the same."
    count = len(weak)
    return f"{count} thing{'s' if count > 1 else ''} to know before this lock is trusted"
