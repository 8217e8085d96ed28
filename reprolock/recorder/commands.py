"""Command lines that install or fetch: told apart from all others, and taken to pieces.

Read are lists and pipes of simple commands, as POSIX's shell language has them. A line with more
in it (loops, groups, background, here-documents) is told by its words, and not taken to pieces.
"""

from __future__ import annotations

import os
import re
import shlex
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

PIP, UV, CONDA, APT, GIT, FETCH = "pip", "uv", "conda", "apt", "git", "fetch"
INSTALLS = (PIP, UV, CONDA, APT)
FETCHES = (GIT, FETCH)

_LONGEST = 100_000
_TOOLS = re.compile(
    r"\b(?:pip\d*|uv|(?:micro)?(?:mamba|conda)|apt|aptitude|dpkg|git|wget|curl|gdown|kaggle|aria2c"
    r"|spacy|setup\.py)\b"
)
_TOKEN = re.compile(
    r"""(?P<quoted>'[^']*'|"(?:[^"\\]|\\.)*"|\\.)
    |(?P<comment>(?<![^\s;&|])\#[^\n]*)
    |(?P<substitution>\$\([^()`]*\)|`[^`]*`|\$\{[^{}]*\})
    |(?P<redirect>>>|>\||>&|<&|<>|>|<(?!<)|&>>?)
    |(?P<operator>&&|\|\||\|&?|;|\n)
    |(?P<hard>['"`()&]|<<|\$\()
    |(?P<plain>[^'"\\\#$`<>&|;()\n]+|.)""",
    re.VERBOSE | re.DOTALL,
)
_WORD = re.compile(r"""[^\S\n]*((?:'[^']*'|"(?:[^"\\]|\\.)*"|\\.|[^\s;&|<>()'"\\`])+)""", re.DOTALL)
_INNER = re.compile(r"\$\(\s*([^\s)]*)[^)]*\)|`\s*([^\s`]*)[^`]*`")
_HARMLESS_INSIDE = frozenset(
    ["uname", "lsb_release", "pwd", "nproc", "echo", "which", "arch", "dpkg", "date"]
)
_SHELLS = ("sh", "bash", "dash", "zsh")
_GRAMMAR = frozenset(
    [
        "if",
        "then",
        "elif",
        "else",
        "fi",
        "for",
        "do",
        "done",
        "while",
        "until",
        "case",
        "esac",
        "function",
        "select",
        "time",
        "{",
        "}",
        "[[",
        "!",
    ]
)
_NOTHING = frozenset(
    [
        "cd",
        "pushd",
        "popd",
        "echo",
        "printf",
        "true",
        ":",
        "pwd",
        "ls",
        "mkdir",
        "export",
        "set",
        "sleep",
        "date",
        "which",
        "test",
        "[",
    ]
)
# What is done with a file that was fetched, in the same line.
_COMPANIONS = frozenset(
    [
        "unzip",
        "tar",
        "gunzip",
        "gzip",
        "bunzip2",
        "unxz",
        "xz",
        "7z",
        "7za",
        "unrar",
        "rm",
        "mv",
        "cp",
        "chmod",
        "ln",
    ]
)
_FILTERS = frozenset(
    ["tail", "head", "grep", "egrep", "cat", "tee", "wc", "sort", "uniq", "sed", "awk", "tr", "cut"]
)
_UNPACKERS = frozenset(["tar", "bsdtar", "funzip", "gunzip", "zcat", "unxz", "bunzip2", "tee"])
_FEEDERS = frozenset(("yes", "echo", "printf"))
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_PYTHON = re.compile(r"(?:python|pypy)\d*(?:\.\d+)?t?")
_PIP = re.compile(r"pip\d*(?:\.\d+)?")
_WRAPPERS = frozenset(
    ["sudo", "env", "nohup", "command", "exec", "nice", "ionice", "stdbuf", "timeout"]
)
_WRAPPERS_VALUES = frozenset(("-u", "-n", "-g", "-s", "-k"))
_NO_ACTION = frozenset(("-h", "--help", "--version", "--dry-run", "--spider"))
_APT_ACTIONS = frozenset(
    [
        "update",
        "install",
        "reinstall",
        "upgrade",
        "dist-upgrade",
        "full-upgrade",
        "remove",
        "purge",
        "autoremove",
        "clean",
        "autoclean",
        "build-dep",
    ]
)
_CONDA_ACTIONS = frozenset(["install", "update", "upgrade", "create", "remove", "uninstall"])
_GIT_ACTIONS = frozenset(
    ["clone", "pull", "fetch", "checkout", "switch", "submodule", "lfs", "reset"]
)
_BY_WORDS: Tuple[Tuple[str, str], ...] = (
    (PIP, r"\bpip[\d.]*\s+(?:-\S+\s+)*(?:un)?install\b"),
    (UV, r"\buv\s+(?:-\S+\s+)*(?:pip\s+(?:install|sync|uninstall)|add|sync)\b"),
    (CONDA, r"\b(?:conda|mamba|micromamba)\s+(?:env\s+)?(?:install|update|create)\b"),
    (APT, r"\bapt(?:-get)?\s+(?:-\S+\s+)*(?:install|update|upgrade)\b"),
    (GIT, r"\bgit\s+clone\b"),
    (FETCH, r"\bwget\s|\bcurl\s[^|\n]*?\s-\w*[oO]|\bgdown\s|\bkaggle\s[^|\n]*\bdownload\b"),
)


