"""The parts of ``google.colab`` that show something; see colab.py for their source."""

from __future__ import annotations

import importlib
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator, Optional, Tuple

from .context import Context


def output(context: Context) -> Dict[str, Any]:
    """Areas and tags belong to Colab's page: what is shown in them is simply shown."""
    callbacks: Dict[str, Any] = {}

    def clear(wait: bool = False, output_tags: Any = ()) -> None:
        """Clear the cell's output, or nothing where only tagged output is meant."""
        if not isinstance(wait, bool):
            raise ValueError("wait must be a boolean value")  # noqa: TRY004 - as Colab does
        context.told("module", "google.colab.output.clear")
        if not output_tags:
            _display().clear_output(wait=wait)

    def eval_js(
        script: str, ignore_result: bool = False, timeout_sec: Optional[float] = None
    ) -> None:
        """Do nothing where no result is asked for; raises RuntimeError otherwise."""
        context.told("module", "google.colab.output.eval_js")
        if not ignore_result:
            raise RuntimeError(
                "google.colab.output.eval_js needs Colab's page in a browser; "
                "there is none where reprolock runs the notebook again"
            )

    def register_callback(function_name: str, callback: Callable[..., Any]) -> None:
        context.told("module", "google.colab.output.register_callback")
        callbacks[function_name] = callback

    def unregister_callback(function_name: str) -> None:
        if callbacks.pop(function_name, None) is None:
            raise ValueError("Callback function not registered: {}.".format(function_name))

    made: Dict[str, Any] = {
        "clear": clear,
        "eval_js": eval_js,
        "register_callback": register_callback,
        "unregister_callback": unregister_callback,
    }
    for name in (
        "no_vertical_scroll",
        "serve_kernel_port_as_iframe",
        "serve_kernel_port_as_window",
        "enable_custom_widget_manager",
        "disable_custom_widget_manager",
    ):
        made[name] = _idle(context, "google.colab.output." + name)
    for name in (
        "redirect_to_element",
        "temporary",
        "to_default_area",
        "to_footer_area",
        "to_header_area",
        "use_tags",
    ):
        made[name] = _plainly(context, "google.colab.output." + name)
    return made


def patches(context: Context) -> Dict[str, Any]:
    def cv2_imshow(a: Any) -> None:
        """Show an image as OpenCV holds it: ``(N, M)``, ``(N, M, 1)``, BGR or BGRA."""
        context.told("module", "google.colab.patches.cv2_imshow")
        _show(a.clip(0, 255).astype("uint8"))

    return {"cv2_imshow": cv2_imshow, "cv_imshow": cv2_imshow}


def _show(pixels: Any) -> None:
    """Show *pixels*, by Pillow as Colab does, else by OpenCV."""
    display = _display()
    try:
        image = importlib.import_module("PIL.Image")
    except ImportError:
        display.display(display.Image(data=_png(pixels)))
        return
    if pixels.ndim == 3:
        channels: Any = {1: 0, 3: [2, 1, 0], 4: [2, 1, 0, 3]}[pixels.shape[2]]
        pixels = pixels[:, :, channels]
    display.display(image.fromarray(pixels))


def _png(pixels: Any) -> bytes:
    try:
        _, encoded = importlib.import_module("cv2").imencode(".png", pixels)
    except ImportError:
        raise ImportError("cv2_imshow needs Pillow or OpenCV, and neither is here") from None
    return bytes(encoded)


def data_table(context: Context) -> Dict[str, Any]:
    class DataTable:
        """Shows a data frame as pandas does, without Colab's script."""

        include_index = True
        num_rows_per_page = 25
        max_rows = 20000
        max_columns = 20
        min_width = None

        def __init__(self, dataframe: Any, *_args: Any, **_options: Any) -> None:
            context.told("module", "google.colab.data_table.DataTable")
            self._dataframe = dataframe

        @classmethod
        def formatter(cls, dataframe: Any, **_options: Any) -> None:
            """Return None: pandas' own form is shown."""

        def _repr_html_(self) -> Any:
            return self._dataframe._repr_html_()

        def __repr__(self) -> str:
            return "<google.colab.data_table.DataTable object>"

    def display_dataframe(df: Any) -> None:
        _display().display(DataTable(df))

    enable = _idle(context, "google.colab.data_table.enable_dataframe_formatter")
    disable = _idle(context, "google.colab.data_table.disable_dataframe_formatter")

    def load_ipython_extension(ipython: Any) -> None:
        enable()

    def unload_ipython_extension(ipython: Any) -> None:
        disable()

    return {
        "DataTable": DataTable,
        "display_dataframe": display_dataframe,
        "enable_dataframe_formatter": enable,
        "disable_dataframe_formatter": disable,
        "load_ipython_extension": load_ipython_extension,
        "unload_ipython_extension": unload_ipython_extension,
    }


def widgets(context: Context) -> Dict[str, Any]:
    """Grids and tabs are parts of Colab's page: what is put into them is shown in its order."""

    class Grid:
        def __init__(self, rows: int, columns: int, *_args: Any, **_options: Any) -> None:
            context.told("module", "google.colab.widgets.Grid")
            self.rows, self.columns = rows, columns

        @contextmanager
        def output_to(self, row: int, column: int) -> Iterator[None]:
            yield

        def __iter__(self) -> Iterator[Tuple[int, int]]:
            for row in range(self.rows):
                for column in range(self.columns):
                    yield row, column

        def clear_cell(self, row: Any = None, col: Any = None) -> None:
            """Keep what was shown."""

        def remove(self, wait: bool = False) -> None:
            """Keep what was shown."""

    class TabBar:
        def __init__(self, tab_names: Any, location: str = "top") -> None:
            context.told("module", "google.colab.widgets.TabBar")
            if location not in ("top", "bottom", "start", "end"):
                raise ValueError("Invalid value for location: {!r}".format(location))
            self.tab_names = tab_names

        @contextmanager
        def output_to(self, tab: Any, select: bool = True) -> Iterator[None]:
            yield

        def __iter__(self) -> Iterator[int]:
            return iter(range(len(self.tab_names)))

        def clear_tab(self, tab: Any = None) -> None:
            """Keep what was shown."""

        def remove(self, wait: bool = False) -> None:
            """Keep what was shown."""

    return {"Grid": Grid, "TabBar": TabBar}


def _display() -> Any:
    return importlib.import_module("IPython.display")


def _idle(context: Context, full: str) -> Any:
    """Return a function that takes everything and does nothing."""

    def idle(*_args: Any, **_options: Any) -> None:
        context.told("module", full)

    idle.__name__ = full.rpartition(".")[2]
    return idle


def _plainly(context: Context, full: str) -> Any:
    """Return a context manager that lets what happens in it happen."""

    @contextmanager
    def plainly(*_args: Any, **_options: Any) -> Iterator[None]:
        context.told("module", full)
        yield

    plainly.__name__ = full.rpartition(".")[2]
    return plainly
