"""Files between the person's computer and the runtime."""

import base64
import collections
import json
import os
import uuid

from IPython.display import HTML, Javascript, display

from google.colab import output

__all__ = ["download", "upload", "upload_file", "view"]


def upload(target_dir=""):
    """Ask for files, write each under a name that is free; return name: content."""
    if target_dir:
        os.makedirs(target_dir, exist_ok=True)
    written = {}
    for name, data in _asked_for(multiple=True).items():
        path = _free(os.path.join(target_dir, name))
        print(f"Saving {name} to {path}")
        with open(path, "wb") as file:
            file.write(data)
        written[path] = data
    return written


def upload_file(filename):
    """Ask for one file and write it as *filename*."""
    given = _asked_for(multiple=False)
    if not given:
        raise ValueError("File has not been uploaded")
    if len(given) > 1:
        raise ValueError("Multiple files received, please upload a single file")
    name, data = next(iter(given.items()))
    with open(filename, "wb") as file:
        file.write(data)
    print(f"Saved {name} to {os.getcwd()}/{filename}")


def _asked_for(multiple):
    key = uuid.uuid4()
    chooser, result = f"files-{key}", f"result-{key}"
    many = "multiple" if multiple else ""
    display(
        HTML(
            f'<input type="file" id="{chooser}" name="files[]" {many} disabled /><output id="{result}">'
            "Upload widget is only available when the cell has been executed in the current browser "
            "session. Please rerun this cell to enable.</output>"
        )
    )
    answer = output.eval_js(f'google.colab._files._uploadFiles("{chooser}", "{result}")')
    given = collections.defaultdict(bytes)
    while answer["action"] != "complete":
        answer = output.eval_js(f'google.colab._files._uploadFilesContinue("{result}")')
        if answer["action"] == "append":
            given[answer["file"]] += base64.b64decode(answer["data"])
    return dict(given)


def _free(path):
    stem, extension = os.path.splitext(path)
    tried, number = path, 0
    while os.path.lexists(tried):
        number += 1
        tried = f"{stem} ({number}){extension}"
    return tried


def download(filename):
    """Send a file to the person's computer."""
    if not os.path.exists(filename):
        raise FileNotFoundError(f"Cannot find file: {filename}")
    told = ", ".join(
        json.dumps(one)
        for one in (
            f"download_{uuid.uuid4()}",
            os.path.basename(filename),
            os.path.getsize(filename),
        )
    )
    display(Javascript(f"download({told})"))


def view(filepath):
    if not os.path.exists(filepath):
        raise FileNotFoundError(f"Cannot find file: {filepath}")
    display(Javascript(f"google.colab.files.view({json.dumps(os.path.abspath(filepath))})"))
