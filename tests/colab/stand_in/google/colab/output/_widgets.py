"""Widgets of other makers, off until they are asked for."""

_state = {"enabled": False}


def enable_custom_widget_manager(version=""):
    _state["enabled"] = True


def disable_custom_widget_manager():
    _state["enabled"] = False
