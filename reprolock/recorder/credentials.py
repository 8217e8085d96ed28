"""A command line as it may be written down: without credentials, and without this machine's paths.

Cut out are: what stands before ``@`` in an address; the values of parameters, options, headers
and variables whose names say that they are secret; what is fed to a program that logs in, and what
is written into a file of credentials; the passwords of programs that take them by a short option;
the known forms of tokens; the values of environment variables with such names.
"""

from __future__ import annotations

import os
import re
import sys
from functools import lru_cache
from typing import Iterable, List, Tuple

_CUT = "<secret>"
_SHORTEST = 8
_LONGEST = 1000
_READ = 4000  # characters that are looked at: the rest is cut off anyway
_NAMES = r"(?:token|secret|passw|pwd|passphrase|api[_-]?key|access[_-]?key|credential)"
_NAMED = re.compile(_NAMES + r"|auth|(?:^|[_-])key$|(?:^|_)pat$", re.IGNORECASE)
_HEADER = (
    r"(?:authorization|authentication|auth|bearer|basic|cookie|token|key|secret|session|signature)"
    r"[\w-]*"
)
_HEADED = r"(?<!\S)(?:-H\s*|--(?:proxy-)?header(?:=|\s+))"
_QUOTED = r"""'[^']*'|"(?:[^"\\]|\\.)*\""""
_VALUE = rf"(?![<>])(?:{_QUOTED}|[^\s;&|'\"]+)"
# Where a line feeds what `echo` prints, and that is not for everybody's eyes.
_SINK = (
    r"(?:log[io]n|auth|(?:ch)?passwd|--password-stdin|--with-token|-pass(?:in)?\s+stdin"
    r"|sudo\s+(?:-\w+\s+)*-S|netrc|pgpass|credentials?|token(?!iz)|secrets?|kaggle\.json|pypirc"
    r"|my\.cnf|id_(?:rsa|dsa|ecdsa|ed25519)|\.pem)(?![A-Za-z])"
)
_FED = (
    rf"(?<![\w-])((?:echo|printf)\s+)(?:{_QUOTED}|\\.|[^|;&<>\n'\"\\])+"
    rf"(?=[|>][^;\n]*?(?<![A-Za-z]){_SINK})"
)
_DOCUMENT = (
    rf"((?m:^)(?=[^\n]*(?:{_SINK}|@-))[^\n]*<<-?\s*(['\"]?)(\w+)\2[^\n]*\n)"
    r"[^\0]*?(?=\n\s*\3\s*(?:\n|$))"
)
_TOKENS = (
    r"\b(?:gh[pousr]_\w{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}|hf_\w{16,}"
    r"|AKIA[0-9A-Z]{16}|xox[abprs]-[\w-]{10,}|sk-[\w-]{16,}|pypi-[\w-]{16,}"
    r"|AIza[\w-]{30,}|ya29\.[\w-]{20,}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{4,})"
)
_RULES = (
    # https://user:token@host
    (r"(?<=://)[^/\s'\"]+(?=@)", _CUT),
    # echo x | docker login, printf x > ~/.netrc, curl -H @- <<< x, and a document in its place
    (_FED, rf"\1{_CUT} "),
    (rf"(<<<\s*)(?:{_QUOTED}|[^\s;&|'\"]+)", rf"\1{_CUT}"),
    (_DOCUMENT, rf"\1{_CUT}"),
    # machine h login u password x
    (
        r"(\b(?:machine\s|default\s|machine\\n)[^\0]*?\bpassw(?:or)?d(?:\s|\\n)+)(?:(?!\\n)[^\s'\"])+",
        rf"\1{_CUT}",
    ),
    # {"key": "x"}
    (
        rf"(\\?[\"'][\w-]*(?:{_NAMES}|key)\\?[\"']\s*:\s*)\\?[\"'][^\"'\\]*",
        rf"\1{_CUT}",
    ),
    # git -c http.extraHeader=x; aws configure set aws_secret_access_key x
    (r"([\"'][^\"'\s]*extraheader=)[^\"'\n]+", rf"\1{_CUT}"),
    (rf"(\bextraheader(?:=|\s+)){_VALUE}", rf"\1{_CUT}"),
    (rf"(\bconfig(?:ure)?\s+(?:\S+\s+)?\S*(?:{_NAMES}|key)\S*\s+){_VALUE}", rf"\1{_CUT}"),
    # ?token=...&sig=...
    (
        rf"([?&][\w.-]*(?:{_NAMES}|auth|key|sig|session)[\w.-]*=)[^&\s'\"#]+",
        rf"\1{_CUT}",
    ),
    # --token x, --http-password=x
    (
        rf"(?<!\S)(--?[\w-]*(?:{_NAMES}|bearer)[\w-]*(?:=|\s+)|--(?:proxy-)?pass(?:=|\s+)){_VALUE}",
        rf"\1{_CUT}",
    ),
    (
        rf"(?<!\S)([\"']--?[\w-]*(?:{_NAMES}|bearer)[\w-]*=)[^\"'\n]+",
        rf"\1{_CUT}",
    ),
    # -H "Authorization: ...", --header=...
    (
        rf"(?<!\S)([\"'](?:-H|--(?:proxy-)?header=)[^\"'\n]*?{_HEADER}[\s:=]+)[^\"'\n]+",
        rf"\1{_CUT}",
    ),
    (rf"({_HEADED}([\"'])[^\"'\n]*?{_HEADER}[\s:=]+)[^\"'\n]+", rf"\1{_CUT}"),
    (
        rf"({_HEADED}(?:\\.|[^\s\"'\\])*?{_HEADER}(?:\s*:\s*|=|\\[ \t])+)(?:\\.|[^\s\"'\\])+",
        rf"\1{_CUT}",
    ),
    # curl: -u name:password; a cookie and what is sent may hold a password
    (r"(?<!\S)(-u\s*|--(?:proxy-)?user(?:=|\s+))[^\s:-][^\s:]*:\S+", rf"\1{_CUT}"),
    (r"(?<!\S)((?:-b\s*|--cookie(?:=|\s+)))[^\s=]+=\S+", rf"\1{_CUT}"),
    (
        rf"(?<!\S)((?:--data[\w-]*|--post-data|--form|--json)(?:=|\s+)){_VALUE}",
        rf"\1{_CUT}",
    ),
    (r"(?<!\S)(-d\s+)(?:'[^']*'|\"[^\"]*\"|[^\s;&|=]*=[^\s;&|]*)", rf"\1{_CUT}"),
    # TOKEN=x command
    (rf"(?<![\w.-])(\w*(?:{_NAMES}|key)\w*=)(?!=){_VALUE}", rf"\1{_CUT}"),
    # GitHub, GitLab, Hugging Face, AWS, Slack, OpenAI, PyPI, Google; JSON web tokens.
    (_TOKENS, _CUT),
)
# Programs that take a password by a short option, which means something else to all others.
_PROGRAMS = (
    (r"curl", r"-F\s*", r"(?:'[^'=]+=[^']*'|\"[^\"=]+=[^\"]*\"|[^\s;&|='\"]+=[^\s;&|]*)"),
    (r"curl", r"(?:-E\s*|--(?:proxy-)?cert(?:=|\s+))[^\s:]+:", r"\S+"),
    (r"unzip|zip|zipcloak", r"-P\s*", _VALUE),
    (r"7z|7za|7zr|7zz|rar|unrar", r"-h?p", _VALUE),
    (r"sshpass|mongo(?:sh|dump)?", r"-p\s*", _VALUE),
    (r"(?:docker|podman|nerdctl|helm|az|oc)\s+(?:registry\s+)?login", r"-p\s*", _VALUE),
    (r"(?:mysql|mariadb)(?:-?(?:dump|admin|import))?", r"-p", _VALUE),
    (r"redis-cli", r"-a\s*", _VALUE),
    (r"openssl", r"-[kK]\s+", _VALUE),
    (r"openssl", r"-\w+\s+pass:", r"\S+"),
    (r"kaggle\s+config", r"(?:-v\s*|--value(?:=|\s+))", _VALUE),
    (r"wandb", r"login\s+(?:--?\w[\w-]*\s+)*", r"(?!-)" + _VALUE),
)
_PATH = re.compile(r"(?:(?<=file://)|(?<![\w.:/~<>\-]))/[^\s'\"=:,;|&<>()@]*")
# The same on every machine, or on every machine of a platform.
_COMMON = ("/dev/", "/content/", "/kaggle/")


