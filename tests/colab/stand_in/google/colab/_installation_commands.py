"""``%pip`` is the command ``pip``, so that the same warning follows as after ``!pip``."""

from google.colab import _ipython


def _pip_magic(line):
    return _ipython.get_ipython().system(f"pip {line}")


def _register_magics(ip):
    ip.register_magic_function(_pip_magic, magic_kind="line", magic_name="pip")
