"""The reference's answers as JSON Schema, and what a recorded answer is measured with."""

import json
import pathlib
import re
import urllib.parse

import jsonschema
import yaml

from .exceptions import MEMBERS, OWN, OWN_BELOW, REQUIRED, STATUS, STATUS_ANYWHERE, UNTIL, VALUES

REFERENCE = pathlib.Path(__file__).resolve().parents[4] / "shared/reference/docker-engine-api-v1.50.yaml"
NEWEST = (1, 50)

# Answers that are a stream of JSON documents: the definition of each document where the answer's own schema is not it.
STREAMS = {
    ("post", "/build"): "BuildInfo",
    ("post", "/images/create"): "CreateImageInfo",
    ("post", "/images/{name}/push"): "PushImageInfo",
    ("post", "/images/load"): "BuildInfo",
    ("get", "/events"): None,
    ("get", "/containers/{id}/stats"): None,
}

# Times as Go writes them: RFC 3339, with up to nanoseconds.
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")
FORMATS = jsonschema.FormatChecker(())
FORMATS.checks("dateTime")(lambda value: not isinstance(value, str) or not value or bool(TIME.fullmatch(value)))


class Contract:
    """`findings(record)` are the sentences about one recorded answer; none when it is as documented."""

    def __init__(self, path=REFERENCE):
        if not path.is_file():
            raise AssertionError(f"the API reference is missing: it is looked for at {path}, beside the project")
        reference = yaml.safe_load(path.read_text())
        self.definitions = {name: converted(schema) for name, schema in reference["definitions"].items()}
        self.flatten()
        self.operations = []
        for pattern, methods in reference["paths"].items():
            for method, operation in methods.items():
                answers = {int(status): answer.get("schema") for status, answer in operation["responses"].items() if str(status).isdigit()}
                self.operations.append((method, pattern, expression(pattern), operation.get("produces") or ["application/json"], answers))
        # The more literal pattern first: /images/get is not an image's name.
        self.operations.sort(key=lambda operation: operation[1].count("{"))
        self.validators = {}

    def flatten(self):
        """Merges `allOf`, so that a member that no part has can be told."""
        def merged(schema):
            result = {"type": "object", "properties": {}, "required": []}
            for part in schema["allOf"]:
                if "$ref" in part:
                    part = self.definitions[part["$ref"].rsplit("/", 1)[1]]
                    part = merged(part) if "allOf" in part else part
                result["properties"] |= part.get("properties", {})
                result["required"] += part.get("required", [])
            return result

        for name, schema in self.definitions.items():
            if len(schema.get("allOf", ())) > 1:
                self.definitions[name] = merged(schema)
        close(self.definitions)

    def validator(self, schema):
        key = json.dumps(schema, sort_keys=True, default=str)
        if key not in self.validators:
            own = converted(schema)
            close(own)
            self.validators[key] = jsonschema.Draft4Validator({"allOf": [own], "definitions": self.definitions}, format_checker=FORMATS)
        return self.validators[key]

    def operation(self, record):
        """The operation that the record is an answer of, nil for an unknown path; and the version asked for."""
        path = urllib.parse.urlsplit(record["target"]).path
        version = re.match(r"/v(\d+)\.(\d+)(?=/)", path)
        numbers = (int(version[1]), int(version[2])) if version else NEWEST
        path = path[version.end():] if version else path
        for operation in self.operations:
            if operation[0] == record["method"].lower() and operation[2].fullmatch(path):
                return operation, numbers
        return None, numbers

    def documented(self):
        """Every answer of the reference: (method, path, status)."""
        return {(method, pattern, status) for method, pattern, _, _, answers in self.operations for status in answers}

    def seen(self, record):
        """The documented answer that the record is one of, if it is."""
        found, _ = self.operation(record) if "method" in record else (None, None)
        return found and (found[0], found[1], record["status"])

    def findings(self, record):
        if "broken" in record:
            return [f"the recorder could not follow: {record['broken']}"]
        found, version = self.operation(record)
        if not found:
            path = re.sub(r"^/v[\d.]+(?=/)", "", urllib.parse.urlsplit(record["target"]).path)
            if path in OWN and record["status"] == 200:
                return []
            if path.startswith(OWN_BELOW) and record["status"] in (200, 201, 401, 403, 404):
                return []
            if record["status"] not in (400, 404, 405):
                return [f"{record['method']} {record['target']}: {record['status']} on a path that the reference does not have"]
            # What is no HTTP is answered by the server itself, in plain text as Go's does.
            if record["status"] == 400 and record["headers"].get("content-type", "").startswith("text/plain"):
                return []
            return self.measured(f"{record['method']} unknown path: {record['status']}", record, {"$ref": "#/definitions/ErrorResponse"}, "", version)
        method, pattern, _, produces, answers = found
        status, label = record["status"], f"{record['method']} {pattern}: {record['status']}"
        if status not in answers and status not in STATUS.get((method, pattern), {}) and status not in STATUS_ANYWHERE:
            return [f"{label}: not a documented status: {record['body']}"]
        if status >= 400:
            return self.measured(label, record, {"$ref": "#/definitions/ErrorResponse"}, pattern, version)
        if status == 200 and (method, pattern) in STREAMS:
            name = STREAMS[(method, pattern)]
            return self.stream(label, record, {"$ref": f"#/definitions/{name}"} if name else answers[200], pattern, version)
        if answers.get(status) and "application/json" in produces:
            return self.measured(label, record, answers[status], pattern, version)
        return []

    def stream(self, label, record, schema, pattern, version):
        """Document by document; the last may be cut when client or daemon ended first."""
        decoder, position, text, result = json.JSONDecoder(), 0, record["body"] or "", []
        while text[position:].strip():
            position += len(text[position:]) - len(text[position:].lstrip())
            try:
                value, position = decoder.raw_decode(text, position)
            except ValueError as error:
                return result + ([f"{label}: not JSON: {error}"] if record["whole"] else [])
            result += self.compared(label, value, schema, pattern, version)
        return result

    def measured(self, label, record, schema, pattern, version):
        if record["method"] == "HEAD" or not record["whole"]:
            return []
        if record["body"] is None:
            return [f"{label}: Content-Type is {record['headers'].get('content-type')!r} and not application/json"]
        try:
            value = json.loads(record["body"])
        except ValueError as error:
            return [f"{label}: not JSON: {error}"]
        return self.compared(label, value, schema, pattern, version)

    def compared(self, label, value, schema, pattern, version):
        result = []
        for error in leaves(self.validator(schema).iter_errors(value)):
            place = placed(error)
            if error.validator == "additionalProperties":
                for name in error.instance.keys() - error.schema["properties"].keys():
                    where = "/".join([*place, name])
                    if name not in MEMBERS.get(pattern, {}) and not version < UNTIL.get(pattern, {}).get(where, (0, 0)):
                        result.append(f"{label}: {where}: not a documented member (API {version[0]}.{version[1]})")
            elif error.validator == "required" and any((pattern, name) in REQUIRED for name in missing(error)):
                continue
            elif (pattern, "/".join(place), json.dumps(error.instance)) not in VALUES:
                message = error.message if len(error.message) < 220 else error.message[:60] + " … " + error.message[-150:]
                result.append(f"{label}: {'/'.join(place) or 'answer'}: {message}")
        return result


