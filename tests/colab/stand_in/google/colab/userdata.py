"""Secrets that the person keeps in Colab, asked for by name."""

import re
import threading

from google.colab import _message, errors

_one_at_a_time = threading.Lock()


class SecretNotFoundError(errors.Error):
    def __init__(self, key):
        super().__init__(f"Secret {key} does not exist.")


class NotebookAccessError(errors.Error):
    def __init__(self, key):
        super().__init__(f"Notebook does not have access to secret {key}")


class TimeoutException(errors.Error):
    def __init__(self, key):
        super().__init__(f"Requesting secret {key} timed out: only Colab's own page can answer.")


def get(key):
    """Return the secret called *key*."""
    if not key or not isinstance(key, str):
        raise ValueError("Please enter a valid secret name")
    if re.search(r"\s", key):
        raise ValueError("Secret name cannot contain spaces or whitespace")
    with _one_at_a_time:
        answer = _message.blocking_request("GetSecret", request={"key": key}, timeout_sec=10)
    if not answer:
        raise TimeoutException(key)
    if not answer.get("exists", False):
        raise SecretNotFoundError(key)
    if not answer.get("access", False):
        raise NotebookAccessError(key)
    return answer.get("payload", "")
