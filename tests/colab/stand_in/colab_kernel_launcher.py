"""Starts the kernel as Colab does: ``python3 -m colab_kernel_launcher -f CONNECTION_FILE``."""

import os
import sys

from ipykernel import kernelapp


class ColabKernelApp(kernelapp.IPKernelApp):
    def init_extensions(self):
        self.extensions = ["google.colab", *self.extensions]
        super().init_extensions()


if __name__ == "__main__":
    if sys.path[0] in ("", os.getcwd()):
        del sys.path[0]
    # The server of the tests tells a kernel its notebook; Colab's does not.
    os.environ.pop("JPY_SESSION_NAME", None)
    from google.colab import _kernel

    ColabKernelApp.launch_instance(kernel_class=_kernel.Kernel)
