"""Questions to the front end: out on iopub as ``colab_request``, back on the stdin channel.

An answer is an ``input_reply`` whose value is a dict with ``type`` "colab_reply", the question's
``colab_msg_id`` and ``data`` or ``error``.
"""

import itertools
import time

import zmq

from google.colab import _ipython, errors

_numbers = itertools.count(1)
_NOTHING = object()


class MessageError(errors.Error):
    """The front end answered with an error."""


def send_request(request_type, request_body, parent=None, expect_reply=True):
    """Send a question; return its number, None where no answer is expected."""
    app = _ipython.get_kernelapp()
    number = next(_numbers) if expect_reply else None
    metadata = {"colab_request_type": request_type}
    if expect_reply:
        metadata["colab_msg_id"] = number
    if parent is None and app.kernel.shell.parent_header:
        parent = {"header": {"session": app.kernel.shell.parent_header["header"]["session"]}}
    message = app.session.msg("colab_request", {"request": request_body}, parent, metadata=metadata)
    app.session.send(app.iopub_socket, message)
    return number


def blocking_request(request_type, request="", timeout_sec=5, parent=None):
    """Return the front end's answer; None after *timeout_sec*, which None lets last for ever."""
    number = send_request(request_type, request, parent=parent, expect_reply=True)
    return read_reply_from_input(number, timeout_sec)


def read_reply_from_input(message_id, timeout_sec=None):
    """Wait for one answer; whatever else comes over stdin meanwhile is dropped."""
    end = None if timeout_sec is None else time.monotonic() + timeout_sec
    while end is None or time.monotonic() < end:
        value = _read_next_input_message()
        if value is _NOTHING:
            time.sleep(0.025)
        elif _is_reply(value) and value.get("colab_msg_id") == message_id:
            if "error" in value:
                raise MessageError(value["error"])
            return value.get("data")
    return None


def _is_reply(value):
    return isinstance(value, dict) and value.get("type") == "colab_reply"


def _read_next_input_message():
    kernel = _ipython.get_kernel()
    try:
        _, message = kernel.session.recv(kernel.stdin_socket, zmq.NOBLOCK)
    except Exception:
        message = None
    if message is None:
        return _NOTHING
    return message.get("content", {}).get("value", "")


def _read_stdin_message():
    """Return what a person typed, None where nothing is there; answers to questions are dropped."""
    while True:
        value = _read_next_input_message()
        if value is _NOTHING:
            return None
        if not _is_reply(value):
            return value
