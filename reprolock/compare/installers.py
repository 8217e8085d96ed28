# ruff: noqa: E501  (one form a line, as the program prints it)
"""What pip, uv, conda, apt, git, wget, curl, gdown, kaggle and unzip print while they work.

The text depends on caches, mirrors, network and terminal, and a replay does not run them at all.
A line is taken out of the locked run's text only, where it has a form that a program prints which
the cell's source calls, and where the new run has no such line too. The new run's text is left as
it is, so that what the notebook itself printed there always counts; but for cells of which the
commands did run again.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NAME = "installer-output"
Pair = tuple[str, str]
_LONGEST = 4000  # characters of a line that such a program prints

_NAME = r"[A-Za-z][\w.-]*"  # of a package
_VERSION = r"v?\d[\w.!+~:-]*"
_REQUIREMENT = rf"{_NAME}(?:\[[\w,.\s-]*\])?(?:\s?(?:[<>=!~]=?=?|@)\s?[^\s,]+(?:,\s?[^\s,]+)*)?"
_SIZE = r"[\d.]+\s?(?:[kKMGT]i?)?[bB](?:ytes)?"
_RATE = rf"{_SIZE}/s(?:ec)?"
_TIME = r"[\d.]+\s?(?:ms|s|m|h)(?:\s?[\d.]+\s?(?:ms|s))?"
_ONE = rf"{_NAME}-v?\d[\w.!+]*"
_LIST = rf"{_ONE}(?: {_ONE})*"
_BAR = r"[#=>.\-━╸╺█▏▎▍▌▋▊▉░ |]*"
_LINK = r"(?:https?|ftp|file)://\S+"

_PIP = rf"""
Looking in (?:indexes|links): \S.*
Collecting {_REQUIREMENT}(?: \(from .*\))?(?:\s*;.*)?
Collecting (?:git\+)?{_LINK}(?: \(from .*\))?
(?:  |\t)*(?:Downloading|Using cached|Obtaining dependency information for) \S.*?
  (?:Downloading|Using cached) \S+(?: \({_SIZE}\))?
