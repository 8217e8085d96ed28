"""Outputs with tags, by which they are cleared later."""

import contextlib
import sys
import uuid

from IPython.display import publish_display_data

from google.colab import _ipython

_active = set()


@contextlib.contextmanager
def use_tags(tags, append=True):
    """Tag all that is shown meanwhile."""
    tags = {tags} if isinstance(tags, str) else set(tags)
    added, removed = tags - _active, set() if append else _active - tags
    _change(added, removed)
    try:
        yield set(_active)
    finally:
        _change(removed, added)


def _change(added, removed):
    _active.update(added)
    _active.difference_update(removed)
    _flush()
    if _ipython.in_ipython():
        about = {"nodisplay": True, "add_tags": sorted(added), "remove_tags": sorted(removed)}
        publish_display_data({}, metadata={"outputarea": about})


def clear(wait=False, output_tags=()):
    """Clear the outputs that have all of *output_tags*, every output where none is named."""
    if not isinstance(wait, bool):
        raise ValueError("wait must be a boolean value")  # noqa: TRY004  as Colab does
    _flush()
    if not _ipython.in_ipython():
        return
    publisher = _ipython.get_ipython().display_pub
    tags = [output_tags] if isinstance(output_tags, str) else list(output_tags)
    _ipython.get_kernel().session.send(
        publisher.pub_socket,
        "clear_output",
        {"wait": wait, "output_tags": tags},
        parent=publisher.parent_header,
        ident=publisher.topic,
    )


@contextlib.contextmanager
def temporary():
    """Clear what is shown meanwhile, unless an exception ends it."""
    tag = str(uuid.uuid4())
    with use_tags(tag):
        yield tag
    clear(output_tags=tag)


def _flush():
    sys.stdout.flush()
    sys.stderr.flush()
