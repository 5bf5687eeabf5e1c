"""Containers made by raw API calls, for tests of single members of a create request, and the tables of those members."""

import json
import pathlib
import urllib.parse

import yaml

from contract.schema import REFERENCE
from harness import IMAGE, wait_until


def members(definition):
    """All members of a definition of the API reference, those it takes over from others among them; `A/B` is the member B of A."""
    definitions = yaml.safe_load(REFERENCE.read_text())["definitions"]
    definition, *inner = definition.split("/")

    def walk(schema):
        for part in schema.get("allOf", []):
            yield from walk(definitions[part["$ref"].rsplit("/", 1)[1]] if "$ref" in part else part)
        yield from schema.get("properties", {})

    schema = definitions[definition]
    for name in inner:
        schema = schema["properties"][name]
    return list(walk(schema))


class Table:
    """Tests by the member that each proves: `@table("Memory")`. `cases` are what pytest parametrizes with."""

    def __init__(self):
        self.rows = []

    def __call__(self, *names):
        def add(function):
            self.rows += [(name, function) for name in names]
            return function
        return add

    def refusal(self, name, status, words, host=None, config=None, networking=None):
        """The member is refused, by a message with these words."""
        self.rows.append((name, lambda box: box.refused(status, words, host, config, networking)))

    @property
    def names(self):
        return {name for name, _ in self.rows}

    @property
    def cases(self):
        """Each test once, under all the names that it proves."""
        functions = {}
        for name, function in self.rows:
            functions.setdefault(function, []).append(name)
        return [("+".join(names), function) for function, names in functions.items()]


class Box:
    """One daemon's containers of one test. Afterwards the daemon's fixture removes them."""

    def __init__(self, daemon, name):
        self.daemon, self.name, self.count = daemon, name, 0

    def request(self, method, path, body=None):
        return self.daemon.request(method, path, body)

    def create(self, host=None, config=None, networking=None, version="v1.50", query=""):
        """A create request: status and answer."""
        self.count += 1
        body = {"Image": IMAGE, "Cmd": ["sleep", "1000"], **(config or {}), "HostConfig": host or {}}
        if networking is not None:
            body["NetworkingConfig"] = {"EndpointsConfig": networking}
        return self.request("POST", f"/{version}/containers/create?name={self.name}-{self.count}{query}", body)

    def image(self, *changes):
        """An image like the base image, with these instructions of a Dockerfile."""
        name = f"{self.name}-image{self.count}"
        query = urllib.parse.urlencode({"container": self.made(), "repo": name, "changes": "\n".join(changes)})
        status, answer = self.request("POST", f"/v1.50/commit?{query}", {})
        assert status == 201, answer
        return name

    def made(self, *arguments, **options):
        status, answer = self.create(*arguments, **options)
        assert status == 201, answer
        self.warnings = answer["Warnings"]
        return answer["Id"]

    def start(self, container):
        status, answer = self.request("POST", f"/containers/{container}/start")
        assert status == 204, answer

    def started(self, *arguments, **options):
        """A container that runs."""
        container = self.made(*arguments, **options)
        self.start(container)
        return container

    def run(self, script, host=None, config=None, networking=None, code=0):
        """What a shell script writes in a container made for it."""
        container = self.made(host, {"Cmd": ["sh", "-c", script], **(config or {})}, networking)
        self.start(container)
        return self.output(container, code)

    def output(self, container, code=0):
        status, ended = self.request("POST", f"/containers/{container}/wait")
        said = self.logs(container)
        assert status == 200 and ended["StatusCode"] == code, (ended, said)
        return said

    def logs(self, container):
        _, data = self.request("GET", f"/containers/{container}/logs?stdout=1&stderr=1")
        terminal = self.inspect(container)["Config"]["Tty"]
        return self.unframed(data, terminal)

    @staticmethod
    def unframed(data, terminal=False):
        if terminal:
            return data.decode(errors="replace").replace("\r\n", "\n").rstrip("\n")
        if not isinstance(data, bytes):  # The harness takes a lone number for JSON.
            return str(data)
        text = b""
        while data:
            size = int.from_bytes(data[4:8], "big")
            text, data = text + data[8:8 + size], data[8 + size:]
        return text.decode(errors="replace").rstrip("\n")

    def exec(self, container, script, **options):
        """What a shell script writes beside a container's own process."""
        body = {"Cmd": ["sh", "-c", script], "AttachStdout": True, "AttachStderr": True, **options}
        status, made = self.request("POST", f"/containers/{container}/exec", body)
        assert status == 201, made
        status, data = self.request("POST", f"/exec/{made['Id']}/start", {"Detach": False, "Tty": False})
        assert status == 200, data
        return self.unframed(data)

    def inspect(self, container):
        status, answer = self.request("GET", f"/containers/{container}/json")
        assert status == 200, answer
        return answer

    def refused(self, status, words, host=None, config=None, networking=None):
        """The request is refused, at creation or at start, and leaves nothing that runs."""
        made, answer = self.create(host, config, networking)
        if made == 201:
            made, answer = self.request("POST", f"/containers/{answer['Id']}/start")
        assert (made, words in answer["message"]) == (status, True), answer

    def limit(self, container, controller, v1, unified):
        """A file of the container's control group, as the kernel has it: cgroup v1 or v2."""
        lines = pathlib.Path(f"/proc/{self.pid(container)}/cgroup").read_text().split()
        for line in lines:
            _, controllers, path = line.split(":", 2)
            if controller in controllers.split(","):
                return pathlib.Path(f"/sys/fs/cgroup/{controller}{path}/{v1}").read_text().strip()
        path = next(line.split(":", 2)[2] for line in lines if line.startswith("0::"))
        return pathlib.Path(f"/sys/fs/cgroup{path}/{unified}").read_text().strip()

    def pid(self, container):
        return self.inspect(container)["State"]["Pid"]

    def configuration(self, container):
        """The OCI configuration of a container that runs."""
        return json.loads((self.daemon.scratch / "exec/containers" / container / "config.json").read_text())

    def until(self, condition, what):
        return wait_until(condition, what=what)