(?:Processing|Obtaining) (?:\.|/|file:|{_LINK})\S*.*
  (?:Cloning|Running command|Resolved|Created wheel|Stored in directory|Building wheel|Link requires|Created temporary directory|Added|Removed) .*
  (?:Preparing metadata|Installing build dependencies|Getting requirements to build \w+|Checking if build backend supports build_editable|Installing backend dependencies|Building (?:wheel|editable)|Running setup\.py install|Attempting uninstall: {_NAME}|Found existing installation: .*|Uninstalling .*|Successfully uninstalled .*|Not uninstalling .*|Can't uninstall .*|Would remove:|Proceed \(Y/n\)\?.*)(?:.*)
Requirement already (?:satisfied|up-to-date): .*
Building wheels for collected packages: {_NAME}.*
(?:Building wheels? for|Created wheel for) {_NAME}.*
(?:Successfully|Failed to) (?:built|build) {_NAME}(?: {_NAME})*
Installing collected packages: {_NAME}(?:, {_NAME})*
Successfully installed {_LIST}
Successfully uninstalled {_LIST}
Found existing installation: {_NAME} {_VERSION}
Uninstalling {_NAME}-{_VERSION}:
Attempting uninstall: {_NAME}
 *[━╸╺]{{5,}}.*
 *\|[█▏▎▍▌▋▊▉ ]+\| [\d.]+\s?[kMG]?B [\d.]+\s?[kMG]?B/s\s*(?:eta .*)?
(?:\[notice\]|\[notice) .*
WARNING: (?:Running pip as|You are using pip version|The (?:script|scripts|directory) |Ignoring invalid distribution|Skipping {_NAME} as it is not installed|Location |Retrying |.*does not provide the extra|Target directory|Value for |Upgrading ).*
You should consider upgrading via .*
DEPRECATION: .*
Note: you may need to restart the kernel to use updated packages\.
ERROR: pip's dependency resolver does not currently take into account all the packages.*
{_NAME} {_VERSION} requires {_NAME}.*, (?:but you have {_NAME} {_VERSION} which is incompatible|which is not installed)\.
Defaulting to user installation because .*
"""
_UV = rf"""
Using (?:CPython|PyPy|Python) {_VERSION}.*
(?:Resolved|Prepared|Installed|Uninstalled|Audited|Checked|Bytecode compiled) \d+ (?:packages?|files?) in {_TIME}
 [+~-] {_NAME}==\S+(?: \(from .*\))?
(?:   )?(?:Building|Built|Downloading|Downloaded|Updating|Updated|Updating|Prepared) {_NAME}(?: .*)?
warning: (?:Failed to hardlink|The package|`VIRTUAL_ENV=|Skipping ).*
 {{6,}}If the cache and target directories are on different filesystems.*
"""
_APT = rf"""
Reading package lists\.\.\..*
Building dependency tree\.\.\..*
Reading state information\.\.\..*
(?:Get|Hit|Ign|Err|Fetched):\d+ \S.*
Fetched [\d,.]+ [kMG]?B in .*
The following (?:NEW |additional )?packages? (?:will be|were|have been) .*
The following packages (?:are|have) .*
(?:Suggested|Recommended) packages:
  [a-z0-9][a-z0-9+.-]+(?: [a-z0-9][a-z0-9+.-]+)*
\d+ upgraded, \d+ newly installed, \d+ to remove and \d+ not upgraded\.
\d+ packages? can be upgraded\. .*
All packages are up to date\.
Need to get [\d,.]+ [kMG]?B(?:/[\d,.]+ [kMG]?B)? of archives\.
After this operation, [\d,.]+ [kMG]?B (?:of additional disk space will be used|disk space will be freed)\.
(?:Selecting previously unselected package|Preparing to unpack|Unpacking|Setting up|Processing triggers for|Removing|Purging configuration files for) [\w./~:+-]+.*
\(Reading database \.\.\. .*
[a-z0-9][a-z0-9+.-]+ is already the newest version \(.*\)\.
{_NAME} set to manually installed\.
Use 'sudo apt autoremove' to remove .*
W: .*
N: .*
debconf: .*
WARNING: apt does not have a stable CLI interface\..*
Extracting templates from packages: \d+%
\d+% \[.*\]
"""
_CONDA = r"""
(?:Collecting package metadata|Solving environment|Retrieving notices|Preparing transaction|Verifying transaction|Executing transaction|Downloading and Extracting Packages):?.*
Channels:
 - [\w./:-]+
Platform: [\w-]+
## Package Plan ##
  environment location: .*
  added / updated specs:
    - \S.*
The following (?:NEW )?packages will be .*
    package {4,}\|.*
    -{5,}.*
    [\w.-]+ +\|.*
    {20,}Total: .*
  [\w.-]+ +(?:\S+ +)?(?:-->|::|pkgs/|conda-forge/).*
# All requested packages already installed\.
==> WARNING: A newer version of conda exists\. <==
  (?:current|latest) version: \S+
Please update conda by running
    \$ conda update .*
[|/\\-] ?(?:done|\x08.*)?
done
"""
_GIT = rf"""
Cloning into (?:bare repository )?'.*'\.\.\.
(?:remote: )?(?:Enumerating|Counting|Compressing|Receiving|Resolving|Unpacking|Writing|Filtering|Updating)(?: objects| deltas| files| content)?: +\d+(?:% \(\d+/\d+\))?.*
remote: Total \d+ \(delta \d+\).*
Submodule '.*' \(.*\) registered for path '.*'
Submodule path '.*': checked out '[0-9a-f]+'
Note: switching to '.*'\.
HEAD is now at [0-9a-f]{{7,}} .*
Already up to date\.
From {_LINK}
fatal: destination path '.*' already exists and is not an empty directory\.
"""
_FETCH = rf"""
--\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d--  \S.*
(?:Resolving \S+ \(.*\)|Resolving |Connecting to |Reusing existing connection to )\S*.*
HTTP request sent, awaiting response\.\.\. .*
Length: (?:\d+|unspecified).*
Location: {_LINK}.*
Saving to: .*
\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d \({_RATE}\) - .* saved \[\d+(?:/\d+)?\]
(?:\S+ +)?\d+%\[{_BAR}\] +[\d.,]+[KMG]? .*
\S* +\[{_BAR}\] +[\d.,]+[KMG]? .*
 *\d+K(?: [ .]{{10}}){{1,5}} +\d+% .*
File .* already there; not retrieving\.
(?:Total wall clock time|Downloaded): .*
  % Total    % Received % Xferd  Average Speed .*
 +Dload  Upload .*
 *\d+ +[\d.]+[kMG]? +\d+ +[\d.]+[kMG]? +\d+ +[\d.]+[kMG]? +[\d.]+[kMG]? +[\d.]+[kMG]? +[-\d:]+ +[-\d:]+ +[-\d:]+ +[\d.]+[kMG]?
(?:Downloading\.\.\.|From(?: \(\w+\))?: {_LINK}|To: \S.*)
 *\d+%\|.*\| [\d.]+[kMG]?/[\d.]+[kMG]? \[.*
 *\d+% [\d.]+[kMG]?/[\d.]+[kMG]? \[.*
Downloading \S+ to \S+
{_NAME}: Skipping, found more recently modified local copy.*
(?:Dataset URL|License\(s\)): .*
"""
_UNZIP = r"""
Archive:  \S.*
 +(?:inflating|extracting|creating|linking): \S.*
"""

_TOOLS: dict[str, tuple[str, str]] = {
    # in the source -> forms
    "pip": (r"\bpip\d*(?:\.\d+)?['\"\s,]+(?:-\S+\s+)*['\"]?(?:un)?install\b|\bsetup\.py\b", _PIP),
    "uv": (r"\buv['\"\s,]+(?:-\S+\s+)*['\"]?(?:pip\b|add\b|sync\b)", _UV),
    "spacy": (r"\bspacy['\"\s,]+['\"]?download\b", _PIP),
    "apt": (r"\bapt(?:-get|itude)?\b|\bdpkg\b", _APT),
    "conda": (r"\b(?:conda|mamba|micromamba)\b", _CONDA),
    "git": (r"\bgit\b", _GIT),
    "fetch": (r"\b(?:wget|curl|gdown|kaggle|aria2c)\b", _FETCH + _UNZIP),
}
_CALLS = tuple((re.compile(call), forms) for call, forms in _TOOLS.values())


def forms_of(source: str) -> tuple[str, ...]:
    """Return the forms of the lines that the programs called in a cell's *source* print."""
    found = [forms for call, forms in _CALLS if call.search(source)]
    return tuple(dict.fromkeys(found))


def without_output(expected: str, observed: str, forms: Iterable[str], *, ran: bool) -> Pair:
    """Return both texts without the lines that have one of *forms*.

    *ran*: the commands ran in the new run too.
    """
    known = [pattern for one in forms for pattern in _compiled(one)]
    if ran:
        return _joined(_left(expected, known, {}), []), _joined(_left(observed, known, {}), [])
    lines = observed.split("\n")
    there = Counter(line.rstrip() for line in lines)
    return _joined(_left(expected, known, there), lines), observed


def _left(
    text: str, known: list[re.Pattern[str]], there: Mapping[str, int]
) -> list[tuple[str, bool]]:
    """Return the lines that stay: all but the known ones, which stay as often as they are *there*.

    With each, whether it is a blank line beside one that was taken out: programs part their output
    by such lines, and so does the notebook.
    """
    left = dict(there)
    kept: list[tuple[str, bool]] = []
    beside = False
    for line in text.split("\n"):
        bare = line.rstrip()
        if not bare:
            kept.append((line, beside))
            continue
        if left.get(bare, 0) > 0:
            left[bare] -= 1
            beside = False
        else:
            beside = len(bare) <= _LONGEST and any(form.fullmatch(bare) for form in known)
        if beside:
            _doubt_the_end(kept)
        else:
            kept.append((line, False))
    return kept


def _doubt_the_end(kept: list[tuple[str, bool]]) -> None:
    at = len(kept) - 1
    while at >= 0 and not kept[at][1] and not kept[at][0].strip():
        kept[at] = (kept[at][0], True)
        at -= 1


def _joined(kept: list[tuple[str, bool]], other: list[str]) -> str:
    """Return the lines as one text; of the doubtful ones those that *other* has in that place."""
    lines: list[str] = []
    for line, doubtful in kept:
        place = len(lines)
        if not doubtful or (place < len(other) and not other[place].strip()):
            lines.append(line)
    return "\n".join(lines)


@cache
def _compiled(forms: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(line) for line in forms.split("\n") if line)