def of_arguments(args: Any) -> Optional[str]:
    """Return the command line that a process with these arguments runs; None where it has none."""
    if isinstance(args, (str, bytes)):
        return os.fsdecode(args)
    try:
        words = [os.fsdecode(word) for word in args]
    except TypeError:
        return None  # Popen will say so.
    if (
        len(words) > 2  # noqa: PLR2004 - a shell, its option and a command
        and words[1] in ("-c", "-lc", "-ec")
        and os.path.basename(words[0]) in _SHELLS
    ):
        return words[2]
    return " ".join(shlex.quote(word) for word in words)


class Simple(NamedTuple):
    """One simple command. *raw* is its text, *words* those of it without wrappers such as sudo and
    without redirections, *output* the file that its standard output goes to; *kind* one of
    INSTALLS and FETCHES, else None; *after* the operator behind it.
    """

    raw: str
    words: Tuple[str, ...]
    output: Optional[str]
    kind: Optional[str]
    after: str

    @property
    def name(self) -> str:
        return os.path.basename(self.words[0]) if self.words else ""


class Line(NamedTuple):
    """A line in which something is installed or fetched.

    *whole*: nothing else is done that the recorded run would have to do again. *rest* is the line
    with ``true`` for what is installed or fetched, None where nothing else is left of it, and
    where the line was not *understood*.
    """

    parts: Tuple[Simple, ...]
    kinds: Tuple[str, ...]
    understood: bool
    whole: bool
    rest: Optional[str]


def read(text: str) -> Optional[Line]:
    """Return what *text* installs or fetches, None where it does neither."""
    if len(text) > _LONGEST or not _TOOLS.search(text):
        return None
    text = text.replace("\\\n", " ")
    parts = _parts(text)
    if parts is None:
        kinds = tuple(kind for kind, words in _BY_WORDS if re.search(words, text))
        return Line((), kinds, understood=False, whole=False, rest=None) if kinds else None
    kinds = tuple(dict.fromkeys(part.kind for part in parts if part.kind is not None))
    if not kinds:
        return None
    return _line(parts, kinds)


def _line(parts: List[Simple], kinds: Tuple[str, ...]) -> Line:
    fetching = any(kind in FETCHES for kind in kinds)
    pieces, left, whole = [], False, True
    for pipe in _pipes(parts):
        raw = "".join(part.raw + part.after for part in pipe[:-1]) + pipe[-1].raw
        answered = _is_answered(pipe, fetching)
        if answered is None:
            return Line(tuple(parts), kinds, understood=False, whole=False, rest=None)
        if not answered and pipe[0].words:
            left = True
            whole = whole and len(pipe) == 1 and _does_nothing(pipe[0])
        pieces.append((" true " if answered else raw) + pipe[-1].after)
    rest = "".join(pieces).strip() if left else None
    return Line(tuple(parts), kinds, understood=True, whole=whole, rest=rest)


def _pipes(parts: List[Simple]) -> List[List[Simple]]:
    pipes: List[List[Simple]] = [[]]
    for part in parts:
        pipes[-1].append(part)
        if not part.after.startswith("|") or part.after == "||":
            pipes.append([])
    return [pipe for pipe in pipes if pipe]


def _is_answered(pipe: List[Simple], fetching: bool) -> Optional[bool]:
    """Say whether *pipe* need not run again; None where only part of it need not."""
    if len(pipe) == 1:
        part = pipe[0]
        return part.kind is not None or (fetching and part.name in _COMPANIONS)
    if not any(part.kind is not None for part in pipe):
        return False
    allowed = _FILTERS | _UNPACKERS
    others = [part for i, part in enumerate(pipe) if part.kind is None and (i or not _feeds(part))]
    return True if all(part.name in allowed for part in others) else None


