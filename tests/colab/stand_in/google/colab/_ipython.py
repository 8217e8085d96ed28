"""The running shell, its kernel and the kernel's application."""

import IPython


def get_ipython():
    return IPython.get_ipython()


def get_kernel():
    return get_ipython().kernel


def get_kernelapp():
    return get_kernel().parent


def in_ipython():
    return hasattr(get_ipython(), "kernel")
