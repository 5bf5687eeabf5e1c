"""What an operator sees: switches, warnings, limits, figures, the log, notifications, configuration, start and stop."""

import http.client
import http.server
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from harness import BIN, REPOSITORY, free_port, wait_until
from registry.harness import digest, image


# Switches.

def test_read_only(make_registry):
    registry = make_registry()
    manifest = registry.push_image("r", "v1")
    where = registry.start_upload("r")
    registry.stop()
    registry.configuration["readOnly"] = True
    registry.start()
    for method, target in [
        ("POST", "/v2/r/blobs/uploads/"), ("PATCH", where), ("PUT", f"{where}?digest={digest(b'')}"), ("PUT", "/v2/r/manifests/v2"),
        ("DELETE", "/v2/r/manifests/v1"), ("DELETE", f"/v2/r/blobs/{digest(b'layer')}"), ("DELETE", where),
    ]:
        reply = registry.request(method, target, b"")
        assert (reply.status, reply.code) == (405, "UNSUPPORTED") and "read-only" in reply.json["errors"][0]["message"], (method, target)
    assert registry.get("/v2/r/manifests/v1").body == manifest


def test_deletion_switched_off(make_registry):
    registry = make_registry({"deletion": False})
    manifest = registry.push_image("r", "v1")
    for target in ("manifests/v1", f"manifests/{digest(manifest)}", f"blobs/{digest(b'layer')}"):
        assert registry.delete(f"/v2/r/{target}").code == "UNSUPPORTED"
    assert registry.delete(registry.start_upload("r")).status == 204, "an upload is no content yet"
    assert registry.get("/v2/r/manifests/v1").status == 200


def test_a_warning_goes_along(make_registry):
    registry = make_registry({"warning": 'closes on "Friday"'})
    for target in ("/v2/", "/v2/r/manifests/none"):
        assert registry.get(target).headers["Warning"] == '299 - "closes on Friday"'


def test_limits(make_registry):
    registry = make_registry({"limits": {"manifest": 1024, "header": 4096, "idle": "1s"}})
    registry.push_image("r", "v1")
    reply = registry.put_manifest("r", "v2", image(annotations={"a": "x" * 2000}))
    assert (reply.status, reply.code) == (413, "MANIFEST_INVALID")
    assert registry.get("/v2/", {"X-Long": "x" * 5000}).status == 431
    with socket.create_connection(("127.0.0.1", registry.port)) as sock:
        sock.sendall(b"GET /v2/ HTTP/1.1\r\nHost:")
        sock.settimeout(20)
        while sock.recv(4096):
            pass  # Ends when the server has closed.


# What it tells.

def test_metrics(make_registry):
    registry = make_registry({"metrics": True})
    found = registry.push_blob("r", b"0123456789")
    for _ in range(3):
        registry.get(f"/v2/r/blobs/{found}")
    registry.get("/v2/r/manifests/none")
    reply = registry.get("/metrics")
    assert reply.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = reply.body.decode().splitlines()
    for line in [
        'clipper_registry_requests_total{endpoint="blob",method="GET",status="200"} 3',
        'clipper_registry_requests_total{endpoint="upload",method="POST",status="201"} 1',
        'clipper_registry_requests_total{endpoint="manifest",method="GET",status="404"} 1',
        'clipper_registry_request_duration_seconds_count{endpoint="blob"} 3',
        'clipper_registry_request_duration_seconds_bucket{endpoint="blob",le="+Inf"} 3',
        "clipper_registry_request_bytes_total 10", "clipper_registry_requests_in_flight 1",
    ]:
        assert line in lines, (line, lines)
    # Each sample belongs to a family that has been declared.
    declared = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    for line in lines:
        if not line.startswith("#"):
            name = re.match(r"[a-z_]+", line).group()
            assert name in declared or re.sub("_(bucket|sum|count)$", "", name) in declared, line
    assert make_registry().get("/metrics").status == 404, "only where it is switched on"


def test_the_access_log(make_registry):
    registry = make_registry()
    found = registry.push_blob("r", b"0123456789")
    reply = registry.get(f"/v2/r/blobs/{found}?x=%22y", {"User-Agent": 'odd "agent"', "X-Request-Id": "my-own-id"})
    assert reply.headers["X-Request-Id"] == "my-own-id"
    registry.get("/nowhere")
    post, get, lost = registry.access_lines()
    assert (post["method"], post["status"], post["client"]) == ("POST", 201, "127.0.0.1")
    assert get["id"] == "my-own-id" and get["agent"] == 'odd "agent"' and get["bytes"] == 10 and get["ms"] >= 0
    assert get["target"] == f"/v2/r/blobs/{found}?x=%22y" and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", get["time"])
    assert lost["status"] == 404 and len(lost["id"]) == 32
    quiet = make_registry({"log": {"access": False}})
    quiet.get("/v2/")
    quiet.stop()
    assert quiet.access_lines() == []


