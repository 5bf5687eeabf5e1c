"""What the registry's tests are made with: a clipper-registry of their own, and a client that says each byte itself."""

import hashlib
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import urllib.parse

import boto3
import yaml

from harness import BIN, alive, free_port, wait_until

IMAGE = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
EMPTY = "application/vnd.oci.empty.v1+json"


def digest(content, algorithm="sha256"):
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


def descriptor(content, media_type=LAYER, **more):
    return {"mediaType": media_type, "digest": digest(content), "size": len(content), **more}


def image(config=b"{}", layers=(), config_type=CONFIG, **more):
    """The bytes of an image manifest."""
    document = {"schemaVersion": 2, "mediaType": IMAGE, "config": descriptor(config, config_type),
                "layers": [descriptor(layer) for layer in layers], **more}
    return json.dumps(document).encode()


def index(*manifests, **more):
    """The bytes of an index of image manifests."""
    document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor(m, IMAGE) for m in manifests], **more}
    return json.dumps(document).encode()


class Reply:
    """An answer: `status`, `headers` (by any case), `body`."""

    def __init__(self, response, target):
        self.status, self.headers, self.target = response.status, response.headers, target
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        """The first error's code; None where the answer is no error."""
        if self.status < 400 or not self.body:
            return None
        return self.json["errors"][0]["code"]

    @property
    def next(self):
        """Where `Link` leads; None on the last page."""
        link = self.headers.get("Link")
        return link and link[link.index("<") + 1:link.index(">")]

    def __repr__(self):
        return f"{self.target}: {self.status}\n{self.headers}\n{self.body[:600]}"


class Registry:
    """One clipper-registry with its own root. `start`, `stop` and `kill` may be called in any order; the root stays until `remove`."""

    def __init__(self, scratch, configuration=None, options=()):
        """`configuration` is what the file holds besides the root; `options` are more words of the command line."""
        self.scratch = pathlib.Path(scratch)
        self.scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.root = self.scratch / "root"
        self.configuration, self.options = dict(configuration or {}), list(options)
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        self.errors, self.accesses = self.scratch / "errors.log", self.scratch / "access.log"
        self.process = None

    def write_configuration(self):
        path = self.scratch / "registry.yaml"
        path.write_text(yaml.safe_dump(self.configuration))
        return path

    def command(self, *words):
        return [str(BIN / "clipper-registry"), *words, "--root", str(self.root), "--config", str(self.write_configuration())]

    def start(self):
        with self.errors.open("ab") as errors, self.accesses.open("ab") as accesses:
            self.process = subprocess.Popen(
                [*self.command("serve", "--address", self.host), *self.options], stdin=subprocess.DEVNULL, stdout=accesses, stderr=errors,
                start_new_session=True)
        wait_until(self.listens, 15, "the registry's answer")
        return self

    def listens(self):
        if self.process.poll() is not None:
            raise AssertionError(f"clipper-registry ended with {self.process.returncode}:\n{self.log()[-3000:]}")
        try:
            socket.create_connection(("127.0.0.1", self.port), 5).close()
            return True
        except OSError:
            return False

    def log(self):
        return self.errors.read_text(errors="replace")

    def access_lines(self):
        return [json.loads(line) for line in self.accesses.read_text().splitlines()]

    def stop(self, timeout=30):
        """SIGTERM, and the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def remove(self):
        if self.process is not None and alive(self.process.pid):
            self.kill()
        shutil.rmtree(self.scratch)

    def collect(self, *options):
        """`clipper-registry garbage-collect` beside the server: what it says."""
        done = subprocess.run(self.command("garbage-collect", *options), capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    # Requests.

    def connection(self, tls=None):
        if tls:
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=60, context=tls)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def request(self, method, target, body=None, headers=None, auth=None, tls=None):
        """One request on a connection of its own; `auth` is the Authorization header."""
        headers = dict(headers or {})
        if auth:
            headers["Authorization"] = auth
        connection = self.connection(tls)
        try:
            connection.request(method, target, body, headers)
            return Reply(connection.getresponse(), f"{method} {target}")
        finally:
            connection.close()

    def get(self, target, headers=None, **more):
        return self.request("GET", target, None, headers, **more)

    def head(self, target, headers=None, **more):
        return self.request("HEAD", target, None, headers, **more)

    def delete(self, target, **more):
        return self.request("DELETE", target, **more)

    def push_blob(self, name, content, algorithm="sha256", **more):
        """In one POST; must succeed. Its digest."""
        found = digest(content, algorithm)
        reply = self.request("POST", f"/v2/{name}/blobs/uploads/?digest={found}", content, **more)
        assert reply.status == 201, reply
        return found

    def start_upload(self, name, query="", **more):
        """Where the upload goes on."""
        reply = self.request("POST", f"/v2/{name}/blobs/uploads/{query}", b"", **more)
        assert reply.status == 202, reply
        return urllib.parse.urlsplit(reply.headers["Location"]).path

    def put_manifest(self, name, reference, content, media_type=None, **more):
        media_type = media_type or json.loads(content)["mediaType"]
        return self.request("PUT", f"/v2/{name}/manifests/{reference}", content, {"Content-Type": media_type}, **more)

    def push_image(self, name, tag, layers=(b"layer",), config=b"{}", **more):
        """Blobs and manifest; must succeed. The manifest's bytes."""
        for content in [config, *layers]:
            self.push_blob(name, content)
        manifest = image(config, layers, **more)
        reply = self.put_manifest(name, tag, manifest)
        assert reply.status == 201, reply
        return manifest


class BucketService:
    """moto's S3, a process of its own. Buckets are in its memory."""

    def __init__(self, scratch):
        self.scratch = pathlib.Path(scratch)
        self.scratch.mkdir(mode=0o700)
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        with (self.scratch / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)], stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True)
        wait_until(self.answers, 60, "the bucket service")

    def answers(self):
        assert self.process.poll() is None, (self.scratch / "log").read_text()[-2000:]
        try:
            return self.request("GET", "/moto-api/")[0] == 200
        except OSError:
            return False

    def request(self, method, target, body=None):
        """Status and body of a request that nobody has signed."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, target, body)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def configuration(self, bucket, **more):
        """Makes a bucket; what a registry needs to use it."""
        assert self.request("PUT", f"/{bucket}")[0] == 200
        return {"s3": {"endpoint": self.endpoint, "bucket": bucket, "accessKey": "key", "secretKey": "secret", **more}}

    @property
    def client(self):
        """Amazon's own client."""
        return boto3.client("s3", endpoint_url=self.endpoint, aws_access_key_id="key", aws_secret_access_key="secret", region_name="us-east-1")

    def keys(self, bucket):
        """Keys and sizes of all objects."""
        return {entry["Key"]: entry["Size"] for entry in self.client.list_objects_v2(Bucket=bucket).get("Contents", [])}

    def content(self, bucket, key):
        return self.client.get_object(Bucket=bucket, Key=key)["Body"].read()

    def uploads(self, bucket):
        """Uploads of parts that are under way."""
        return self.client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def remove(self):
        self.stop()
        shutil.rmtree(self.scratch)


def pages(registry, target, member):
    """What a paginated list holds in all, and how many pages it has."""
    found, count = [], 0
    while target:
        reply = registry.get(target)
        assert reply.status == 200, reply
        found += reply.json[member]
        count += 1
        target = reply.next
    return found, count


def unverified():
    """TLS without looking at the server's certificate, for tests that look at something else."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def scratch_directory(prefix):
    return pathlib.Path("/tmp") / f"clptreg{os.getpid()}-{prefix}"
