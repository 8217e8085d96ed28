"""JavaScript of a cell: evaluated by the page, and calling back."""

import json

from google.colab import _ipython, _message

_functions = {}


def eval_js(script, ignore_result=False, timeout_sec=None):
    """Return what *script* gives on the page; waits for ever where *timeout_sec* is None."""
    parent = _ipython.get_kernel().shell.parent_header
    number = _message.send_request("cell_javascript_eval", {"script": script}, parent=parent)
    return None if ignore_result else _message.read_reply_from_input(number, timeout_sec)


def register_callback(function_name, callback):
    _functions[function_name] = callback


def unregister_callback(function_name):
    if function_name not in _functions:
        raise ValueError(f"Callback function not registered: {function_name}.")
    del _functions[function_name]


def _invoke_function(function_name, json_args, json_kwargs):
    if function_name not in _functions:
        raise ValueError(f"Function not found: {function_name}")
    return _functions[function_name](*json.loads(json_args), **json.loads(json_kwargs))
