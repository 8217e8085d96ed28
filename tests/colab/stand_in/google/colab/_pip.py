"""Tells after ``!pip install`` which of the installed packages were imported before."""

import importlib.metadata
import re
import sys
import uuid

from IPython.display import display


def is_pip_install_command(cmd, *args, **kwargs):
    return re.match(r"pip[23]?\s+install", cmd.strip())


def print_previous_import_warning(output):
    packages = sorted(_installed_modules(output) & set(sys.modules))
    if packages:
        told = {"pip_warning": {"packages": packages}, "id": uuid.uuid4().hex}
        display({"application/vnd.colab-display-data+json": told}, raw=True)


def _installed_modules(output):
    said = re.findall(r"^(?:\x1b\[0m)?\s*Successfully installed (.*)$", output, re.MULTILINE)
    names = {one.rpartition("-")[0] for line in said for one in line.split()}
    owners = importlib.metadata.packages_distributions()
    return {module for module, found in owners.items() if names & set(found)}
