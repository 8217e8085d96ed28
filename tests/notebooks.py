"""Small notebooks made in memory, one for each thing that a run can do.

Every builder returns an nbformat 4.5 notebook without outputs whose cells have stable ids, so
that two calls give equal notebooks. The two old formats are JSON text.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

if TYPE_CHECKING:
    from pathlib import Path

    from nbformat import NotebookNode


def notebook(
    *cells: str | NotebookNode, language: str = "python", kernel: str = "python3"
) -> NotebookNode:
    """Return a notebook of *cells*: text is a code cell, text after ``# %% `` is markdown."""
    made = []
    for number, cell in enumerate(cells):
        if not isinstance(cell, str):
            node = cell
        elif cell.startswith("# %% "):
            node = new_markdown_cell(cell[5:])
        else:
            node = new_code_cell(cell)
        node["id"] = f"cell-{number}"
        made.append(node)
    spec = {"display_name": kernel, "language": language, "name": kernel}
    found = new_notebook(
        cells=made, metadata={"kernelspec": spec, "language_info": {"name": language}}
    )
    found["nbformat_minor"] = 5
    nbformat.validate(found)
    return found


def code(source: str, *tags: str, **metadata: Any) -> NotebookNode:
    return new_code_cell(source, metadata={**({"tags": list(tags)} if tags else {}), **metadata})


def write(made: NotebookNode | str, path: Path) -> Path:
    """Write a notebook, or text that stands for one, and return *path*."""
    path.write_text(made if isinstance(made, str) else nbformat.writes(made), encoding="utf-8")
    return path


def simple(value: str = "0.75") -> NotebookNode:
    """Standard library only; one labelled number. The quickest notebook that has a metric."""
    return notebook(
        "# %% # Simple",
        "import random\nrandom.seed(3)",
        f"accuracy = {value}\nprint(f'accuracy: {{accuracy}}')",
        "sorted(random.sample(range(100), 3))",
    )


def seeded_numpy() -> NotebookNode:
    return notebook(
        "import numpy as np\nnp.random.seed(42)",
        "scores = np.random.normal(0.8, 0.1, 1000)",
        "score = float(scores.mean())\nprint(f'score: {score:.6f}')",
    )


def unseeded_numpy() -> NotebookNode:
    return notebook(
        "import numpy as np",
        "scores = np.random.normal(0.8, 0.1, 1000)",
        "score = float(scores.mean())\nprint(f'score: {score:.6f}')",
    )


def unseeded_random() -> NotebookNode:
    """Unseeded, with nothing but the standard library."""
    return notebook(
        "import random\nscore = sum(random.random() for _ in range(100)) / 100",
        "print(f'score: {score:.6f}')",
    )


def raising() -> NotebookNode:
    """Raises in a cell that nothing excuses; the cell after it must not run."""
    return notebook("x = 1", "raise ValueError('no such model')", "print('accuracy: 0.5')")


def raising_on_purpose() -> NotebookNode:
    return notebook(
        "x = 1",
        code("raise ValueError('on purpose')", "raises-exception"),
        "print('accuracy: 0.5')",
    )


def raising_as_stored() -> NotebookNode:
    """No tag: that the error is wanted is said by its being the stored output."""
    made = notebook("x = 1", "raise KeyError('stored')", "print('accuracy: 0.5')")
    made.cells[1]["outputs"] = [
        nbformat.v4.new_output(
            "error", ename="KeyError", evalue="'stored'", traceback=["KeyError: 'stored'"]
        )
    ]
    made.cells[1]["execution_count"] = 2
    return made


def asks_for_input() -> NotebookNode:
    return notebook("name = input('your name? ')", "print(name)")


def never_ends() -> NotebookNode:
    return notebook(
        "x = 1", "import time\nwhile True:\n    time.sleep(0.05)", "print('accuracy: 0.5')"
    )


def never_ends_and_ignores_interrupts() -> NotebookNode:
    return notebook(
        "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)",
        "while True:\n    time.sleep(0.05)",
    )


def prints_much(mebibytes: int = 200) -> NotebookNode:
    """Print that many MiB to standard output, in lines of 64 characters, then a metric."""
    return notebook(
        f"chunk = ('x' * 63 + '\\n') * 16384\nfor _ in range({mebibytes}):\n    print(chunk, end='')",
        "print('accuracy: 0.5')",
    )