class Receiver:
    """Takes notifications; refuses the first `refusals` of them."""

    def __init__(self, refusals=0):
        self.events, self.headers, self.refusals, self.attempts = [], [], refusals, 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.attempts += 1
                refused = outer.attempts <= outer.refusals
                if not refused:
                    outer.headers.append(dict(self.headers))
                    outer.events += body["events"]
                self.send_response(503 if refused else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/events"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receive():
    made = []

    def make(**options):
        made.append(Receiver(**options))
        return made[-1]
    yield make
    for one in made:
        one.close()


def test_notifications(make_registry, receive):
    receiver, deletions = receive(), receive()
    registry = make_registry({"notifications": [
        {"url": receiver.url, "headers": {"Authorization": "Bearer secret"}}, {"url": deletions.url, "actions": ["delete"]}]})
    manifest = registry.push_image("team/app", "v1", layers=[b"0123456789"])
    registry.request("GET", "/v2/team/app/manifests/v1", headers={"User-Agent": "tester", "X-Request-Id": "mine"})
    registry.request("POST", f"/v2/other/blobs/uploads/?mount={digest(b'0123456789')}&from=team/app", b"")
    registry.delete(f"/v2/team/app/manifests/{digest(manifest)}")
    wait_until(lambda: len(receiver.events) == 6 and len(deletions.events) == 1, 10, "the events")
    assert [event["action"] for event in receiver.events] == ["push", "push", "push", "pull", "mount", "delete"]
    assert all(h["Content-Type"] == "application/vnd.docker.distribution.events.v2+json" for h in receiver.headers)
    assert all(h["Authorization"] == "Bearer secret" for h in receiver.headers) and "Authorization" not in deletions.headers[0]
    blob, pushed, pulled, mounted, deleted = receiver.events[1:]
    assert blob["target"] == {
        "mediaType": "application/octet-stream", "size": 10, "length": 10, "digest": digest(b"0123456789"), "repository": "team/app",
        "url": f"/v2/team/app/blobs/{digest(b'0123456789')}"}
    assert (pushed["target"]["tag"], pushed["target"]["digest"], pushed["target"]["size"]) == ("v1", digest(manifest), len(manifest))
    assert (pulled["request"]["useragent"], pulled["request"]["id"], pulled["request"]["method"]) == ("tester", "mine", "GET")
    assert pulled["request"]["host"] == registry.host and pulled["source"]["addr"] == registry.host
    assert mounted["target"]["fromRepository"] == "team/app" and mounted["target"]["repository"] == "other"
    assert deleted["target"] == {"digest": digest(manifest), "repository": "team/app"} and deletions.events == [deleted]
    assert len({event["id"] for event in receiver.events}) == 6


def test_notifications_are_sent_again_in_order(make_registry, receive):
    receiver = receive(refusals=3)
    registry = make_registry({"notifications": [{"url": receiver.url, "attempts": 5}], "metrics": True})
    pushed = [registry.push_blob("r", text.encode()) for text in "abc"]
    wait_until(lambda: len(receiver.events) == 3, 20, "the events")
    assert [event["target"]["digest"] for event in receiver.events] == pushed
    assert "clipper_registry_events_sent_total 3" in registry.get("/metrics").body.decode()


def test_a_receiver_that_stays_away_holds_nothing_up(make_registry):
    registry = make_registry({"notifications": [{"url": f"http://127.0.0.1:{free_port()}/", "attempts": 2, "queue": 2, "timeout": "1s"}],
                              "metrics": True})
    for number in range(10):
        registry.push_blob("r", f"{number}".encode())
    wait_until(lambda: "clipper_registry_events_lost_total 10" in registry.get("/metrics").body.decode(), 20, "the loss")
    assert "event lost: receiver does not take it" in registry.log()


# Configuration.

@pytest.mark.parametrize("text, message", [
    ("a: 1\n", "1: unknown key a"), ("log:\n  level: info\n  colour: red\n", "3: unknown key log.colour"),
    ("deletion: maybe\n", "1: deletion must be true or false, not maybe"),
    ("\nlimits:\n  manifest: 12\n", "3: limits.manifest must be a number from 1024 to 268435456, not 12"),
    ("limits:\n  idle: soon\n", "2: limits.idle must be a duration of at least 1s, such as 90s, 15m, 24h or 7d, not soon"),
    ("log:\n  level: loud\n", "2: log.level is no level: loud"), ("tls:\n  key: k\n", "2: tls.certificate is missing"),
    ("address:\n", "1: address has no value"), ("address: [a]\n", "1: address must be text"), ("- a\n", "1: configuration must be a mapping"),
    ("address: a\naddress: b\n", "2: address is given twice"),
    ("notifications:\n  - url: ftp://x\n", "2: notifications[0].url must begin with http:// or https://"),
    ("notifications:\n  - url: http://x\n    actions: [pop]\n", "3: notifications[0].actions has no action pop"),
    ("access:\n  - users: [a]\n    actions: [fly]\n", "3: access[0].actions has no action fly"),
    ("htpasswd:\n  file: f\ntoken:\n  realm: r\n  service: s\n", "4: token and htpasswd exclude each other"),
    ("token:\n  realm: r\n  service: s\n", "2: token.publicKeys or token.jwks is missing"),
    ("proxy:\n  remote: docker.io\n", "2: proxy.remote must begin with http:// or https://"),
    ("log: {access: yes, \n", "2: "),
])
def test_configuration_errors_name_key_and_line(tmp_path, text, message):
    file = tmp_path / "registry.yaml"
    file.write_text(text)
    done = subprocess.run(
        [BIN / "clipper-registry", "serve", "--config", file, "--root", tmp_path / "root", "--address", "127.0.0.1:0"],
        capture_output=True, text=True, timeout=30)
    assert done.returncode == 1 and done.stderr.startswith(f"clipper-registry: {file}:{message}"), done.stderr


def test_files_that_cannot_be_read_are_named(tmp_path):
    file = tmp_path / "registry.yaml"
    (tmp_path / "htpasswd").write_text("# users\nalice:{SHA}x\n")
    for text, message in [
        (f"htpasswd:\n  file: {tmp_path}/htpasswd\n", f"{tmp_path}/htpasswd:2: the password of alice is no bcrypt hash (htpasswd -B makes one)"),
        (f"htpasswd:\n  file: {tmp_path}/none\n", f"{tmp_path}/none"),
        (f"token:\n  realm: r\n  service: s\n  publicKeys: [{tmp_path}/htpasswd]\n", f"{tmp_path}/htpasswd: no PEM public key or certificate"),
        (f"tls:\n  certificate: {tmp_path}/none\n  key: {tmp_path}/none\n", f"{tmp_path}/none"),
    ]:
        file.write_text(text)
        done = subprocess.run(
            [BIN / "clipper-registry", "serve", "--config", file, "--root", tmp_path / "root", "--address", "127.0.0.1:0"],
            capture_output=True, text=True, timeout=30)
        assert done.returncode == 1 and message in done.stderr, done.stderr


# What a section must have besides the key that is tried.
NEEDED = {
    "tls": {"certificate": "/none", "key": "/none"}, "htpasswd": {"file": "/none"}, "proxy": {"remote": "https://x"},
    "token": {"realm": "r", "service": "s", "jwks": "/none"}, "notifications": {"url": "https://x"},
    "access": {"users": ["a"], "actions": ["pull"]}, "s3": {"endpoint": "https://x", "bucket": "b", "accessKey": "a", "secretKey": "s"},
}


def test_every_key_of_the_documentation_is_known(tmp_path):
    """What docs/registry.md lists is read, and what it doesn't list is not."""
    text = (REPOSITORY / "docs/registry.md").read_text().split("## Configuration")[1]
    keys = [key for row in re.findall(r"^\| (`[a-zA-Z0-9.\[\]`, ]+`) \|", text, re.M) for key in re.findall(r"`([^`]+)`", row)]
    assert len(keys) > 40

    def complaint(key):
        section, _, name = key.rpartition(".")
        inner = {**NEEDED.get(section.removesuffix("[]"), {}), name: "x"}
        if name.endswith("File") or name == "password":  # Each is read where what it belongs to is given.
            inner.pop(name.removesuffix("File"), None)
            inner.setdefault("username", "u") if section == "proxy" else None
        document = inner if not section else {section.removesuffix("[]"): [inner] if section.endswith("[]") else inner}
        (tmp_path / "registry.yaml").write_text(json.dumps(document))
        return subprocess.run(
            [BIN / "clipper-registry", "garbage-collect", "--config", tmp_path / "registry.yaml", "--root", "/dev/null/root"],
            capture_output=True, text=True, timeout=30).stderr
    for key in keys:
        assert "unknown key" not in complaint(key), (key, complaint(key))
        section = key.rpartition(".")[0]
        unknown = f"{section}.colour" if section else "colour"
        assert f"unknown key {unknown.replace('[]', '[0]')}" in complaint(unknown), (unknown, complaint(unknown))


@pytest.mark.parametrize("words, status, message", [
    ([], 2, "no command given"), (["serv"], 2, "unknown command: serv"), (["serve", "--colour"], 2, "unknown flag: --colour"),
    (["serve", "--grace", "1"], 2, "--dry-run, --untagged and --grace belong to garbage-collect"),
    (["serve", "--root"], 2, "flag needs an argument: --root"), (["serve", "x"], 2, "unexpected argument: x"),
    (["serve", "--address", "nonsense"], 1, "invalid address: nonsense: must be HOST:PORT"),
    (["garbage-collect", "--grace", "soon"], 2, "invalid grace: soon: must be seconds"),
])
def test_the_command_line(words, status, message, tmp_path):
    if words[:1] == ["serve"] and "--root" not in words:
        words = [*words, "--root", str(tmp_path)]
    done = subprocess.run([BIN / "clipper-registry", *words], capture_output=True, text=True, timeout=30)
    assert done.returncode == status and done.stderr.startswith(f"clipper-registry: {message}"), done


def test_help_and_version():
    done = subprocess.run([BIN / "clipper-registry", "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("Usage: clipper-registry COMMAND")
    done = subprocess.run([BIN / "clipper-registry", "--version"], capture_output=True, text=True)
    assert done.returncode == 0 and re.fullmatch(r"clipper-registry version \d+\.\d+\.\d+\n", done.stdout)


# Start and stop.

def test_the_address_is_taken(make_registry, tmp_path):
    registry = make_registry()
    done = subprocess.run([BIN / "clipper-registry", "serve", "--root", tmp_path, "--address", registry.host],
                          capture_output=True, text=True, timeout=30)
    assert done.returncode == 1 and "address already in use" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_requests_in_progress_end_before_the_server_does(make_registry, number):
    registry = make_registry()
    where = registry.start_upload("r")
    connection = http.client.HTTPConnection("127.0.0.1", registry.port, timeout=30)
    connection.putrequest("PATCH", where)
    connection.putheader("Content-Length", "10")
    connection.endheaders()
    connection.send(b"01234")
    wait_until(lambda: (registry.root / "uploads").exists(), 5, "the upload")
    idle = http.client.HTTPConnection("127.0.0.1", registry.port, timeout=30)
    idle.request("GET", "/v2/")
    assert idle.getresponse().read() == b"{}"
    registry.process.send_signal(number)
    wait_until(lambda: "stopping" in registry.log(), 10, "the word")
    assert idle.sock.recv(1) == b"", "idle connections are closed"
    with pytest.raises(ConnectionError):
        registry.get("/v2/")
    connection.send(b"56789")
    response = connection.getresponse()
    assert response.status == 202 and response.read() == b""
    assert registry.process.wait(20) == 0
    registry.start()
    assert registry.get(where).headers["Range"] == "0-9"


def test_a_client_that_does_not_end_is_not_waited_for(make_registry):
    registry = make_registry()
    where = registry.start_upload("r")
    with socket.create_connection(("127.0.0.1", registry.port)) as sock:
        sock.sendall(f"PATCH {where} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n0123".encode())
        time.sleep(0.2)
        assert registry.stop(timeout=25) == 0


def test_no_descriptor_and_no_upload_is_left(make_registry):
    registry = make_registry()
    registry.push_image("r", "v1", layers=[os.urandom(100_000)])

    def descriptors():
        return len(list(pathlib.Path(f"/proc/{registry.process.pid}/fd").iterdir()))
    target = f"/v2/r/manifests/v1"
    registry.get(target)
    before = descriptors()
    for number in range(50):
        registry.push_image("r", "v1", layers=[f"{number}".encode()])
        registry.get(f"/v2/r/blobs/{digest(f'{number}'.encode())}")
        with socket.create_connection(("127.0.0.1", registry.port)) as sock:  # Gone before the answer.
            sock.sendall(f"GET /v2/r/blobs/{digest(f'{number}'.encode())} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    wait_until(lambda: descriptors() <= before + 2, 10, "the end of all connections")
    assert list((registry.root / "uploads").iterdir()) == []


def test_a_connection_from_this_host_has_a_small_send_buffer(make_registry):
    registry = make_registry()
    with socket.create_connection(("127.0.0.1", registry.port)) as client:
        client.sendall(b"GET /v2/ HTTP/1.1\r\nHost: r\r\n\r\n")
        assert client.recv(12) == b"HTTP/1.1 200"
        here, there = registry.port, client.getsockname()[1]
        told = subprocess.run(["ss", "-tmnH", f"sport = :{here} and dport = :{there}"], stdout=subprocess.PIPE, text=True, check=True).stdout
    # The kernel doubles what was asked for (socket(7)); left alone it begins with megabytes on loopback.
    assert re.search(r"\btb(\d+)", told).group(1) == str(2 * (256 << 10)), told