def _feeds(part: Simple) -> bool:
    return part.name in _FEEDERS


def _does_nothing(part: Simple) -> bool:
    return part.name in _NOTHING and part.output is None


# -- a line to simple commands ----------------------------------------------------------------


class _Builder:
    def __init__(self) -> None:
        self.done: List[Tuple[str, str, Optional[str], str]] = []
        self._raw: List[str] = []
        self._clean: List[str] = []
        self._output: Optional[str] = None

    def add(self, text: str, clean: Optional[str] = None) -> None:
        self._raw.append(text)
        self._clean.append(text if clean is None else clean)

    def redirected(self, operator: str, target: str) -> None:
        last = self._clean[-1] if self._clean else ""
        number = re.search(r"(?:^|(?<=\s))\d+\Z", last)
        if number and not operator.startswith("&"):
            # The number of a descriptor, and no word of the command.
            self._clean[-1] = last[: number.start()]
        ours = number is None or number[0] == "1"
        if ours and operator in (">", ">>", ">|", "&>", "&>>"):
            self._output = target

    def end(self, operator: str) -> None:
        self.done.append(("".join(self._raw), "".join(self._clean), self._output, operator))
        self._raw, self._clean, self._output = [], [], None


def _parts(text: str) -> Optional[List[Simple]]:
    builder, at = _Builder(), 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        kind = token.lastgroup if token else "hard"
        if token is None or kind == "hard" or not _inside_is_harmless(kind, token[0]):
            return None
        at = token.end()
        if kind == "operator":
            builder.end(token[0])
        elif kind == "comment":
            builder.add("")
        elif kind == "redirect":
            word = _WORD.match(text, at)
            if word is None:
                return None
            at = word.end()
            builder.redirected(token[0], _unquoted(word[1]))
            builder.add(token[0] + word[0], " ")
        else:
            builder.add(token[0])
    builder.end("")
    return _read_all(builder.done)


def _inside_is_harmless(kind: Optional[str], token: str) -> bool:
    """Say whether a token runs no command that may do more than tell something."""
    if kind not in ("quoted", "substitution") or token.startswith(("'", "${")):
        return True
    inner = [first or second for first, second in _INNER.findall(token)]
    return len(inner) == token.count("$(") + token.count("`") // 2 and _HARMLESS_INSIDE.issuperset(
        inner
    )


def _unquoted(word: str) -> str:
    try:
        return " ".join(shlex.split(word)) or word
    except ValueError:
        return word


def _read_all(pieces: List[Tuple[str, str, Optional[str], str]]) -> Optional[List[Simple]]:
    parts = []
    for at, (raw, clean, output, after) in enumerate(pieces):
        try:
            words = _without_wrappers(shlex.split(clean))
        except ValueError:
            return None
        if words and words[0] in _GRAMMAR:
            return None
        behind = pieces[at + 1][1].split()[:1] if after in ("|", "|&") else []
        unpacked = bool(behind) and os.path.basename(behind[0]) in _UNPACKERS
        to_file = output is not None and not output.startswith("/dev/")
        kind = kind_of(words, kept=to_file or unpacked)
        parts.append(Simple(raw, tuple(words), output, kind, after))
    return parts


def _without_wrappers(words: List[str]) -> List[str]:
    """Return *words* from the command itself on; of an interpreter's ``-m``, from the module on."""
    words = list(words)
    while words:
        name = os.path.basename(words[0])
        if _ASSIGNMENT.match(words[0]):
            del words[0]
        elif name in _WRAPPERS:
            del words[0]
            while words and words[0].startswith("-"):
                del words[: 2 if words[0] in _WRAPPERS_VALUES else 1]
            if name == "timeout":
                del words[:1]
        elif _PYTHON.fullmatch(name):
            return _without_python(words)
        else:
            break
    return words


def _without_python(words: List[str]) -> List[str]:
    for at, word in enumerate(words[1:], 1):
        if word == "-m":
            return words[at + 1 :]
        if word == "setup.py":
            return words[at:]
        if not word.startswith("-") or word in ("-c", "-"):
            break
    return words


# -- what a simple command is -----------------------------------------------------------------