def missing(error):
    """The members that are demanded and not there, unless one is missing that the schema has."""
    names = set(error.validator_value) - error.instance.keys()
    return set() if names & error.schema["properties"].keys() else names


def converted(schema):
    """Swagger 2.0's dialect to JSON Schema: `x-nullable`; and slices and maps, which Go writes as null when nil."""
    if not isinstance(schema, dict):
        return schema
    result = {}
    for key, value in schema.items():
        if key == "properties":
            result[key] = {name: converted(member) for name, member in value.items()}
        elif key in ("items", "additionalProperties"):
            result[key] = converted(value)
        elif key == "allOf":
            result[key] = [converted(part) for part in value]
        elif key in ("type", "enum", "required", "$ref", "format", "minimum", "maximum"):
            result[key] = value
    nullable = schema.get("x-nullable") or result.get("type") == "array" or "additionalProperties" in result
    if "$ref" in result:
        return {"anyOf": [{"$ref": result["$ref"]}, {"type": "null"}]} if nullable else {"$ref": result["$ref"]}
    if nullable:
        if "type" in result:
            result["type"] = [result["type"], "null"]
        if "enum" in result:
            result["enum"] = [*result["enum"], None]
    return result


def close(schema):
    """Objects with known members have no others."""
    if isinstance(schema, list):
        for part in schema:
            close(part)
    elif isinstance(schema, dict):
        if isinstance(schema.get("properties"), dict) and "additionalProperties" not in schema and "type" in schema:
            schema["additionalProperties"] = False
        if schema.get("required") == []:
            del schema["required"]
        for part in list(schema.values()):
            close(part)


def leaves(errors):
    """The errors themselves; of "null or that", what was wrong with that."""
    for error in errors:
        if error.context:
            yield from leaves(e for e in error.context if not (e.validator == "type" and e.validator_value == "null"))
        else:
            yield error


def placed(error):
    """Where in the answer, as the schema has it: members by name, elements and a map's values as `*`."""
    steps, place = list(error.absolute_schema_path)[:-1], []
    while steps:
        step = steps.pop(0)
        if step == "properties":
            place.append(steps.pop(0))
        elif step in ("items", "additionalProperties"):
            place.append("*")
    return place


def expression(pattern):
    """A path's pattern as an expression; names of images hold slashes, and those that links give to containers."""
    parts = re.split(r"(\{\w+\})", pattern)
    long = "{id}" if pattern.startswith("/containers/") else "{name}"
    return re.compile("".join((".+" if part == long else "[^/]+") if part.startswith("{") else re.escape(part) for part in parts))