def written(text: str, folder: str, secrets: Iterable[str] = ()) -> str:
    """Return *text* as it may enter a journal and a lock, some 1,000 characters at most.

    *folder* is the notebook's; *secrets* are values that must not show.
    """
    if len(text) > _READ:
        length, text = len(text), text[:_READ].rpartition(" ")[0]
    else:
        length = 0
    for value in sorted({*secrets, *_of_the_environment()}, key=len, reverse=True):
        if len(value) >= _SHORTEST:
            text = text.replace(value, _CUT)
    for pattern, new in _rules():
        text = pattern.sub(new, text)
    for program, option in _programs():
        text = program.sub(lambda m: option.sub(_cut, m[0]), text)  # noqa: B023
    text = _PATH.sub(lambda m: _place(m[0], folder), text).strip()
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return _shortened(text, length)


@lru_cache(maxsize=None)  # not at once: most notebooks run no such command
def _rules() -> "List[Tuple[re.Pattern[str], str]]":
    return [(re.compile(pattern, re.IGNORECASE), new) for pattern, new in _RULES]


@lru_cache(maxsize=None)
def _programs() -> "List[Tuple[re.Pattern[str], re.Pattern[str]]]":
    """Return, for each program, its whole command and the option in it."""
    return [
        (
            re.compile(rf"(?<![\w.-])(?:{names})(?=\s)(?:{_QUOTED}|\\.|[^;&|\n'\"\\])*"),
            re.compile(rf"(?<!\S)(?:([\"']{option})[^\"'\n]+|({option}){value})"),
        )
        for names, option, value in _PROGRAMS
    ]


def _cut(found: "re.Match[str]") -> str:
    return (found[1] or found[2]) + _CUT


def _shortened(text: str, length: int) -> str:
    if not length and len(text) <= _LONGEST:
        return text
    return "{} ... ({} characters)".format(text[: _LONGEST - 40], length or len(text))


def _of_the_environment() -> List[str]:
    """Return the values of variables that are named as secrets are, and hold no path."""
    return [
        value
        for name, value in os.environ.items()
        if _NAMED.search(name) and not value.startswith(("/", "."))
    ]


def _place(path: str, folder: str) -> str:
    """Return what stands for an absolute *path*: nothing in it names this machine."""
    if path == sys.executable or re.fullmatch(r".*/bin/python[\d.]*", path):
        return "python"
    for top, name in ((folder, "."), (os.path.expanduser("~"), "~")):
        if top != "/" and (path == top or path.startswith(top + "/")):
            return name + path[len(top) :]
    if path == "/" or path.startswith(_COMMON) or path + "/" in _COMMON:
        return path
    return "<path>/" + os.path.basename(path.rstrip("/"))
