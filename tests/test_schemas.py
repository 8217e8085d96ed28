"""The published lists and schemas are those of the code."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest

from reprolock.result import Result, Verdict

ROOT = Path(__file__).resolve().parent.parent
FAMILIES = "notebook|interpreter|packages|system|hardware|data|randomness|metrics|outputs|run|rebuild|lock|recorder|usage|kernel|session|installs|platform|cache|bundle|export"
CODE = re.compile(rf'"((?:{FAMILIES})\.[a-z0-9]+(?:-[a-z0-9]+)*)"')


def listed() -> dict:
    return json.loads((ROOT / "schemas" / "findings.json").read_text())


def test_every_finding_code_in_the_source_is_listed():
    used = {
        code
        for path in (ROOT / "reprolock").rglob("*.py")
        for code in CODE.findall(path.read_text())
        if not code.endswith((".py", ".so", ".ipynb"))
    }
    assert len(used) > 50
    assert used - listed().keys() == set()


def test_the_docs_list_the_same_codes():
    text = (ROOT / "docs" / "findings.md").read_text()
    assert set(re.findall(r"^\| `([a-z.0-9-]+)` \|", text, re.MULTILINE)) == listed().keys()
    for code, entry in listed().items():
        assert f"| `{code}` | {entry['cause']} | {entry['remedy']} |" in text


@pytest.mark.parametrize("name", ["result", "lock"])
def test_schemas_are_valid_and_name_the_verdicts(name):
    schema = json.loads((ROOT / "schemas" / f"{name}.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    if name == "result":
        assert schema["$defs"]["verdict"]["enum"] == [v.value for v in Verdict]


def test_a_result_that_lacks_its_verdict_does_not_pass():
    schema = json.loads((ROOT / "schemas" / "result.schema.json").read_text())
    content = Result("verify", 0, 0.1, lock={"path": "x"}).to_json()
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, schema)
