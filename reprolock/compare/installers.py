# ruff: noqa: E501  (one form a line, as the program prints it)
"""What pip, uv, conda, apt, git, wget, curl, gdown, kaggle and unzip print while they work.

The text depends on caches, mirrors, network and terminal, and a replay does not run them at all.
A line is taken out of the locked run's text only, where it has a form that a program prints which
the cell called, and where the new run has no such line too. The new run's text is left as it is, so
that what the notebook itself printed there always counts; but for cells of which the commands did
run again. For their sake a form that a notebook's own line could have too, such as ``Length: 13``,
is known in its place only: behind the line that the program prints before it.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NAME = "installer-output"
Pair = tuple[str, str]
_LONGEST = 4000  # characters of a line that such a program prints

_NAME = r"[A-Za-z][\w.-]*"  # of a package
_NAMES = rf"{_NAME}(?:,? {_NAME})*"
_VERSION = r"v?\d[\w.!+~:-]*"
_REQUIREMENT = rf"{_NAME}(?:\[[\w,.\s-]*\])?(?:\s?(?:[<>=!~]=?=?|@)\s?[^\s,]+(?:,\s?[^\s,]+)*)?"
_SIZE = r"[\d.]+\s?(?:[kKMGT]i?)?[bB](?:ytes)?"
_RATE = rf"{_SIZE}/s(?:ec)?"
_TIME = r"[\d.]+\s?(?:ms|s|m|h)(?:\s?[\d.]+\s?(?:ms|s))?"
_ONE = rf"{_NAME}-v?\d[\w.!+]*"
_LIST = rf"{_ONE}(?: {_ONE})*"
_LINK = r"(?:https?|ftp|file|ssh|git)://\S+"
_FILE = r"\S+\.(?:whl|tar\.gz|tar\.bz2|tgz|zip)(?:\.metadata)?(?:#\S*)?"
# How pip tells that a step went on or ended.
_STEP = r"(?: \([\w.+-]+\))?(?:: (?:started|still running\.\.\.|finished with status '\w+')| ?\.\.\.[ |/\\-]*(?:done|error|canceled)?)"
# What a terminal would have erased of uv's bars.
_DRAWN_OVER = r"(?:[a-z)]\S*)?(?: {3,}\S.*)?"
_DEB = r"[a-z0-9][a-z0-9+.-]+(?::\w+)?"

# How many of the packages that uv has counted a line of that sign stands for.
_WEIGHT: dict[str | None, int] = {"+": 1, "-": 1, "~": 2}
# Of each line: a name | the form; or a name < the names of the lines that it may follow | the form.
# Where a form counts what follows (group `more`), no more lines of the form counted (`one`) are known.
_PIP = rf"""
look | Looking in (?:indexes|links): \S.*
get | Collecting {_REQUIREMENT}(?: \(from .*\))?(?:\s*;.*)?
get | Collecting (?:git\+)?{_LINK}(?: \(from .*\))?
get |  *(?:Downloading|Using cached) \S+\.(?:whl|tar\.gz)(?:\.metadata)?(?:#\S*)?(?: \({_SIZE}\))?
get |   (?:Downloading|Using cached) (?:{_FILE}|{_LINK})(?: \({_SIZE}\))?
get |  *Obtaining dependency information for {_REQUIREMENT} from {_LINK}
get | Processing \S+\.whl(?: \(from .*\))?
bar < get bar |  *[━╸╺]{{5,}} +[\d.]+/[\d.]+ [kMG]?B(?: (?:\?|[\d.]+ [kMG]?B/s))?(?: +eta [\d:-]+| +[\d:]+)?
bar < get bar |  *\|[█▏▎▍▌▋▊▉ ]+\| [\d.]+\s?[kMG]?B [\d.]+\s?[kMG]?B/s\s*(?:eta .*)?
bar < install bar |  *[━╸╺]{{5,}} +\d+/\d+ \[{_NAME}\]
make |  +Cloning \S+ (?:\(to revision .*\) )?to \S+
make |  +Running command git \S.*
make |  +Resolved \S+ to commit [0-9a-f]+
make |  +Created wheel for {_NAME}: filename=\S+ size=\d+ sha256=[0-9a-f]+
make |  +Stored in directory: \S+
make |  +Created temporary directory: \S+
make |  +(?:Added|Removed) \S.* (?:to|from) build tracker .*
make |  +Link requires a different Python .*
make |  +(?:Preparing (?:editable )?metadata|Installing (?:build|backend) dependencies|Getting requirements to build \w+|Checking if build backend supports build_editable|(?:Building (?:wheel|editable)|Running setup\.py \w+) for {_NAME}){_STEP}
make | (?:Building (?:wheel|editable)) for {_NAME}{_STEP}
make | Building (?:wheels|editable) for collected packages: {_NAMES}
made < make | (?:Successfully|Failed to) (?:built|build) {_NAMES}
satisfied | Requirement already (?:satisfied|up-to-date): {_REQUIREMENT}(?:;.*)?(?: from \S+)? in \S.*
install | Installing collected packages: {_NAMES}
install < install make bar |  +Running setup\.py \w+ for {_NAME}{_STEP}
install |  +Attempting uninstall: {_NAME}
install |  *Found existing installation: {_NAME} {_VERSION}
install < install |  *Uninstalling {_NAME}-{_VERSION}:
install < install bar |  *Successfully uninstalled {_LIST}
install < install |  *(?:Not uninstalling {_NAME} at \S.*|Can't uninstall '{_NAME}'\..*|Would remove:|Proceed \(Y/n\)\?.*|WARNING: The (?:script|scripts|directory) \S.*|Consider adding this directory to PATH.*)
done < install bar broken | Successfully installed {_LIST}
get < get bar | Saved {_FILE}
get |  *File was already downloaded {_FILE}
done < get bar | Successfully downloaded {_NAMES}
end | \[notice\] (?:A new release of pip|To update, run:).*
end | WARNING: (?:Running pip as|You are using pip version|The (?:script|scripts|directory) \S|Ignoring invalid distribution|Skipping {_NAME} as it is not installed|Location '|Retrying \(Retry\(|.*does not provide the extra|Target directory \S+ already exists|Value for scheme\.).*
end | You should consider upgrading via .*
make |  *DEPRECATION: .*\b(?:pip|setup\.py|setuptools|egg|wheel|legacy)\b.*
end | Note: you may need to restart the kernel to use updated packages\.
broken | ERROR: pip's dependency resolver does not currently take into account all the packages.*
broken < broken | {_NAME} {_VERSION} requires {_NAME}.*, (?:but you have {_NAME} {_VERSION} which is incompatible|which is not installed)\.
end | Defaulting to user installation because .*
"""
# Known only where the new run has no such line: a notebook could print them too.
_PIP_UNSURE = rf"""
make | (?:Processing|Obtaining) (?:\.|/|~|file:)\S*(?: \(from .*\))?
done | Successfully (?:built|installed|downloaded) {_NAMES}
"""
_UV = rf"""
sum | Using (?:CPython|PyPy|Python) {_VERSION}.*
sum | (?:Resolved|Prepared|Audited|Checked) \d+ packages? in {_TIME}{_DRAWN_OVER}
sum | (?:Installed|Uninstalled) (?P<more>\d+) packages? in {_TIME}{_DRAWN_OVER}
sum < sum package | Bytecode compiled \d+ files? in {_TIME}
package < sum package |  (?P<one>[+~-]) {_NAME}==\S+(?: \(from .*\))?
sum |  {{3,}}(?:Building|Built) {_NAME}(?:==\S+| @ \S+)
sum < sum |  *(?:Building|Built|Downloading|Downloaded|Prepared) {_NAME}(?:==\S+| @ \S+| \({_SIZE}\))?
sum < sum |  *Updat(?:ing|ed) {_LINK}(?: \(\w+\))?
sum | warning: (?:Failed to hardlink|The package|`VIRTUAL_ENV=|Skipping ).*
sum |  {{6,}}If the cache and target directories are on different filesystems.*
"""
_UV_UNSURE = rf"""
package |  [+~-] {_NAME}==\S+(?: \(from .*\))?
"""
_APT = rf"""
list | Reading package lists\.\.\..*
list | Building dependency tree\.\.\..*
list | Reading state information\.\.\..*
get | (?:Get|Hit|Ign|Err):\d+ (?:{_LINK}|\w[\w+.-]*:\S+)(?: .*)?
get | Fetched [\d,.]+ [kMG]?B in (?:\d+h )?(?:\d+min )?\d+m?s? ?(?:\d+s )?\([\d,.]+ [kMG]?B/s\)
names | The following (?:(?:NEW|additional) )?packages? (?:will be|were|have been|are|is) (?:automatically )?(?:installed|upgraded|REMOVED|DOWNGRADED|kept back|no longer)\b.*
names | The following held packages will be changed:
names | (?:Suggested|Recommended) packages:
names < names |   {_DEB}(?: \| {_DEB}| {_DEB})*
list | \d+ upgraded, \d+ newly installed, (?:\d+ reinstalled, )?(?:\d+ downgraded, )?\d+ to remove and \d+ not upgraded\.
list | \d+ packages? can be upgraded\. Run 'apt list --upgradable' to see (?:it|them)\.
list | All packages are up to date\.
list | Need to get [\d,.]+ [kMG]?B(?:/[\d,.]+ [kMG]?B)? of archives\.
list | After this operation, [\d,.]+ [kMG]?B (?:of additional disk space will be used|disk space will be freed)\.
set | Selecting previously unselected package {_DEB}\.
set | Preparing to unpack \S+\.deb \.\.\.
set | Unpacking {_DEB} \(\S+\)(?: over \(\S+\))? \.\.\.
set | (?:Setting up|Processing triggers for|Removing|Purging configuration files for) {_DEB} \(\S+\) \.\.\.
set | \(Reading database \.\.\. .*
list | {_DEB} is already the newest version \(.*\)\.
list | {_DEB} set to manually installed\.
list | Use '(?:sudo )?apt autoremove' to remove .*
list | W: (?:GPG error: |Target \S+ \(|Some index files |Failed to fetch |An error occurred during |The repository '|Skipping acquire |{_LINK}: |Conflicting distribution|Download is performed unsandboxed |Possible missing firmware ).*
list | N: (?:Repository '|Skipping acquire |Missing Signed-By |See apt-secure|Updating from such |Ignoring file '|Usage of apt_auth|More information about this |Some sources can be modernized|Download is performed unsandboxed |There (?:is|are) \d+ additional (?:version|record)).*
set | debconf: (?:unable to initialize frontend|falling back to frontend|delaying package configuration|\().*
list | WARNING: apt does not have a stable CLI interface\..*
set | Extracting templates from packages: \d+%
get < list get | \d+% \[(?:Working|Waiting for headers|Connect(?:ing|ed) to \S.*|\d+ [A-Za-z].*)\].*
"""
_CONDA = r"""
open | (?:Collecting package metadata|Solving environment|Retrieving notices|Preparing transaction|Verifying transaction|Executing transaction|Downloading and Extracting Packages)(?: \([\w.]+\))?:?[ .|/\\-]*(?:working\.\.\.)?[ .|/\\-]*
step | (?:Collecting package metadata|Solving environment|Retrieving notices|Preparing transaction|Verifying transaction|Executing transaction)(?: \([\w.]+\))?:?[ .|/\\-]*(?:working\.\.\.)?[ .|/\\-]*(?:done|failed\b.*)
open < open | [|/\\-]
step < open | (?:[|/\\-] ?)?done
open < open | [\w.-]+ +\| +[\d.]+ [KMG]?B +\|.*
channel | Channels:
channel < channel |  - [\w./:-]+
step < channel | Platform: [\w-]+
plan | ## Package Plan ##
plan < plan |   environment location: .*
plan < plan |   added / updated specs:
plan < plan |     - \S.*
table | The following (?:NEW )?packages will be (?:downloaded|INSTALLED|UPDATED|REMOVED|SUPERSEDED|DOWNGRADED|REVISED)\b.*
table < table |     package {4,}\|.*
table < table |     -{5,}.*
table < table |     [\w.-]+ +\|.*
table < table |  {20,}Total: +[\d.]+ [KMG]?B
table < table |   [\w.-]+ +(?:\S+ +)?(?:-->|::|pkgs/|conda-forge/).*
step | # All requested packages already installed\.
newer | ==> WARNING: A newer version of conda exists\. <==
newer < newer |   (?:current|latest) version: \S+
newer < newer | Please update conda by running
newer < newer |     \$ conda update .*
"""
_GIT = r"""
git | Cloning into (?:bare repository )?'.*'\.\.\.
git | (?:remote: )?Enumerating objects: \d+(?:, done\.)?
git | (?:remote: )?(?:(?:Counting|Compressing|Receiving|Unpacking|Writing) objects|Resolving deltas|Updating files|Checking out files|Filtering content): +\d+% \(\d+/\d+\).*
git | remote: Total \d+ \(delta \d+\).*
git | Submodule '.*' \(.*\) registered for path '.*'
git | Submodule path '.*': checked out '[0-9a-f]+'
git | Note: switching to '.*'\.
git | HEAD is now at [0-9a-f]{7,} .*
git | (?:You are in 'detached HEAD' state\. You can look around, make experimental|changes and commit them, and you can discard any commits you make in this|state without impacting any branches by switching back to a branch\.|If you want to create a new branch to retain commits you create, you may|do so \(now or later\) by using -[cb] with the (?:switch|checkout) command\. Example:|  git switch -c <new-branch-name>|Or undo this operation with:|  git switch -|Turn off this advice by setting config variable advice\.detachedHead to false)
git | Already up to date\.
git | fatal: destination path '.*' already exists and is not an empty directory\.
"""
_GIT_UNSURE = rf"""
git | From {_LINK}
"""
_FETCH = rf"""
start | --\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d--  \S.*
connect < start connect | (?:Resolving \S+ \(.*\)|Resolving |Connecting to |Reusing existing connection to )\S*.*
http < connect http | HTTP request sent, awaiting response\.\.\. .*
start < http start | Location: {_LINK}.*
length < http | Length: (?:\d+(?: \([\d.]+[KMG]?B?\))?(?:, \d+(?: \([\d.]+[KMG]?B?\))? remaining)?|unspecified)(?: \(authoritative\))?(?: \[[\w./+-]*\])?
save < length http | Saving to: .*
save | (?:\S+ +)?\d+%\[=*>? *\] +[\d.,]+[KMG]? +(?:--\.-|[\d.]+)[KMG]?B/s(?: +(?:in|eta) .*)?
save | \S* +\[ *<=> *\] +[\d.,]+[KMG]? +(?:--\.-|[\d.]+)[KMG]?B/s(?: +in .*)?
save < save |  *\d+K(?: [ .]{{10}}){{1,5}} +\d+% .*
saved | \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d \({_RATE}\) - .* saved \[\d+(?:/\d+)?\]
saved | \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d URL: ?{_LINK} \[\d+(?:/\d+)?\] -> ".*" \[\d+\]
saved | File [\u2018'].*[\u2019'] already there; not retrieving\.
end | FINISHED --\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d--
end < end | Total wall clock time: {_TIME}
end < end | Downloaded: \d+ files?, [\d.]+[KMG]? in {_TIME} \({_RATE}\)
curl |   % Total    % Received % Xferd  Average Speed .*
curl < curl |  +Dload  Upload .*
row < curl |  *\d+ +[\d.]+[kMG]? +\d+ +[\d.]+[kMG]? +\d+ +[\d.]+[kMG]? +[\d.]+[kMG]? +[\d.]+[kMG]?(?: +(?:--:--:--|\d+:\d\d:\d\d|\d+d \d\dh)){{3}} +[\d.]+[kMG]?
gdown | Downloading\.\.\.
gdown < gdown | From(?: \(\w+\))?: {_LINK}
to < gdown | To: \S.*
to | Downloading \S+\.\w+ to \S+
bar < to |  *\d+%(?:\|.*\|)? [\d.]+[kMG]?/[\d.]+[kMG]? \[[\d:]+<[\d:?]+, +(?:\?|[\d.]+ ?[kMG]?)B/s\]
bar | \S+: Skipping, found more recently modified local copy.*
about | Dataset URL: {_LINK}
about < about | License\(s\): .*
"""
_UNZIP = r"""
zip | Archive:  \S.*
zip |  +(?:inflating|extracting|creating|linking): \S.*
"""

_FORMS: dict[str, tuple[str, ...]] = {
    "pip": (_PIP,),
    "uv": (_UV,),
    "apt": (_APT,),
    "conda": (_CONDA, _PIP),
    "git": (_GIT, _UNZIP),
    "fetch": (_FETCH, _UNZIP),
}
_UNSURE = {"pip": _PIP_UNSURE, "uv": _UV_UNSURE, "git": _GIT_UNSURE}

# Where nobody recorded the commands: how a line of a shell calls such a program.
_HEAD = r"(?<![\w.-])"
_CALLS = {
    tool: re.compile(call)
    for tool, call in {
        "pip": rf"{_HEAD}pip\d*(?:\.\d+)?['\"\s,]+(?:-\S+\s+)*['\"]?(?:un)?install\b"
        rf"|{_HEAD}setup\.py\b|{_HEAD}spacy['\"\s,]+['\"]?download\b",
        "uv": rf"{_HEAD}uv['\"\s,]+(?:-\S+\s+)*['\"]?(?:pip\b|add\b|sync\b)",
        "apt": rf"{_HEAD}(?:apt(?:-get|itude)?|dpkg)(?=['\"\s])",
        "conda": rf"{_HEAD}(?:conda|mamba|micromamba)(?=['\"\s])",
        "git": rf"{_HEAD}git(?=['\"\s])",
        "fetch": rf"{_HEAD}(?:wget|curl|gdown|kaggle|aria2c)(?=['\"\s])",
    }.items()
}
_SHELL_CELL = re.compile(r"\s*%%(?:bash|sh|shell|script|system|sx|!)")
_SHELL_LINE = re.compile(r"^[ \t]*(?:[\w, \t]+=[ \t]*)?[!%](?:.*\\\n)*.*", re.MULTILINE)
_STARTED = re.compile(
    r"\b(?:subprocess\.\w+|os\.(?:system|popen)|run|call|check_call|check_output|Popen|getoutput"
    r"|getstatusoutput|system|system_raw)\s*\(([^()]*(?:\([^()]*\)[^()]*)*)"
)
_COMMENT = re.compile(r"(?:^|(?<=\s))#.*")


def tools_of(source: str) -> tuple[str, ...]:
    """Return the programs that a cell's *source* seems to call, where nobody recorded them."""
    bare = _COMMENT.sub("", source)
    if _SHELL_CELL.match(bare):
        text = bare
    else:
        text = "\n".join([*_SHELL_LINE.findall(bare), *_STARTED.findall(bare)])
    return tuple(tool for tool, call in _CALLS.items() if call.search(text))


def without_output(expected: str, observed: str, tools: Iterable[str], *, ran: bool) -> Pair:
    """Return both texts without the lines that one of the *tools* prints.

    *ran*: the commands ran in the new run too.
    """
    forms = _forms(tuple(tools), sure=ran)
    if ran:
        return _joined(_left(expected, forms, {}), []), _joined(_left(observed, forms, {}), [])
    lines = observed.split("\n")
    there = Counter(line.rstrip() for line in lines)
    return _joined(_left(expected, forms, there), lines), observed


class _Form(NamedTuple):
    """A line that a program prints: anywhere, or *after* one of the lines of these names only."""

    name: str
    after: frozenset[str]
    pattern: re.Pattern[str]


@cache
def _forms(tools: tuple[str, ...], *, sure: bool) -> tuple[_Form, ...]:
    found = []
    for tool in tools:
        texts = [*_FORMS.get(tool, ()), *([] if sure else [_UNSURE.get(tool, "")])]
        for line in (line for text in texts for line in text.split("\n") if line):
            place, _, pattern = line.partition(" | ")
            name, _, after = place.partition(" < ")
            names = frozenset(f"{tool} {one}" for one in after.split())
            found.append(_Form(f"{tool} {name}", names, re.compile(pattern)))
    return tuple(found)


def _are_known(lines: list[str], forms: Iterable[_Form]) -> list[bool]:
    """Say of each line whether a program printed it; blank ones part none from the one before."""
    known: list[bool] = []
    before: frozenset[str] = frozenset()
    counted = 0
    for line in lines:
        if line:
            found = _matches(line, before, forms) if len(line) <= _LONGEST else {}
            groups = {k: v for match in found.values() for k, v in match.groupdict().items()}
            counted += int(groups.get("more", 0)) - _WEIGHT.get(groups.get("one"), 0)
            before = frozenset(found) if counted >= 0 else frozenset()
            counted = max(counted, 0)
        known.append(bool(line and before))
    return known


def _matches(line: str, before: frozenset[str], forms: Iterable[_Form]) -> dict[str, re.Match[str]]:
    allowed = (form for form in forms if not form.after or form.after & before)
    matches = ((form.name, form.pattern.fullmatch(line)) for form in allowed)
    return {name: match for name, match in matches if match}


def _left(text: str, forms: Iterable[_Form], there: Mapping[str, int]) -> list[tuple[str, bool]]:
    """Return the lines that stay: all but the known ones, which stay as often as they are *there*.

    With each, whether it is a blank line beside one that was taken out: programs part their output
    by such lines, and so does the notebook.
    """
    left = dict(there)
    kept: list[tuple[str, bool]] = []
    beside = False
    lines = text.split("\n")
    for line, is_known in zip(lines, _are_known([x.rstrip() for x in lines], forms), strict=True):
        bare = line.rstrip()
        if not bare:
            kept.append((line, beside))
            continue
        if left.get(bare, 0) > 0:
            left[bare] -= 1
            beside = False
        else:
            beside = is_known
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
