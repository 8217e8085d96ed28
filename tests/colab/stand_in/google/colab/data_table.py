"""Tables that the page makes interactive; without it they are what pandas shows."""

from google.colab import _ipython

_MIME = "application/vnd.google.colaboratory.module+javascript"


class DataTable:
    max_rows = 20000
    max_columns = 20
    min_width = "100"

    def __init__(self, dataframe, include_index=True, num_rows_per_page=10, **_settings):
        self._dataframe = dataframe
        self._include_index = include_index
        self._num_rows_per_page = num_rows_per_page

    @classmethod
    def formatter(cls, dataframe, **settings):
        return cls(dataframe, **settings)._repr_html_()

    def _repr_html_(self):
        return self._dataframe.to_html(index=self._include_index)

    def _repr_javascript_module_(self):
        rows = self._dataframe.to_json(orient="values")
        return f"window.createDataTable({{data: {rows}, rowsPerPage: {self._num_rows_per_page}}});"

    def _repr_mimebundle_(self, include=None, exclude=None):
        return {"text/html": self._repr_html_(), _MIME: self._repr_javascript_module_()}


def enable_dataframe_formatter():
    _html_formatter().for_type_by_name("pandas.core.frame", "DataFrame", DataTable.formatter)


def disable_dataframe_formatter():
    formatter = _html_formatter()
    formatter.deferred_printers.pop(("pandas.core.frame", "DataFrame"), None)
    for kind in [one for one in formatter.type_printers if one.__name__ == "DataFrame"]:
        formatter.pop(kind)


def _html_formatter():
    return _ipython.get_ipython().display_formatter.formatters["text/html"]


def load_ipython_extension(ipython):
    enable_dataframe_formatter()


def unload_ipython_extension(ipython):
    disable_dataframe_formatter()
