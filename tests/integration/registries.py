"""Registries on loopback for tests, images put into them by hand, and a proxy between that fails as it is told to."""

import base64
import crypt
import gzip
import hashlib
import http.client
import http.server
import io
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tarfile
import threading
import urllib.parse

from harness import BIN, free_port, wait_until

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def tar_of(files):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for path, content in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return stream.getvalue()


class Registry:
    """A registry server of its own, with its directory; `port` is where it answers."""

    PROGRAMS = {"clipper-registry": str(BIN / "clipper-registry"), "docker-registry": shutil.which("docker-registry")}

    def __init__(self, kind, directory, users=False, tls=None, port=None):
        """`users`: it knows one alone, `me`, whose password is `s3cret`. `tls`: a directory with `server.pem` and `server.key`
        (clipper-registry's alone). `port`: a free one when it is not given."""
        self.kind, self.directory, self.port = kind, pathlib.Path(directory), port or free_port()
        self.host, self.users, self.tls = f"127.0.0.1:{self.port}", users, tls
        self.directory.mkdir(parents=True, exist_ok=True)
        self.log = self.directory / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(self.listens, 20, "the registry's port")

    def command(self):
        program, file, users_file = self.PROGRAMS[self.kind], self.directory / "config.yml", self.directory / "htpasswd"
        users_file.write_text(f"me:{crypt.crypt('s3cret', crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16))}\n")
        if self.kind == "docker-registry":
            auth = f"auth: {{htpasswd: {{realm: test, path: {users_file}}}}}\n" if self.users else ""
            file.write_text(
                f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {self.directory}/root}}, delete: {{enabled: true}}}}\n"
                f"http: {{addr: '{self.host}'}}\n{auth}")
            return [program, "serve", str(file)]
        text = f"htpasswd:\n  file: {users_file}\n" if self.users else "log:\n  access: false\n"
        if self.tls:
            text += f"tls:\n  certificate: {self.tls}/server.pem\n  key: {self.tls}/server.key\n"
        file.write_text(text)
        return [program, "serve", "--address", self.host, "--root", str(self.directory / "root"), "--config", str(file)]

    def listens(self):
        assert self.process.poll() is None, self.log.read_text()
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def call(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            headers = {**({"Authorization": basic("me", "s3cret")} if self.users else {}), **(headers or {})}
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    # Content

    def put_blob(self, repository, data):
        status, headers, _ = self.call("POST", f"/v2/{repository}/blobs/uploads/")
        assert status == 202
        place = urllib.parse.urlsplit(headers["Location"])
        query = (place.query + "&" if place.query else "") + "digest=" + digest(data)
        status, _, answer = self.call("PUT", f"{place.path}?{query}", data, {"Content-Type": "application/octet-stream"})
        assert status == 201, answer
        return {"digest": digest(data), "size": len(data)}

    def put_manifest(self, repository, tag, document, kind=MANIFEST):
        data = json.dumps(document).encode()
        status, _, answer = self.call("PUT", f"/v2/{repository}/manifests/{tag}", data, {"Content-Type": kind})
        assert status == 201, answer
        return {"mediaType": kind, "digest": digest(data), "size": len(data)}

    def put_image(self, repository, tag, layers, architecture="amd64", config_type=CONFIG, edit=None, **config):
        """An image whose layers are given as {path: content}; answers its descriptor."""
        plain = [tar_of(files) for files in layers]
        blobs = [{"mediaType": LAYER, **self.put_blob(repository, gzip.compress(data, 1, mtime=0))} for data in plain]
        document = {
            "architecture": architecture, "os": "linux", "created": "2024-01-01T00:00:00Z", "config": config,
            "rootfs": {"type": "layers", "diff_ids": [digest(data) for data in plain]}}
        if edit:
            edit(document)
        settings = {"mediaType": config_type, **self.put_blob(repository, json.dumps(document).encode())}
        return self.put_manifest(repository, tag, {"schemaVersion": 2, "mediaType": MANIFEST, "config": settings, "layers": blobs})

    def manifest(self, repository, tag):
        accept = ", ".join([INDEX, MANIFEST, "application/vnd.docker.distribution.manifest.v2+json"])
        status, _, data = self.call("GET", f"/v2/{repository}/manifests/{tag}", headers={"Accept": accept})
        assert status == 200, data
        return digest(data), json.loads(data)


class ScriptedRegistry:
    """A registry of one image `large:1` with one plain layer, which it serves from memory. `ranges`: whether it sends parts when it
    says so. `cut_at`: the next connection that would send the byte at this offset breaks before it. `wrong_at`: this byte is
    another one. `together`: parts are not sent before so many answers were being given at once, or for 30 s. `asked` are the ranges
    that were asked for, `most` how many answers it was giving at once."""

    def __init__(self, files):
        layer = tar_of(files)
        config = json.dumps({
            "architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": [digest(layer)]}}).encode()
        manifest = json.dumps({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": digest(config), "size": len(config)},
            "layers": [{"mediaType": LAYER.removesuffix("+gzip"), "digest": digest(layer), "size": len(layer)}]}).encode()
        self.layer, self.layer_digest = layer, digest(layer)
        self.contents = {
            "/v2/large/manifests/1": manifest, f"/v2/large/blobs/{digest(config)}": config, f"/v2/large/blobs/{digest(layer)}": layer}
        self.ranges, self.cut_at, self.wrong_at = True, None, None
        self.asked, self.most, self.now, self.together = [], 0, 0, 0
        self.lock = threading.Lock()
        self.grown = threading.Condition(self.lock)
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                outer.answer(self)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.host = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, request):
        content = self.contents.get(request.path, b"{}")
        first, end = 0, len(content)
        wanted = request.headers.get("Range")
        if request.path.endswith(self.layer_digest):
            with self.lock:
                self.asked.append(wanted)
        request.send_response(206 if wanted and self.ranges else 200)
        if wanted and self.ranges:
            first, last = wanted.removeprefix("bytes=").split("-")
            first, end = int(first), int(last) + 1 if last else end
            request.send_header("Content-Range", f"bytes {first}-{end - 1}/{len(content)}")
        request.send_header("Accept-Ranges", "bytes")
        request.send_header("Content-Type", MANIFEST if "manifests" in request.path else "application/octet-stream")
        request.send_header("Content-Length", str(end - first))
        request.end_headers()
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
            self.grown.notify_all()
            if wanted and self.ranges:
                self.grown.wait_for(lambda: self.most >= self.together, timeout=30)
        try:
            self.send(request, content, first, end)
        except OSError:
            request.close_connection = True
        finally:
            with self.lock:
                self.now -= 1

    def send(self, request, content, first, end):
        for start in range(first, end, 1 << 18):
            piece = content[start:min(start + (1 << 18), end)]
            # Only parts break, and once.
            if self.cut_at is not None and first > 0 and start <= self.cut_at < start + len(piece):
                piece, self.cut_at = piece[:self.cut_at - start], None
                request.wfile.write(piece)
                request.close_connection = True
                return
            if self.wrong_at is not None and content is self.layer and start <= self.wrong_at < start + len(piece):
                at = self.wrong_at - start
                piece = piece[:at] + bytes([piece[at] ^ 1]) + piece[at + 1:]
            request.wfile.write(piece)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Proxy:
    """Between a client and a registry. `cut_after`: the next connections break when the registry has said so many bytes, one
    number each. `hold_after`: every connection stops there until `release`."""

    def __init__(self, registry):
        self.registry = registry
        self.cut_after = []
        self.hold_after = None
        self.held = threading.Event()
        self.released = threading.Event()
        self.server = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self.server.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        try:
            server = socket.create_connection(("127.0.0.1", self.registry.port))
        except ConnectionRefusedError:  # The registry's time is over.
            return client.close()
        threading.Thread(target=self.copy, args=(client, server), daemon=True).start()
        self.answer(server, client)

    def copy(self, source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def answer(self, server, client):
        said = 0
        try:
            while data := server.recv(65536):
                said += len(data)
                if self.hold_after is not None and said > self.hold_after and not self.released.is_set():
                    self.held.set()
                    self.released.wait(60)
                if self.cut_after and said > self.cut_after[0]:
                    self.cut_after.pop(0)
                    client.sendall(data[:len(data) // 2])
                    break
                client.sendall(data)
        except OSError:
            pass
        for end in (client, server):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()

    def release(self):
        self.released.set()

    def close(self):
        self.release()
        self.server.close()
