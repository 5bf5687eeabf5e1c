"""Every answer that the suite got from a daemon, measured with the API reference. See contract/."""

import copy
import json
import os
import pathlib

import pytest

from contract.schema import Contract


@pytest.fixture(scope="module")
def contract():
    return Contract()


def records():
    file = pathlib.Path(os.environ["CLIPPER_RECORDS"], "records.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def answer(method, target, status, body, whole=True, kind="application/json"):
    text = body if body is None or isinstance(body, str) else json.dumps(body)
    return {
        "method": method, "target": target, "status": status, "body": text, "whole": whole, "headers": {"content-type": kind}, "test": "",
    }


EVENT = {"Type": "container", "Action": "start", "Actor": {"ID": "a", "Attributes": {}}, "scope": "local", "time": 1, "timeNano": 1}
VOLUME = {"Name": "v", "Driver": "local", "Mountpoint": "/v", "Labels": None, "Options": None, "Scope": "local", "CreatedAt": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize("record", [
    answer("GET", "/v1.50/volumes/v", 200, VOLUME),
    answer("GET", "/v1.50/volumes/v", 404, {"message": "no such volume"}),
    answer("GET", "/v1.50/nothing", 404, {"message": "page not found"}),
    answer("GET", "/v1.50/events", 200, json.dumps(EVENT) * 3),
    answer("GET", "/v1.50/events", 200, json.dumps(EVENT) + '{"Type": "con', whole=False),
    answer("GET", "/v1.50/events", 200, {**EVENT, "status": "start", "id": "a", "from": "i"}),
    answer("GET", "/v1.41/images/json", 200, [{
        "Id": "sha256:a", "ParentId": "", "RepoTags": [], "RepoDigests": [], "Created": 1, "Size": 1, "VirtualSize": 1, "SharedSize": -1,
        "Labels": None, "Containers": -1}]),
    answer("HEAD", "/v1.50/_ping", 200, None, kind="text/plain"),
    answer("DELETE", "/v1.50/images/a/b:c", 404, {"message": "No such image"}),
], ids=lambda record: record["target"])
def test_what_is_as_documented_is_accepted(contract, record):
    assert contract.findings(record) == []


@pytest.mark.parametrize("record, text", [
    (answer("GET", "/volumes/v", 200, {**VOLUME, "Scope": "galactic"}), "Scope: 'galactic' is not one of"),
    (answer("GET", "/volumes/v", 200, {**VOLUME, "Colour": "red"}), "Colour: not a documented member"),
    (answer("GET", "/volumes/v", 200, {**VOLUME, "Mountpoint": None}), "Mountpoint: None is not of type 'string'"),
    (answer("GET", "/volumes/v", 200, {**VOLUME, "CreatedAt": "yesterday"}), "CreatedAt: 'yesterday' is not a 'dateTime'"),
    (answer("GET", "/volumes/v", 200, {k: v for k, v in VOLUME.items() if k != "Mountpoint"}), "'Mountpoint' is a required property"),
    (answer("GET", "/volumes/v", 418, {"message": "tea"}), "not a documented status"),
    (answer("GET", "/volumes/v", 404, "no such volume"), "not JSON"),
    (answer("GET", "/volumes/v", 404, {"error": "no such volume"}), "'message' is a required property"),
    (answer("GET", "/volumes/v", 200, None, kind="text/plain"), "Content-Type is 'text/plain'"),
    (answer("GET", "/nothing", 200, {}), "on a path that the reference does not have"),
    (answer("GET", "/events", 200, json.dumps(EVENT) + json.dumps({**EVENT, "scope": "far"})), "scope: 'far' is not one of"),
    (answer("GET", "/events", 200, json.dumps(EVENT) + "{"), "not JSON"),
    (answer("GET", "/v1.50/images/json", 200, [{"VirtualSize": 1}]), "*/VirtualSize: not a documented member"),
    ({"broken": "ValueError: x", "test": ""}, "the recorder could not follow"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_what_is_not_as_documented_is_found(contract, record, text):
    assert any(text in finding for finding in contract.findings(copy.deepcopy(record))), contract.findings(record)


def test_a_missing_reference_is_told(tmp_path):
    with pytest.raises(AssertionError, match=f"API reference is missing: it is looked for at {tmp_path}/no.yaml"):
        Contract(tmp_path / "no.yaml")


def test_every_answer_is_as_documented(contract, request):
    """With a recording of the whole suite; the report at the end tells which documented answers nothing asked for."""
    recorded = records()
    assert recorded, "nothing was recorded: run this test with others"
    found, seen = {}, set()
    for record in recorded:
        seen.add(contract.seen(record))
        for finding in contract.findings(record):
            found.setdefault(finding, record["test"])
    documented = contract.documented()
    request.config.contract_report = len(recorded), documented & seen, documented - seen
    assert not found, "\n".join(f"{finding}\n    in {test}" for finding, test in sorted(found.items()))