def no_code() -> NotebookNode:
    return notebook("# %% # Only words", "# %% and more of them")


def empty() -> NotebookNode:
    return notebook()


def other_language() -> NotebookNode:
    return notebook("cat(1 + 1)", language="R", kernel="ir")


def missing_kernel() -> NotebookNode:
    return notebook("print('accuracy: 0.5')", kernel="no-such-kernel-here")


def kills_its_kernel() -> NotebookNode:
    return notebook(
        "import random\nrandom.seed(5)",
        "open('before.txt', 'w').write('written before the end')",
        "import os\nos._exit(3)",
        "print('accuracy: 0.5')",
    )


def writes_files() -> NotebookNode:
    return notebook(
        "from pathlib import Path\nPath('out').mkdir(exist_ok=True)",
        "Path('out/result.csv').write_text('name,value\\na,1\\n')",
        "Path('out/model.bin').write_bytes(bytes(range(256)))",
        "with open('log.txt', 'a') as log:\n    log.write('one line\\n')",
        "Path('scratch.txt').write_text('x')\nPath('scratch.txt').unlink()\nprint('accuracy: 0.5')",
    )


def reads_csv(path: str = "data.csv") -> NotebookNode:
    """Standard library only: the mean of the column ``value`` is the metric."""
    return notebook(
        "import csv",
        f"with open({path!r}, newline='') as file:\n    rows = list(csv.DictReader(file))",
        "values = [float(row['value']) for row in rows]\nmean = sum(values) / len(values)\nprint(f'mean: {mean:.6f}')",
    )


def csv_text(rows: int = 20) -> str:
    return "name,value\n" + "".join(f"row{n},{n * 1.5}\n" for n in range(rows))


def uses_reprolock_metric() -> NotebookNode:
    return notebook(
        "import reprolock", "x = 2 + 2", "reprolock.metric('loss', 0.125 * x)\nprint('done')"
    )


def uses_extension() -> NotebookNode:
    return notebook(
        "%load_ext reprolock", "loss = 0.25\nprint(f'loss: {loss}')", "%reprolock capture"
    )


def uses_shell_capture() -> NotebookNode:
    return notebook("loss = 0.25\nprint(f'loss: {loss}')", "!reprolock capture")


def set_order() -> NotebookNode:
    """What it prints hangs on the hash seed of the process."""
    return notebook(
        "words = {f'word{n}' for n in range(50)}\nprint(' '.join(words))", "print('accuracy: 0.5')"
    )


def addresses_paths_times() -> NotebookNode:
    """Prints what differs between any two honest runs, and one number that does not."""
    return notebook(
        "class Thing: pass\nThing()",
        "import tempfile\nplace = tempfile.mkdtemp()\nprint('saved to', place)",
        "import logging, sys, time\nform = '%(asctime)s - %(levelname)s - %(message)s'\nlogging.basicConfig(stream=sys.stdout, format=form)\nlogging.warning('ready')",
        "start = time.perf_counter()\ntime.sleep(0.01)\nprint(f'took {time.perf_counter() - start:.4f} seconds')",
        "print('accuracy: 0.5')",
    )


def old_format(number: int, source: str = "print('accuracy: 0.5')") -> str:
    """Return the JSON text of a notebook in nbformat 2 or 3."""
    cell: dict[str, Any] = {
        "cell_type": "code",
        "collapsed": False,
        "input": source,
        "language": "python",
        "outputs": [],
    }
    words: dict[str, Any] = {"cell_type": "markdown", "source": "Old words"}
    if number == 3:
        cell["metadata"] = {}
        words["metadata"] = {}
    sheet: dict[str, Any] = {"cells": [words, cell]}
    if number == 3:
        sheet["metadata"] = {}
    made = {
        "metadata": {"name": "old"},
        "nbformat": number,
        "nbformat_minor": 0,
        "worksheets": [sheet],
    }
    return json.dumps(made, indent=1)


def cut_in_half() -> str:
    text = nbformat.writes(simple())
    return text[: len(text) // 2]
