"""Stand-in for Colab's tools: the same names, made from what is documented of them."""

from google.colab import (
    _installation_commands,
    _system_commands,
    auth,
    data_table,
    drive,
    files,
    output,
    runtime,
)

__all__ = ["auth", "data_table", "drive", "files", "output", "runtime"]
__version__ = "0.0.1a2"


def load_ipython_extension(ipython):
    _system_commands._register_magics(ipython)
    _installation_commands._register_magics(ipython)
