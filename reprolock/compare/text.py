"""Text: normalisers that take away what a re-run cannot keep, then an exact comparison.

A normaliser acts only where its context proves what it sees. Whatever a user printed as a
number of their own stays, so that no changed result is called equal.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

from reprolock.compare import installers
from reprolock.compare.model import (
    IDENTICAL,
    CompareOptions,
    Degree,
    Outcome,
    different,
    excerpt,
    first_difference,
    normalised,
)
from reprolock.compare.numbers import close, tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_BLOCK = 4_000  # lines normalised at once: few enough to stop early, many enough to be quick
_ENOUGH = 1_000  # differing lines; more are not counted
_MANY = 10_000  # differing numbers; more are not counted
_LONG_LINE = 20_000  # characters; of a longer line only the part that differs is read
_MARGIN = 2_000  # characters around that part: more than any number and its context
_REACH = 300  # characters in which the angle brackets of a repr are looked for


@dataclass(frozen=True)
class Normaliser:
    """One kind of text that a re-run cannot keep.

    *needles*: in lower case; a text that holds none of them is left alone, which is what makes
    long outputs cheap. *whole*: it may change the number of lines.
    """

    name: str
    needles: tuple[str, ...]
    apply: Callable[[str], str]
    whole: bool = False


def _sub(*rules: tuple[str, str]) -> Callable[[str], str]:
    """Return a function that replaces each pattern in turn; ``^`` and ``$`` are those of a line."""
    compiled = [(re.compile(pattern, re.MULTILINE), new) for pattern, new in rules]

    def apply(text: str) -> str:
        for pattern, new in compiled:
            text = pattern.sub(new, text)
        return text

    return apply


def _strip_lines(text: str) -> str:
    return "\n".join(line.rstrip(" \t") for line in text.split("\n"))


# --- what a terminal does with a line -------------------------------------------------------

_MOVES = re.compile(r"(\r|\x08+)")


def _end_state(text: str) -> str:
    """Return what stays on screen: carriage returns and backspaces overwrite."""
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join(_shown(x) if "\r" in x or "\x08" in x else x for x in lines)


# Old Keras and fastprogress: a count or share, then a clock in brackets.
_BAR_CLOCK = re.compile(
    r"(\d/\d+|\d%)([^\n\[]{0,200})\[(\d+/\d+ )?"
    r"(?:\d+(?:\.\d+)?s\b|\d+(?::\d\d)+<\d+(?::\d\d)+(?![,:\d]))"
)


def _shown(line: str) -> str:
    shown = _overwrite(line)
    # Only a line that was drawn over is a progress bar; `4/5 [8.62s]` alone may be a result.
    return _BAR_CLOCK.sub(rf"\1\2[\3{_T}", shown) if "\r" in line else shown


def _overwrite(line: str) -> str:
    shown: list[str] = []
    column = 0
    for piece in _MOVES.split(line):
        if piece == "\r":
            column = 0
        elif piece.startswith("\x08"):
            column = max(0, column - len(piece))
        else:
            shown[column : column + len(piece)] = piece
            column += len(piece)
    return "".join(shown)


# --- reprs ----------------------------------------------------------------------------------

# Each pattern begins with a literal, which the engine can search quickly.
_ADDRESS = re.compile(r"0x(?<= at 0x)[0-9a-fA-F]{8,16}\b")
_OBJECT_ID = re.compile(r"id=(?<=\bid=)\d{9,20}\b")
# `<Name`: not the "less than" of `a < b` and `a<b`.
_OPENED = re.compile(r"(?<![\w)\]])(?:<|&lt;)[A-Za-z_]")


def _in_repr(pattern: re.Pattern[str], new: str) -> Callable[[str], str]:
    """Return a function that replaces *pattern* between ``<`` and ``>`` of one line."""

    def replace(match: re.Match[str]) -> str:
        text, start, end = match.string, match.start(), match.end()
        before = text[max(0, start - _REACH) : start].rpartition("\n")[2]
        after = text[end : end + _REACH].partition("\n")[0]
        opened = _OPENED.search(before)
        return new if opened and (">" in after or "&gt;" in after) else match.group()

    return lambda text: pattern.sub(replace, text)


# --- durations ------------------------------------------------------------------------------

_UNIT = (
    r"(?:ns|[uµμ]s|ms|s|secs?|seconds?|mins?|minutes?|hrs?|hours?|h|days?|milliseconds?"
    r"|microseconds?)\b"
)
_AMOUNT = r"\d+(?:\.\d+)?(?:[eE][-+]?\d+)?"
_TAIL = rf"(?:,?\s?(?:and\s)?{_AMOUNT}\s?{_UNIT})*"
_DURATION = (
    rf"(?:(?:\d+ days?, )?\d+:\d\d:\d\d(?:\.\d+)?|\d+\s?m\s?{_AMOUNT}\s?s\b"
    rf"|{_AMOUNT}\s?{_UNIT}{_TAIL})"
)
# Nothing that a cell measures is told in days, and "14 h" is as often a time of day.
_SHORT = r"(?:ns|[uµμ]s|ms|s|secs?|seconds?|mins?|minutes?|milliseconds?|microseconds?)\b(?![/^*])"
# Anywhere; beginning with one digit, which the engine can search quickly.
_TIMED = re.compile(
    r"\d(?<![\w.:]\d)(?:(?P<clock>\d*:\d\d:\d\d(?:\.\d+)?)(?![\d:])"
    rf"|\d*\s?m\s?{_AMOUNT}\s?s\b|\d*(?:\.\d+)?(?:[eE][-+]?\d+)?\s?{_SHORT}"
    rf"(?:,?\s?(?:and\s)?{_AMOUNT}\s?{_SHORT})*)"
)
# Only what a program takes: a "flight time" or "relaxation time" is a result.
_WORK_WORDS = (
    "wall cpu run running train training fit fitting execution exec elapsed inference prediction"
    " predict total"
)
_WORK = frozenset(_WORK_WORDS.split())
_DONE = frozenset(("finished", "completed", "done"))
_LINK = re.compile(r"(?:[:=]|\s(?:is|was|of))?\s{0,8}(?:~|\sabout)?\s{0,8}\Z")
_OF_RUNS = r" \(mean (?:±|\+-) std\. dev\. of (\d+ runs?), [\d,]+ loops? each\)"
_ALREADY = r"(?:\b(?:\d{1,4}[hm:]){0,3}\d{1,6}m?s (?:- )?)?"
_T = "<duration>"
_SECONDS = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
_TIME = r"\d\d:\d\d:\d\d(?:[.,]\d{3,6})?"
_LEVEL = r"(?:DEBUG|INFO|WARN|WARNING|ERROR|CRITICAL|FATAL|TRACE|SUCCESS)"
# As rich pads a level to eight characters and a space.
_PADDED = r"(?:DEBUG {4}|INFO {5}|WARNING {2}|ERROR {4}|CRITICAL )"
_CLOCK = r"\d+(?::\d\d)+"
_TQDM_RATE = r"\s{0,8}(?:\?|\d+(?:\.\d+)?)\s?[\w ]{0,20}/\s?[A-Za-z]{1,12}"


def _without_durations(text: str) -> str:
    """Replace the durations whose label says that the program measured them.

    A duration is looked for first and its label then, as few numbers have a unit of time.
    """
    return _TIMED.sub(lambda m: _T if _is_measured(m) else m[0], text)


def _is_measured(match: re.Match[str]) -> bool:
    text, start, end = match.string, match.start(), match.end()
    before = text[max(0, start - 64) : start].rpartition("\n")[2].lower()
    if text.startswith(" elapsed", end) or (before == "--- " and text.startswith(" ---", end)):
        return True
    link = before[: _LINK.search(before).start()].replace("_", " ").replace("-", " ").split()  # type: ignore[union-attr]
    words = [word.strip("([{|,;'\"*") for word in reversed(link)]
    last, previous, further = (*words, "", "", "")[:3]
    if last in ("time", "duration"):
        # A "route total time" is that of the route.
        at_front = not further or further.endswith((":", "-", ">", "."))
        return previous in _WORK and (previous != "total" or at_front)
    if last in ("taken", "spent", "used"):
        return previous == "time"
    if last == "took" or (last == "in" and previous in _DONE):
        # "finished in 2:14:00" is the result of a race; so is what stands behind a colon.
        return not match["clock"] and before.endswith((f"{last} ", f"{last} about ", f"{last} ~"))
    return last in ("elapsed", "runtime", "walltime")


# `epoch 3 0.161s - loss: 0.5`: how far the training is, how long that took, and what it gave.
_TRAINING_LINE = re.compile(
    r"^(?P<head>\W{0,3}(?:(?P<counted>(?:epoch|step|iter(?:ation)?|batch)\W{0,3}\d+"
    r"(?:\s?(?:/|of)\s?\d+)?)|val(?:id(?:ation)?)?|train(?:ing)?|test|fold(?: \d+)?)\b)"
    r"(?P<rest>[^\n]*)",
    re.IGNORECASE | re.MULTILINE,
)
_GAVE = re.compile(r"(?:loss|acc|accuracy)\s?[:=]?\s{0,3}-?(?:\d|nan)", re.IGNORECASE)
# Right behind the head or another number, and with no label of its own.
_LONE = (
    r"(?P<before>^(?:\s?[-|,(\[])?\s?|(?<=[\d\]])(?:\s[-|]\s|,\s|\s?[(\[]))"
    rf"(?:%s\s?{_SHORT}|%s\s?m?s/(?:step|batch|epoch|iter|it)\b|\d+\s?m(?:in)?\s?%s\s?s\b)"
    r"(?=\s?(?:[-|]\s|[,)\]]|$)|\s(?:\w{1,20}[_ ])?(?:loss|acc)\w*\s?[:=])"
)
_LONE_BEHIND_COUNT = re.compile(_LONE.replace("%s", r"\d+(?:\.\d+)?"))
_LONE_BEHIND_WORD = re.compile(_LONE.replace("%s", r"\d+\.\d+"))  # `train 10s`: on 10 s of sound?


def _without_training_clocks(text: str) -> str:
    def replace(match: re.Match[str]) -> str:
        if not _GAVE.search(match["rest"]):
            return match[0]
        lone = _LONE_BEHIND_COUNT if match["counted"] else _LONE_BEHIND_WORD
        return match["head"] + lone.sub(rf"\g<before>{_T}", match["rest"])

    return _TRAINING_LINE.sub(replace, text)


# `10/10 [====] - 3s 12ms/step`, `10/10 ━━━━ 3s 12ms/step`, `10/10 - 3s - loss`.
_KERAS_LINE = re.compile(r"^ *\d+/(?:\d+|Unknown) +(?:\[[=>.]*\]|━|-)[^\n]*", re.MULTILINE)
_KERAS_CLOCKS = _sub(
    (
        rf"{_ALREADY}\b\d{{1,6}}(?:\.\d{{1,6}})?[mun]?s/(step|epoch|sample|batch)\b",
        rf"{_T}/\1",
    ),
    (r"^( *\d+/\d+ (?:\[=*\] )?- )\d+m?s(?= - )", rf"\1{_T}"),
)


def _without_keras_clocks(text: str) -> str:
    return _KERAS_LINE.sub(lambda m: _KERAS_CLOCKS(m[0]), text)


_TEMP_ROOTS = ("/tmp/", "/dev/shm/", "\\Temp\\", ">/")  # noqa: S108 (what is looked for)


def _without_random_names(text: str) -> str:
    """Replace what ``tempfile`` draws for the name of a file or folder in a temporary folder."""

    def replace(match: re.Match[str]) -> str:
        before = match.string[max(0, match.start() - 90) : match.start()]
        mac = before.endswith("/T/") and "/var/folders/" in before
        if not (mac or before.endswith(_TEMP_ROOTS)):
            return match[0]
        return match[0][:-8] + "<random>"

    for prefix in ("tmp", "matplotlib-"):
        # The literal at the front is what the engine can search quickly.
        pattern = rf"{prefix}(?<=[\\/]{prefix})[a-z0-9_]{{8}}(?![a-z0-9_])"
        text = re.sub(pattern, replace, text)
    return text


def _stamped(*rules: tuple[str, str]) -> Callable[[str], str]:
    """Return ``_sub(*rules)`` that first asks, by one quick search, for a time of day."""
    clock, apply = re.compile(r"\d\d:\d\d:\d\d"), _sub(*rules)
    return lambda text: apply(text) if clock.search(text) else text


# The folders that a path begins with.
_ROOT = r"(?<![^\s'\"(=:,;<>|])(?:[A-Za-z]:|~)?(?:[\\/][^\s\\/'\":,;<>|()]{1,128}){1,24}?"

NORMALISERS: tuple[Normaliser, ...] = (
    Normaliser(
        "ansi",
        ("\x1b",),
        # ECMA-48: control sequences, and operating system commands such as links and titles.
        _sub(
            (r"\x1b\[[0-?]{0,32}[ -/]{0,4}[@-~]", ""),
            (r"\x1b\][^\x07\x1b\n]*(?:\x07|\x1b\\)", ""),
        ),
        whole=True,
    ),
    Normaliser("progress-bars", ("\r", "\x08"), _end_state, whole=True),
    Normaliser(
        "magic-timings",
        ("the slowest run took",),
        # IPython says this or not, as it happens.
        _sub(
            (
                r"^The slowest run took [\d.]+ times longer than the fastest\.[^\n]*\n",
                "",
            )
        ),
        whole=True,
    ),
    Normaliser(
        "progress-bars",
        ("/s", "s/", "eta "),
        _sub(
            (rf"\[{_CLOCK}(?:<(?:\?|{_CLOCK}))?,{_TQDM_RATE}", f"[{_T}"),
            (r"(━[^\n]{0,80}?) [\d.]+ [kMG]?B/s(?: eta [\d:-]+)?", rf"\1 {_T}"),
        ),
    ),
    Normaliser(
        "temporary-paths",
        ("ipykernel_", "<ipython-input"),
        _sub(
            # The name is a digest of the cell; the line number is a fact and stays.
            (r"(?:[\\/][\w.+-]{1,64}){0,12}[\\/]ipykernel_\d+[\\/]\d+\.py", "<cell>"),
            (r"<ipython-input-\d+-[0-9a-f]{6,40}>", "<cell>"),
        ),
    ),
    Normaliser(
        "temporary-paths",
        ("joblib_memmapping_folder_", "/var/folders/"),
        _sub(
            (
                r"(?<=/joblib_memmapping_folder_)\d+_[0-9a-f]{32}_[0-9a-f]{32}",
                "<random>",
            ),
            (r"(?:/private)?/var/folders/[^/\s]{1,8}/[^/\s]{1,64}/T(?=/)", "<tmp>"),
        ),
    ),
    Normaliser(
        "install-paths",
        ("site-packages", "dist-packages", "/lib/python"),
        # Where an environment lies is no fact of the run; the file and its line are, and stay.
        _sub(
            (rf"{_ROOT}[\\/](?:site|dist)-packages(?=[\\/])", "<packages>"),
            (rf"{_ROOT}/lib(?:64)?/python3\.\d{{1,2}}(?=/\w)", "<stdlib>"),
        ),
    ),
    Normaliser(
        "temporary-paths",
        ("tmp", "matplotlib-"),
        _without_random_names,
    ),
    Normaliser("memory-addresses", ("0x",), _in_repr(_ADDRESS, "<address>")),
    Normaliser("object-ids", ("id=",), _in_repr(_OBJECT_ID, "id=<id>")),
    Normaliser(
        "magic-timings",
        ("cpu times:", "wall time:", "per loop", "compiler", "parser"),
        _sub(
            (rf"^CPU times: (?:user |total: )\d[^\n]*{_UNIT}", f"CPU times: {_T}"),
            (rf"^((?:Wall time|Compiler ?|Parser ?): ){_DURATION}", rf"\1{_T}"),
            (
                rf"^{_DURATION} (?:±|\+-) {_DURATION} per loop{_OF_RUNS}",
                rf"{_T} per loop (\1)",
            ),
            (
                rf"^[\d,]+ loops?, (best of \d+): {_DURATION} per loop",
                rf"{_T} per loop (\1)",
            ),
        ),
    ),
    Normaliser(
        "tool-durations", ("/step", "/epoch", "/sample", "/batch", "s - "), _without_keras_clocks
    ),
    Normaliser(
        "tool-durations",
        ("[cv", "\tlearn: ", "overhead of testing", "sampling ", "[parallel(", "[t-sne]"),
        _sub(
            # scikit-learn; the padding dots of [CV] follow the length of the time.
            (rf"^(\[CV[^\n]*?\] END )\.*([^\n]*? ?(?:total )?time=)\s*{_DURATION}", rf"\1\2{_T}"),
            (rf"(\tlearn: [^\n]*\ttotal: ){_DURATION}\tremaining: {_DURATION}", rf"\1{_T}"),
            (rf"(overhead of testing was ){_DURATION}", rf"\1{_T}"),
            (rf"^(\[Parallel\([^\n]{{1,200}} \| elapsed: )\s*{_DURATION}", rf"\1{_T}"),
            (rf"(?<= \| elapsed: {_T} )remaining:\s+{_DURATION}", f"remaining: {_T}"),
            (rf"^(\[t-SNE\] [^\n]{{1,200}} in ){_DURATION}", rf"\1{_T}"),
            # PyMC.
            (
                r"^(Sampling \d+ chains? for [^\n]{1,200} took )\d+(?= seconds?\.)",
                rf"\1{_T}",
            ),
        ),
    ),
    Normaliser(
        "labelled-durations",
        ("time", "elapsed", "took", "duration", " in ", "--- "),
        _without_durations,
    ),
    Normaliser("labelled-durations", ("loss", "acc"), _without_training_clocks),
    Normaliser(
        "log-timestamps",
        (":",),
        _stamped(
            # The asctime of logging; the number in front of words might be anything else.
            (rf"^(\[?){_SECONDS},\d{{3}}(?=\]| [-\[A-Za-z])", r"\1<time>"),
            # `TIME - name - LEVEL - message`, and loguru's bars.
            (
                rf"^(?:\d{{4}}-\d\d-\d\d )?{_TIME}(?= - (?:[\w.]{{1,80}} - )?{_LEVEL} - )",
                "<time>",
            ),
            (rf"^{_SECONDS}\.\d{{3}}(?= \| {_LEVEL} *\| )", "<time>"),
            # Optuna, Jupyter; TensorFlow; absl and glog.
            (rf"^(\[[DIWEC] ){_SECONDS}[.,]\d{{3}}(?=[\] ])", r"\1<time>"),
            (rf"^{_SECONDS}\.\d{{1,9}}(?=: [IWEF] \S{{1,200}}:\d+\])", "<time>"),
            (r"^([IWEF])\d{4} \d\d:\d\d:\d{2,12}\.\d+\s+\d+(?= \S{1,200}:\d+\])", r"\1<time>"),
            # XGBoost and rich.
            (
                rf"^\[\d\d:\d\d:\d\d\](?= (?:(?:{_LEVEL}: )?\S{{1,200}}:\d+|{_PADDED}))",
                "[<time>]",
            ),
            (rf"^\[\d\d/\d\d/\d\d \d\d:\d\d:\d\d\](?= {_PADDED})", "[<time>]"),
        ),
    ),
    Normaliser(
        "process-ids",
        ("pid",),
        _sub((r"(?<=\(pid=)\d+(?=\))", "<pid>"), (r"(?<=\[pid )\d+(?=\])", "<pid>")),
    ),
    Normaliser("trailing-whitespace", (" ", "\t"), _strip_lines),
)

NORMALISER_NAMES: tuple[str, ...] = (
    *dict.fromkeys(n.name for n in NORMALISERS),
    "folders",
    "gzip-header",
    "html-ids",
    "html-markup",
    "image-encoding",
    installers.NAME,
    "json-ids",
    "json-layout",
    "pdf-metadata",
    "svg-ids",
    "svg-metadata",
    "zip-metadata",
)


def _folders(paths: Iterable[tuple[str, str]]) -> tuple[Normaliser, ...]:
    """Return one normaliser for the folders of the runs; the longest folder is tried first."""
    known = {folder.rstrip("/\\"): new for folder, new in paths}
    names = sorted((f for f in known if len(f) > 1), key=len, reverse=True)
    if not names:
        return ()
    one_of = "|".join(re.escape(name) for name in names)
    pattern = re.compile(rf"(?<![\w.-])(?:{one_of})(?![\w-]|\.\w)")
    needles = tuple(name.lower() for name in names)
    return (Normaliser("folders", needles, lambda t: pattern.sub(lambda m: known[m[0]], t)),)


def active(options: CompareOptions) -> tuple[Normaliser, ...]:
    """Return the text normalisers that *options* leave on, in the order in which they act."""
    rules = (*_folders(options.extra_paths), *NORMALISERS)
    off = () if options.clock else ("labelled-durations",)
    return tuple(r for r in rules if options.allows(r.name) and r.name not in off)


def normalise(text: str, rules: Iterable[Normaliser]) -> tuple[str, frozenset[str]]:
    """Return *text* without what *rules* take away, and the names of those that acted."""
    acted = set()
    lower = text.lower()
    for rule in rules:
        if any(needle in lower for needle in rule.needles):
            changed = rule.apply(text)
            if changed != text:
                acted.add(rule.name)
                text, lower = changed, changed.lower()
    return text, frozenset(acted)


def compare_text(
    expected: str,
    observed: str,
    options: CompareOptions,
    verb: str = "printed",
) -> Outcome:
    """Compare two texts: exactly, then normalised, then number by number.

    Time and memory are linear in the length of both.
    """
    if expected == observed:
        return IDENTICAL
    rules = active(options)
    left, right, acted = _whole(expected, observed, rules, options)
    if options.installers and options.allows(installers.NAME):
        left, right, acted = _without_installers(left, right, acted, options)
    per_line = [rule for rule in rules if not rule.whole]
    one, other = left.split("\n"), right.split("\n")
    if len(one) != len(other):
        return _lines_differ(one, other, per_line, acted, verb)
    tally = _Tally(options)
    places = [i for i, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
    for start in range(0, len(places), _BLOCK):
        block = places[start : start + _BLOCK]
        olds, names = _normalise_lines([one[i] for i in block], per_line)
        news, more = _normalise_lines([other[i] for i in block], per_line)
        acted |= names | more
        for place, old, new in zip(block, olds, news, strict=True):
            tally.line(place, old, new)
        if tally.enough:
            break
    return tally.outcome(verb).plus(acted)


def compare_plain(expected: str, observed: str, options: CompareOptions, verb: str) -> Outcome:
    """Compare two texts number by number, without any normaliser."""
    if expected == observed:
        return IDENTICAL
    one, other = expected.split("\n"), observed.split("\n")
    if len(one) != len(other):
        return _lines_differ(one, other, (), frozenset(), verb)
    tally = _Tally(options)
    for place, (old, new) in enumerate(zip(one, other, strict=True)):
        tally.line(place, old, new)
        if tally.enough:
            break
    return tally.outcome(verb)


def _whole(
    expected: str, observed: str, rules: Iterable[Normaliser], options: CompareOptions
) -> tuple[str, str, frozenset[str]]:
    whole = [rule for rule in rules if rule.whole]
    left, acted = normalise(expected, whole)
    right, more = normalise(observed, whole)
    acted |= more
    if options.allows("trailing-whitespace"):
        short, shorter = left.rstrip(), right.rstrip()
        if left[len(short) :] != right[len(shorter) :]:
            acted |= {"trailing-whitespace"}
        left, right = short, shorter
    return left, right, acted


def _without_installers(
    left: str, right: str, acted: frozenset[str], options: CompareOptions
) -> tuple[str, str, frozenset[str]]:
    one, other = installers.without_output(
        left, right, options.installers, ran=bool(options.installed_again)
    )
    if (one, other) == (left, right):
        return left, right, acted
    if options.allows("trailing-whitespace"):
        one, other = one.rstrip(), other.rstrip()
    return one, other, acted | {installers.NAME}


def _normalise_lines(
    lines: Sequence[str], rules: Iterable[Normaliser]
) -> tuple[list[str], frozenset[str]]:
    if not lines:
        return [], frozenset()
    # The rules here never add or take away a line break.
    text, acted = normalise("\n".join(lines), rules)
    return text.split("\n"), acted


def _lines_differ(
    one: Sequence[str],
    other: Sequence[str],
    rules: Iterable[Normaliser],
    acted: frozenset[str],
    verb: str,
) -> Outcome:
    """Texts of different length differ; say where first."""
    for start in range(0, max(len(one), len(other)), _BLOCK):
        before, after = one[start : start + _BLOCK], other[start : start + _BLOCK]
        if before == after:
            continue
        old, names = _normalise_lines(before, rules)
        new, more = _normalise_lines(after, rules)
        acted |= names | more
        for place, (a, b) in enumerate(zip_longest(old, new), start):
            if a != b:
                return _text_differs(place, a, b, verb).plus(acted)
    # Blocks of unequal length cannot be equal, so the loop above has returned.
    return different("outputs.text-differs", "the numbers of lines differ")  # pragma: no cover


def _text_differs(place: int, old: str | None, new: str | None, verb: str) -> Outcome:
    code = "outputs.text-differs"
    line = f" (line {place + 1})"
    if new is None:
        shown = excerpt(old or "")
        said = f'{verb} less: the locked run went on with "{shown}"{line}'
        return different(code, said, expected=shown)
    if old is None:
        shown = excerpt(new)
        said = f'{verb} more than the locked run: "{shown}"{line}'
        return different(code, said, observed=shown)
    at = first_difference(old, new)
    expected, observed = excerpt(old, at), excerpt(new, at)
    said = f'{verb} "{observed}", the locked run {verb} "{expected}"{line}'
    return different(code, said, expected, observed)


class _Tally:
    """Counts the differences of lines that are paired."""

    def __init__(self, options: CompareOptions) -> None:
        self.options = options
        self.lines = 0  # that differ beyond tolerance
        self.moved = 0  # numbers that are not the same as printed
        self.outside = 0  # of these, those beyond tolerance
        self.number: tuple[int, str, str] | None = None
        self.text: tuple[int, str, str] | None = None
        self.spacing: tuple[int, str, str] | None = None

    def line(self, place: int, old: str, new: str) -> None:
        if old == new:
            return
        if min(len(old), len(new)) > _LONG_LINE:
            old, new = _middle(old, new)
        outside, moved = self.outside, self.moved
        if not self._numbers(place, old, new):
            self.outside, self.moved = outside, moved
            self.text = self.text or (place, old, new)
            self.lines += 1
        elif self.outside > outside:
            self.lines += 1
        elif self.moved == moved:
            self.spacing = self.spacing or (place, old, new)

    def _numbers(self, place: int, old: str, new: str) -> bool:
        """Compare the numbers of two lines; False where the text between them differs."""
        first = self.number
        for one, other in zip_longest(tokens(old), tokens(new)):
            if one is None or other is None or not _same_text(one[0], other[0]):
                self.number = first
                return False
            if one[1] == other[1]:
                continue
            if not (one[1] and other[1]):
                self.number = first
                return False
            self.moved += 1
            if not close(one[1], other[1], self.options.rtol, self.options.atol):
                self.outside += 1
                self.number = self.number or (place, one[1], other[1])
                if self.outside >= _MANY:
                    break
        return True

    @property
    def enough(self) -> bool:
        return self.lines >= _ENOUGH or self.outside >= _MANY

    def outcome(self, verb: str) -> Outcome:
        # Columns move with the width of their numbers; spaces alone are a difference of text.
        text = self.text or (None if self.moved else self.spacing)
        if text and not (self.number and self.number[0] < text[0]):
            return _text_differs(*text, verb)
        if self.number:
            expected, observed = (excerpt(n) for n in self.number[1:])
            least = "at least " if self.enough else ""
            more = f" ({least}{self.outside} numbers differ)" if self.outside > 1 else ""
            said = f"{verb} {observed}, the locked run {verb} {expected}{more}"
            return different("outputs.number-differs", said, expected, observed)
        return Outcome(Degree.WITHIN) if self.moved else normalised()


def _middle(one: str, other: str) -> tuple[str, str]:
    """Return two lines without the equal text at both ends, cut at spaces, with a margin."""
    start = one.rfind(" ", 0, max(0, first_difference(one, other) - _MARGIN)) + 1
    one, other = one[start:], other[start:]
    tail = max(0, first_difference(one[::-1], other[::-1]) - _MARGIN)
    cut = one.find(" ", len(one) - tail) if tail else -1
    if cut < 0:
        return one, other
    return one[:cut], other[: len(other) - (len(one) - cut)]


def _same_text(one: str, other: str) -> bool:
    return one == other or one.split() == other.split()
