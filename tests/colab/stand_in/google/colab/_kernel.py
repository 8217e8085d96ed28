"""The kernel, of which the tests need its shell."""

from ipykernel import ipkernel

from google.colab import _shell


class Kernel(ipkernel.IPythonKernel):
    def _shell_class_default(self):
        return _shell.Shell
