"""A command line as it may be written down: without credentials, and without this machine's paths.

Cut out are: what stands before ``@`` in an address; the values of parameters, options, headers
and variables whose names say that they are secret; the known forms of tokens; the values of
environment variables with such names.
"""

from __future__ import annotations

import os
import re
import sys
from typing import Iterable, List

_CUT = "<secret>"
_SHORTEST = 8
_LONGEST = 1000
_READ = 4000  # characters that are looked at: the rest is cut off anyway
_NAMES = r"(?:token|secret|passw|pwd|passphrase|api[_-]?key|access[_-]?key|credential)"
_NAMED = re.compile(_NAMES + r"|auth|(?:^|[_-])key$|(?:^|_)pat$", re.IGNORECASE)
_HEADER = r"[\w-]*(?:authorization|cookie|token|key|secret|auth)[\w-]*\s*:\s*"
_HEADED = r"(?<!\S)(?:-H\s*|--(?:proxy-)?header(?:=|\s+))"
_VALUE = r"""(?:"(?:[^"\\]|\\.)*"|'[^']*'|[^\s;&|'"]+)"""
_TOKENS = (
    r"\b(?:gh[pousr]_\w{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}|hf_\w{16,}"
    r"|AKIA[0-9A-Z]{16}|xox[abprs]-[\w-]{10,}|sk-[\w-]{16,}|pypi-[\w-]{16,}"
    r"|AIza[\w-]{30,}|ya29\.[\w-]{20,}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{4,})"
)
_RULES = tuple(
    (re.compile(pattern, re.IGNORECASE), new)
    for pattern, new in (
        # https://user:token@host
        (r"(?<=://)[^/\s@'\"]+(?=@)", _CUT),
        # ?token=...&sig=...
        (
            rf"([?&][\w.-]*(?:{_NAMES}|auth|key|sig|session)[\w.-]*=)[^&\s'\"#]+",
            rf"\1{_CUT}",
        ),
        # --token x, --http-password=x
        (rf"(?<!\S)(--?[\w-]*{_NAMES}[\w-]*(?:=|\s+)){_VALUE}", rf"\1{_CUT}"),
        # -H "Authorization: ...", --header=...
        (rf"({_HEADED}([\"']){_HEADER})[^\"'\n]+", rf"\1{_CUT}"),
        (rf"({_HEADED}{_HEADER})[^\s\"']+", rf"\1{_CUT}"),
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
    for pattern, new in _RULES:
        text = pattern.sub(new, text)
    text = _PATH.sub(lambda m: _place(m[0], folder), text).strip()
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return _shortened(text, length)


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
