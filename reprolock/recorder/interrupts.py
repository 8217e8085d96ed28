"""Ctrl-C while the recorder is at work: it reaches the notebook's own code a moment later.

A traceback always shows the frame in which the interrupt came, hidden or not; here that would be
one of ours. The recorder's work is left where it was, and the signal is sent once more.
"""

from __future__ import annotations

import _thread
import signal
import threading
import time

_MOMENT = 0.001  # seconds; long enough to be out of a hook


def passed_on() -> bool:
    """Say whether an interrupt that was caught here will come again; if not, raise it."""
    if threading.current_thread() is not threading.main_thread():
        return False  # No signal came here: somebody else raised it.
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return False  # The notebook's own handler would be called twice.
    try:
        _thread.start_new_thread(_again, (threading.get_ident(),))
    except RuntimeError:
        return False
    return True


def _again(thread: int) -> None:
    time.sleep(_MOMENT)
    signal.pthread_kill(thread, signal.SIGINT)