def kind_of(words: List[str], *, kept: bool = False) -> Optional[str]:
    """Return the kind of the simple command *words*; *kept*: what it prints is put in a file."""
    if not words or _NO_ACTION & set(words[1:]):
        return None
    name = os.path.basename(words[0])
    if _PIP.fullmatch(name):
        return _pip(words)
    judge = _JUDGES.get(name)
    return judge(words, kept) if judge else None


def action(words: List[str], valued: Tuple[str, ...] = ()) -> Tuple[str, List[str]]:
    """Return the first word behind the options, and the words behind that."""
    at = 1
    while at < len(words) and words[at].startswith("-"):
        at += 2 if words[at] in valued else 1
    return (words[at], words[at + 1 :]) if at < len(words) else ("", [])


def _pip(words: List[str]) -> Optional[str]:
    verb, _ = action(words, ("--python", "--proxy", "--log", "--cache-dir", "--timeout"))
    if verb in ("install", "uninstall"):
        return PIP
    return FETCH if verb in ("download", "wheel") else None


def _uv(words: List[str], _kept: bool) -> Optional[str]:
    verb, rest = action(words, ("--directory", "--project", "--config-file", "--cache-dir"))
    if verb == "pip":
        verb, _ = action([verb, *rest])
        return UV if verb in ("install", "sync", "uninstall") else None
    return UV if verb in ("add", "remove", "sync") else None


def _conda(words: List[str], _kept: bool) -> Optional[str]:
    verb, rest = action(words)
    if verb == "env":
        verb, _ = action([verb, *rest])
    return CONDA if verb in _CONDA_ACTIONS else None


def _apt(words: List[str], _kept: bool) -> Optional[str]:
    verb, _ = action(words, ("-o", "-t", "-c"))
    return APT if verb in _APT_ACTIONS else None


def _dpkg(words: List[str], _kept: bool) -> Optional[str]:
    return APT if {"-i", "--install"} & set(words[1:]) else None


def _git(words: List[str], _kept: bool) -> Optional[str]:
    verb, _ = action(words, ("-C", "-c"))
    return GIT if verb in _GIT_ACTIONS else None


def _wget(words: List[str], kept: bool) -> Optional[str]:
    return FETCH if kept or option(words, "O", "--output-document") != "-" else None


def _curl(words: List[str], kept: bool) -> Optional[str]:
    named = option(words, "o", "--output")
    if named is not None:
        return None if named == "/dev/null" or (named == "-" and not kept) else FETCH
    remote = has_flag(words, "O") or {"--remote-name", "--remote-name-all"} & set(words)
    return FETCH if remote or kept else None


def _fetcher(_words: List[str], _kept: bool) -> Optional[str]:
    return FETCH


def _kaggle(words: List[str], _kept: bool) -> Optional[str]:
    return FETCH if "download" in words or "output" in words else None


def _spacy(words: List[str], _kept: bool) -> Optional[str]:
    return PIP if words[1:2] == ["download"] else None


def _setup(words: List[str], _kept: bool) -> Optional[str]:
    return PIP if {"install", "develop"} & set(words[1:]) else None


_JUDGES: Dict[str, Callable[[List[str], bool], Optional[str]]] = {
    "uv": _uv,
    "conda": _conda,
    "mamba": _conda,
    "micromamba": _conda,
    "apt": _apt,
    "apt-get": _apt,
    "aptitude": _apt,
    "add-apt-repository": lambda _words, _kept: APT,
    "apt-key": lambda _words, _kept: APT,
    "dpkg": _dpkg,
    "git": _git,
    "wget": _wget,
    "curl": _curl,
    "gdown": _fetcher,
    "aria2c": _fetcher,
    "kaggle": _kaggle,
    "spacy": _spacy,
    "setup.py": _setup,
}


def option(words: List[str], short: str, *longs: str) -> Optional[str]:
    """Return the value of an option: ``-o v``, ``-ov``, ``-xo v``, ``--out v``, ``--out=v``."""
    for at, word in enumerate(words[1:], 1):
        name, equals, value = word.partition("=")
        following = words[at + 1] if at + 1 < len(words) else ""
        if name in longs:
            return value if equals else following
        if short and re.fullmatch(r"-[A-Za-z]*", word[: word.find(short) + 1]) and short in word:
            return word[word.find(short) + 1 :] or following
    return None


def has_flag(words: List[str], short: str) -> bool:
    """Say whether the letter *short* stands among the short options."""
    return any(re.fullmatch(r"-[A-Za-z]+", word) and short in word for word in words[1:])
