"""Where outputs go on the page."""

import contextlib

from google.colab.output import _js


@contextlib.contextmanager
def redirect_to_element(selector):
    _js.eval_js(f"google.colab.output.setActiveOutputArea({selector!r})", ignore_result=True)
    try:
        yield
    finally:
        _js.eval_js("google.colab.output.setActiveOutputArea(null)", ignore_result=True)


def to_header_area():
    return redirect_to_element("#output-header")


def to_footer_area():
    return redirect_to_element("#output-footer")


def to_default_area():
    return redirect_to_element("#output-area")


def no_vertical_scroll():
    _js.eval_js("google.colab.output.setIframeHeight(-1, true)", ignore_result=True)
