"""The shell, whose ``!`` runs under a pseudo-terminal."""

import os

from ipykernel import zmqshell
from IPython.core import interactiveshell

from google.colab import _history, _pip, _system_commands


class Shell(zmqshell.ZMQInteractiveShell):
    def init_history(self):
        self.history_manager = _history.ColabHistoryManager(shell=self, parent=self)
        self.configurables.append(self.history_manager)

    def _should_use_native_system_methods(self):
        return bool(os.getenv("USE_NATIVE_IPYTHON_SYSTEM_COMMANDS"))

    def system(self, *args, **kwargs):
        if self._should_use_native_system_methods():
            return super().system(*args, **kwargs)
        warns = _warns() and _pip.is_pip_install_command(*args, **kwargs)
        if warns:
            kwargs["also_return_output"] = True
        output = _system_commands._system_compat(self, *args, **kwargs)
        if warns:
            _pip.print_previous_import_warning(output)
        return None

    def getoutput(self, *args, **kwargs):
        if self._should_use_native_system_methods():
            return super().getoutput(*args, **kwargs)
        output = _system_commands._getoutput_compat(self, *args, **kwargs)
        if _warns() and _pip.is_pip_install_command(*args, **kwargs):
            _pip.print_previous_import_warning(output.nlstr)
        return output


def _warns():
    return os.environ.get("SKIP_COLAB_PIP_WARNING", "0") == "0"


interactiveshell.InteractiveShellABC.register(Shell)
