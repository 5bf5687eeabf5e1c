"""kill -9 while two hundred clients push and pull: what was acknowledged is there."""

import http.client
import json
import os
import random
import subprocess
import threading
import time

from registry.harness import IMAGE, digest, image

CLIENTS, PUSHERS = 200, 120


class Witness:
    """What the registry has acknowledged: by whom, and with which content."""

    def __init__(self):
        self.lock = threading.Lock()
        self.blobs, self.manifests, self.tags = {}, {}, {}
        self.failures = []

    def saw_blob(self, name, content):
        with self.lock:
            self.blobs[name, digest(content)] = content

    def saw_manifest(self, name, tag, content):
        with self.lock:
            self.manifests[name, digest(content)] = content
            self.tags[name, tag] = content

    def any_blob(self):
        with self.lock:
            return random.choice(list(self.blobs.items())) if self.blobs else None


class Worker(threading.Thread):
    """One client on one connection, until the server is gone."""

    def __init__(self, registry, witness, round, number):
        super().__init__(daemon=True)
        self.registry, self.witness, self.round, self.number = registry, witness, round, number
        self.turn = 0

    def run(self):
        self.connection = http.client.HTTPConnection("127.0.0.1", self.registry.port, timeout=60)
        try:
            while self.registry.serving:
                self.push() if self.number < PUSHERS else self.pull()
        except (OSError, http.client.HTTPException) as error:
            if self.registry.serving:
                self.witness.failures.append((self.number, repr(error)))
        except AssertionError as error:
            self.witness.failures.append((self.number, str(error)))
        finally:
            self.connection.close()

    def call(self, method, target, body=None, headers=None, status=201):
        self.connection.request(method, target, body, headers or {})
        reply = self.connection.getresponse()
        content = reply.read()
        assert reply.status == status, (method, target, reply.status, content[:300])
        return reply, content

    def push(self):
        """Layers in each of the three ways, the config mounted, a tag of its own and one that all move."""
        name = f"team/app{self.number % 6}"
        self.turn += 1
        layers = [os.urandom(random.randrange(1, 60_000)) for _ in range(3)]
        self.call("POST", f"/v2/{name}/blobs/uploads/?digest={digest(layers[0])}", layers[0])
        self.witness.saw_blob(name, layers[0])
        for layer, chunks in [(layers[1], 1), (layers[2], 3)]:
            where = self.call("POST", f"/v2/{name}/blobs/uploads/", b"", status=202)[0].headers["Location"]
            size = -(-len(layer) // chunks)
            for start in range(0, len(layer), size):
                part = layer[start:start + size]
                self.call("PATCH", where, part, {"Content-Range": f"{start}-{start + len(part) - 1}"}, 202)
            self.call("PUT", f"{where}?digest={digest(layer)}", b"")
            self.witness.saw_blob(name, layer)
        self.call("POST", f"/v2/{name}/blobs/uploads/?mount={digest(b'{}')}&from=seed", b"")
        self.witness.saw_blob(name, b"{}")
        manifest = image(layers=layers)
        # What a kill has cut short may be there without a word: no later round uses its tag again.
        for tag in (f"t{self.round}-{self.number}-{self.turn}", "latest"):
            self.call("PUT", f"/v2/{name}/manifests/{tag}", manifest, {"Content-Type": IMAGE})
            if tag != "latest":
                self.witness.saw_manifest(name, tag, manifest)

    def pull(self):
        found = self.witness.any_blob()
        if found is None:
            time.sleep(0.05)
            return
        (name, wanted), content = found
        assert self.call("GET", f"/v2/{name}/blobs/{wanted}", status=200)[1] == content, "a blob came back changed"


def test_a_kill_loses_nothing_that_was_acknowledged(make_registry, tmp_path):
    registry = make_registry({"log": {"access": False}})
    registry.push_blob("seed", b"{}")
    witness = Witness()
    for round in range(2):
        registry.serving = True
        workers = [Worker(registry, witness, round, number) for number in range(CLIENTS)]
        for worker in workers:
            worker.start()
        goal = 60 * (round + 1)
        deadline = time.monotonic() + 60
        while len(witness.tags) < goal and not witness.failures and time.monotonic() < deadline:
            time.sleep(0.02)
        registry.serving = False
        registry.kill()
        for worker in workers:
            worker.join(30)
            assert not worker.is_alive()
        assert not witness.failures, witness.failures[:3]
        assert len(witness.tags) >= goal, "too little was pushed to tell"
        registry.start()
        check(registry, witness, witness.blobs)
    layouts(registry, witness, tmp_path)
    # And the registry goes on: what was under way is collected, what counts stays.
    registry.collect("--grace", "0")
    check(registry, witness, {})


def check(registry, witness, blobs):
    """Every manifest that was acknowledged is there with all it needs, and `blobs` besides, byte by byte."""
    connection = registry.connection()

    def get(target):
        connection.request("GET", target)
        reply = connection.getresponse()
        return reply.status, reply.read()
    for (name, wanted), content in witness.manifests.items():
        assert get(f"/v2/{name}/manifests/{wanted}") == (200, content), (name, wanted)
        for part in [json.loads(content)["config"], *json.loads(content)["layers"]]:
            status, body = get(f"/v2/{name}/blobs/{part['digest']}")
            assert status == 200 and digest(body) == part["digest"], (name, part)
    for (name, tag), content in witness.tags.items():
        assert get(f"/v2/{name}/manifests/{tag}") == (200, content), (name, tag)
    for (name, wanted), content in blobs.items():
        assert get(f"/v2/{name}/blobs/{wanted}") == (200, content), (name, wanted)
    connection.close()


def layouts(registry, witness, tmp_path):
    """Each repository is an OCI layout in itself, and skopeo reads it."""
    policy = tmp_path / "policy.json"
    policy.write_text('{"default":[{"type":"insecureAcceptAnything"}]}')
    for name in sorted({name for name, _ in witness.tags}):
        layout = registry.root / f"repositories/{name}/_layout"
        assert json.loads((layout / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
        for entry in json.loads((layout / "index.json").read_text())["manifests"]:
            algorithm, hexadecimal = entry["digest"].split(":")
            content = (layout / "blobs" / algorithm / hexadecimal).read_bytes()
            assert (digest(content), len(content)) == (entry["digest"], entry["size"])
            for part in [json.loads(content)["config"], *json.loads(content)["layers"]]:
                blob = (layout / "blobs" / part["digest"].replace(":", "/")).read_bytes()
                assert digest(blob) == part["digest"] and len(blob) == part["size"]
        tag = next(tag for other, tag in witness.tags if other == name)
        done = subprocess.run(["skopeo", "--policy", policy, "inspect", "--raw", f"oci:{layout}:{tag}"], capture_output=True, timeout=60)
        assert done.returncode == 0 and done.stdout == witness.tags[name, tag], done.stderr
