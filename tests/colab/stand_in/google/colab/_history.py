"""The history, which remembers the cell that each input came from."""

import time

from IPython.core import history

_FIRST = {"code": "", "cell_id": "", "start_time": 0}


class ColabHistoryManager(history.HistoryManager):
    _input_hist_cells = [dict(_FIRST)]

    def reset(self, new_session=True):
        super().reset(new_session=new_session)
        if new_session:
            self._input_hist_cells[:] = [dict(_FIRST)]

    def store_inputs(self, line_num, source, source_raw=None):
        super().store_inputs(line_num, source, source_raw=source_raw)
        about = self.shell.parent_header.get("metadata", {}).get("colab", {})
        self._input_hist_cells.append(
            {"code": source_raw, "cell_id": about.get("cell_id"), "start_time": time.time()}
        )
