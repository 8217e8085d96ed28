"""Carries the recorder into a kernel and the journal out.

    config = RecorderConfig(journal=path, folder=notebook_folder, metrics=())
    ... send start_code(config) as an execute request, silent and without history ...
    ... run the cells ...
    ... send finish_code() likewise ...
    events, problems = read_journal(path)

Between the two the host must not open files in the notebook's folder: inotify shows the
recorder every access of this machine and does not say whose it was, so a file that the host
hashes while a cell runs would look as if the cell had read it. Hash before the start or after
the finish. Notebooks (``.ipynb``), locks (``pylock.*.toml``) and hidden files may be touched at
any time, and any file may be read, not written, while no cell runs.
"""

from reprolock.kernel.carry import MetricRequest, RecorderConfig, finish_code, start_code
from reprolock.kernel.journal import read_journal

__all__ = ["MetricRequest", "RecorderConfig", "finish_code", "read_journal", "start_code"]
