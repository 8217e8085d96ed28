"""A port of the runtime on the page."""

from google.colab.output import _js


def serve_kernel_port_as_iframe(
    port, path="/", width="100%", height="400", cache_in_notebook=False
):
    _js.eval_js(f"serveKernelPortAsIframe({port}, {path!r})", ignore_result=True)


def serve_kernel_port_as_window(port, path="/", anchor_text=None):
    _js.eval_js(f"serveKernelPortAsWindow({port}, {path!r})", ignore_result=True)
