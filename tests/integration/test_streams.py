"""Streams of containers: attach over a connection and over a WebSocket, several clients at once, clients that do not read."""

import hashlib
import json
import os
import socket
import struct
import threading
import time
import types
import urllib.parse

import docker
import pytest
import websocket

from harness import IMAGE, wait_until

PING, PONG, CLOSE, BINARY, TEXT = 0x9, 0xA, 0x8, 0x2, 0x1


class Attached:
    """A hijacked connection to a container's streams."""

    def __init__(self, daemon, name, query="stream=1&stdin=1&stdout=1&stderr=1", path="containers/{}/attach", body=b""):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(daemon.socket)
        target = f"/v1.50/{path.format(name)}?{query}"
        head = f"POST {target} HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self.sock.sendall(head.encode() + body)
        self.file = self.sock.makefile("rb")
        self.status = int(self.file.readline().split()[1])
        while self.file.readline() not in (b"\r\n", b""):
            pass

    def frames(self):
        """Each frame's stream and bytes, until the end."""
        while True:
            head = self.file.read(8)
            if len(head) < 8:
                return
            kind, length = struct.unpack(">BxxxI", head)
            yield kind, self.file.read(length)

    def close(self):
        self.file.close()
        self.sock.close()


def open_socket(daemon, name, query="stream=1&stdin=1&stdout=1&stderr=1", version="1.50", **options):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(20)
    sock.connect(daemon.socket)
    return websocket.create_connection(f"ws://localhost/v{version}/containers/{name}/attach/ws?{query}", socket=sock, timeout=20, **options)


def until(ws, wanted):
    """Reads messages until `wanted` has come; everything that has."""
    got = b""
    while wanted not in got:
        part = ws.recv()
        assert part, got
        got += part if isinstance(part, bytes) else part.encode()
    return got


@pytest.fixture
def events_of(daemon):
    """Counts a container's events of one action since the test began."""
    since = time.time()

    def count(name, action):
        filters = json.dumps({"container": [name], "event": [action]})

        def told():
            query = urllib.parse.urlencode({"since": f"{since:.9f}", "until": f"{time.time() + 0.001:.9f}", "filters": filters})
            body = daemon.request("GET", f"/events?{query}")[1]
            return 1 if isinstance(body, dict) else len(body.splitlines())

        return wait_until(told, what=f"the event {action}")

    return count


# MARK: WebSocket

def test_websocket_carries_both_ways_and_ends(daemon, clipper, name):
    clipper("run", "-di", "--name", name, IMAGE, "sh", "-c", "while read line; do echo out $line; echo err $line >&2; done; echo over")
    ws = open_socket(daemon, name)
    ws.send_binary(b"one\n")
    got = until(ws, b"err one\n")
    assert b"out one\n" in got and b"\0" not in got, "no frames inside of messages"
    # A message in parts, and a text.
    ws.send_frame(websocket.ABNF.create_frame(b"tw", websocket.ABNF.OPCODE_BINARY, 0))
    ws.send_frame(websocket.ABNF.create_frame(b"o\n", websocket.ABNF.OPCODE_CONT, 1))
    until(ws, b"err two\n")
    ws.send("three\n")
    until(ws, b"err three\n")
    ws.ping("are you there")
    assert ws.recv_data(control_frame=True) == (PONG, b"are you there")
    clipper("kill", name)
    assert ws.recv_data(control_frame=True) == (CLOSE, struct.pack(">H", 1000))
    ws.shutdown()


@pytest.mark.parametrize("version, kind", [("1.27", TEXT), ("1.28", BINARY)])
def test_websocket_messages_say_what_they_are(daemon, clipper, name, version, kind):
    clipper("run", "-di", "--name", name, IMAGE, "cat")
    ws = open_socket(daemon, name, version=version)
    ws.send_binary(b"x")
    assert ws.recv_data() == (kind, b"x")
    ws.shutdown()


def test_websocket_streams_are_chosen_since_1_42(daemon, clipper, name):
    clipper("run", "-di", "--name", name, IMAGE, "sh", "-c", "while read line; do echo out; echo err >&2; sleep 0.1; done")
    both = open_socket(daemon, name, "stream=1", version="1.41")
    one = open_socket(daemon, name, "stream=1&stderr=1")
    both.send_binary(b"go\ngo\n")
    assert sorted(until(both, b"err\n").split() + until(both, b"err\n").split()).count(b"out") >= 1
    assert until(one, b"err\n").replace(b"err\n", b"") == b""
    both.shutdown()
    one.shutdown()


def test_websocket_large_messages_pass_unchanged(daemon, clipper, name):
    clipper("run", "-di", "--name", name, IMAGE, "cat")
    data = os.urandom(9 << 20)
    ws = open_socket(daemon, name)
    sender = threading.Thread(target=ws.send_binary, args=(data,))
    sender.start()
    got = bytearray()
    while len(got) < len(data):
        got += ws.recv()
    sender.join()
    assert hashlib.sha256(got).digest() == hashlib.sha256(data).digest()
    ws.shutdown()


def test_websocket_close_ends_stdin_that_is_opened_once(daemon, clipper, name):
    document = {"Image": IMAGE, "Cmd": ["cat"], "OpenStdin": True, "StdinOnce": True, "AttachStdin": True, "AttachStdout": True}
    status, made = daemon.request("POST", f"/containers/create?name={name}", document)
    assert status == 201
    ws = open_socket(daemon, name)
    daemon.request("POST", f"/containers/{name}/start")
    ws.send_binary(b"last words\n")
    ws.close()
    assert daemon.request("POST", f"/containers/{name}/wait")[1]["StatusCode"] == 0
    assert clipper("logs", name) == "last words"


def test_websocket_detach_keys(daemon, clipper, events_of, name):
    clipper("run", "-dit", "--name", name, IMAGE, "cat")
    ws = open_socket(daemon, name, "stream=1&stdin=1&stdout=1&detachKeys=ctrl-a,x")
    ws.send_binary(b"on\x01")
    until(ws, b"on")
    ws.send_binary(b"x not for cat")
    assert ws.recv_data(control_frame=True)[0] == CLOSE
    ws.shutdown()
    assert events_of(name, "detach") == 1
    assert clipper("inspect", "-f", "{{.State.Status}}", name) == "running"
    assert "x" not in clipper("logs", name)
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        open_socket(daemon, name, "stream=1&stdin=1&detachKeys=ctrl-")
    assert refused.value.status_code == 400


def test_websocket_refusals(daemon, clipper, name):
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        open_socket(daemon, f"{name}-nobody")
    assert refused.value.status_code == 404
    clipper("create", "--name", name, IMAGE, "true")
    assert daemon.request("GET", f"/containers/{name}/attach/ws?stream=1")[0] == 400


def test_websocket_of_the_sdk(daemon, clipper, name):
    """Its client speaks TCP only: one connection is handed on to the daemon's socket."""
    clipper("run", "-di", "--name", name, IMAGE, "cat")
    listener = socket.create_server(("127.0.0.1", 0))

    def carry(source, target):
        while data := source.recv(65536):
            target.sendall(data)

    def serve():
        client, _ = listener.accept()
        inner = socket.socket(socket.AF_UNIX)
        inner.connect(daemon.socket)
        threading.Thread(target=carry, args=(client, inner), daemon=True).start()
        threading.Thread(target=carry, args=(inner, client), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    api = docker.APIClient(base_url=f"tcp://127.0.0.1:{listener.getsockname()[1]}", version="1.50")
    ws = api.attach_socket(name, params={"stdin": 1, "stdout": 1, "stream": 1}, ws=True)
    ws.send_binary(b"by the SDK\n")
    assert ws.recv() == b"by the SDK\n"
    ws.close()
    api.close()
    listener.close()


# MARK: Attach

def test_detach_keys_of_a_client_that_leaves_them_to_the_daemon(daemon, clipper, events_of, name):
    clipper("run", "-dit", "--name", name, IMAGE, "cat")
    attached = Attached(daemon, name)
    attached.sock.sendall(b"a\x10b")
    assert attached.file.read(4) == b"a^Pb"
    attached.sock.sendall(b"\x10\x11c")
    assert attached.file.read() == b""
    attached.close()
    assert events_of(name, "detach") == 1
    status, body = daemon.request("POST", f"/containers/{name}/attach?stream=1&stdin=1&detachKeys=nonsense")
    assert status == 400 and body["message"] == "Invalid detach keys (nonsense) provided"
    status, body = daemon.request("POST", f"/containers/{name}/exec", {"Cmd": ["true"], "DetachKeys": "nonsense"})
    assert status == 400 and body["message"] == "Invalid escape keys (nonsense) provided"


def test_detach_keys_of_an_exec(daemon, clipper, sleeper, events_of):
    wanted = {"Cmd": ["cat"], "Tty": True, "AttachStdin": True, "AttachStdout": True, "DetachKeys": "q"}
    identifier = daemon.request("POST", f"/containers/{sleeper}/exec", wanted)[1]["Id"]
    attached = Attached(daemon, identifier, query="", path="exec/{}/start", body=b'{"Tty":true}')
    attached.sock.sendall(b"a")
    assert attached.file.read(1) == b"a"
    attached.sock.sendall(b"q")
    assert attached.file.read() == b""
    attached.close()
    assert events_of(sleeper, "exec_detach") == 1
    assert daemon.request("GET", f"/exec/{identifier}/json")[1]["Running"]


def test_several_clients_see_the_same(daemon, clipper, name):
    clipper("run", "-di", "--name", name, IMAGE, "sh", "-c", "while read line; do echo $line; done; echo err >&2")
    clients = [Attached(daemon, name) for _ in range(5)]
    for number, client in enumerate(clients):
        client.sock.sendall(b"line %d\n" % number)
        seen = [next(other.frames()) for other in clients]
        assert seen == [(1, b"line %d\n" % number)] * 5
    for client in clients:
        client.close()


@pytest.mark.parametrize("command", ["create", "run"])
@pytest.mark.parametrize("query", ["stream=1", "stream=1&stdin=1", "stdin=1&stdout=1"])
def test_a_stream_of_nothing_ends(daemon, clipper, name, command, query):
    """Without `stdin` being open in the container, and without output: as with Docker there is nothing to wait for."""
    clipper(command, *(["-d"] if command == "run" else []), "--name", name, IMAGE, "sleep", "1000")
    attached = Attached(daemon, name, query)
    attached.sock.settimeout(5)
    assert attached.status == 101 and attached.file.read() == b""
    attached.close()


def test_clients_that_left_before_the_start_are_not_kept(daemon, clipper, name):
    clipper("create", "-i", "--name", name, IMAGE, "cat")
    # The recorder between them hands a client's going on as the end of its input alone.
    own = daemon.scratch / "own.sock"
    daemon = types.SimpleNamespace(pid=daemon.pid, socket=str(own) if own.exists() else daemon.socket)
    descriptors = lambda: len(os.listdir(f"/proc/{daemon.pid}/fd"))
    before = descriptors()
    for _ in range(50):
        Attached(daemon, name).close()
    wait_until(lambda: Attached(daemon, name).close() or descriptors() < before + 10, what="descriptors that are closed")
    stays = Attached(daemon, name)
    Attached(daemon, name).close()
    stays.sock.sendall(b"said before the start\n")
    stays.sock.shutdown(socket.SHUT_WR)
    clipper("start", name)
    assert list(stays.frames()) == [(1, b"said before the start\n")]
    stays.close()


@pytest.mark.parametrize("tty", [False, True])
def test_logs_before_the_stream_with_stdin(daemon, clipper, name, tty):
    """Every line once, however the attach falls between them."""
    clipper("run", "-dit" if tty else "-di", "--name", name, IMAGE, "sh", "-c", "i=0; while :; do i=$((i+1)); echo n $i; [ $((i % 100)) = 0 ] && sleep 0.003; done")
    wait_until(lambda: "n 200" in clipper("logs", "--tail", "500", name))
    for _ in range(3):
        attached = Attached(daemon, name, "logs=1&stream=1&stdin=1&stdout=1&stderr=1")
        assert attached.status == 101
        data = b""
        source = iter(lambda: attached.file.read1(1 << 16), b"") if tty else (piece for _, piece in attached.frames())
        for piece in source:
            data += piece
            if len(data) > 200_000:
                break
        attached.close()
        numbers = [int(line.split()[1]) for line in data.replace(b"\r", b"").splitlines()[:-1] if line.startswith(b"n ")]
        assert numbers == list(range(1, 1 + len(numbers)))


def test_logs_alone_end(daemon, clipper, name):
    clipper("run", "--name", name, IMAGE, "sh", "-c", "echo a; echo b >&2")
    attached = Attached(daemon, name, "logs=1&stdout=1&stderr=1")
    assert sorted(attached.frames()) == [(1, b"a\n"), (2, b"b\n")]
    attached.close()
    attached = Attached(daemon, name, "stdout=1&stderr=1")
    assert list(attached.frames()) == []
    attached.close()


def test_resize_by_the_api(daemon, clipper, name):
    clipper("run", "-dit", "--name", name, IMAGE, "sh")
    assert daemon.request("POST", f"/containers/{name}/resize?h=31&w=97")[0] == 200
    attached = Attached(daemon, name, "stream=1&stdin=1&stdout=1")
    attached.sock.sendall(b"stty size\n")
    seen = b""
    while b"31 97" not in seen:
        seen += attached.file.read1(1000)
    attached.close()


# MARK: Clients that do not read

def test_a_client_that_does_not_read_never_stops_the_container(daemon, clipper, name):
    """Half a gigabyte: what the client has not taken waits for it, and all of it comes when it reads."""
    size = 500 << 20
    document = {"Image": IMAGE, "Cmd": ["sh", "-c", f"head -c {size} /dev/zero; echo done >&2"], "AttachStdout": True,
                "HostConfig": {"LogConfig": {"Type": "none", "Config": {}}}}
    assert daemon.request("POST", f"/containers/create?name={name}", document)[0] == 201
    deaf = Attached(daemon, name, "stream=1&stdout=1&stderr=1")
    assert daemon.request("POST", f"/containers/{name}/start")[0] == 204
    assert daemon.request("POST", f"/containers/{name}/wait")[1]["StatusCode"] == 0
    got = [0, 0, 0]
    for kind, data in deaf.frames():
        got[kind] += len(data)
    deaf.close()
    assert got == [0, size, 5]


def test_a_slow_client_makes_the_container_wait(daemon, clipper, name):
    """As a pipe does: what is read steadily is not written to disk."""
    clipper("run", "-di", "--name", name, IMAGE, "sh", "-c", "read go; exec cat /dev/zero")
    attached = Attached(daemon, name)
    attached.sock.sendall(b"go\n")
    got = 0
    for _, data in attached.frames():
        got += len(data)
        if got > 64 << 20:
            break
    shim = next(pid for pid in daemon.shims())
    spilled = [os.stat(f"/proc/{shim}/fd/{fd}").st_size for fd in os.listdir(f"/proc/{shim}/fd")
               if "(deleted)" in os.readlink(f"/proc/{shim}/fd/{fd}")]
    assert spilled == []
    attached.close()


def test_a_log_reader_that_does_not_read_stops_nobody(daemon, clipper, name):
    clipper("run", "-d", "--name", name, "--log-opt", "max-size=1m", "--log-opt", "max-file=2", IMAGE, "sh", "-c",
            "sleep 0.5; yes 0123456789012345678901234567890123456789 | head -c 60000000")
    reader = socket.socket(socket.AF_UNIX)
    reader.connect(daemon.socket)
    reader.sendall(f"GET /containers/{name}/logs?follow=1&stdout=1 HTTP/1.1\r\nHost: d\r\n\r\n".encode())
    assert daemon.request("POST", f"/containers/{name}/wait")[1]["StatusCode"] == 0
    reader.close()


# MARK: Bytes

def test_a_quarter_gigabyte_through_stdin_and_stdout(clipper, name):
    """Untouched both ways, at the rate of pipes."""
    block = os.urandom(1 << 20)
    process = clipper.spawn("run", "-i", "--rm", "--name", name, "--log-driver", "none", IMAGE, "cat")
    sent = hashlib.sha256()

    def feed():
        for number in range(256):
            piece = block[number:] + block[:number]
            sent.update(piece)
            process.stdin.write(piece)
        process.stdin.close()

    feeder = threading.Thread(target=feed)
    feeder.start()
    received = hashlib.sha256()
    while piece := process.stdout.read(1 << 20):
        received.update(piece)
    feeder.join()
    assert process.wait(30) == 0 and received.digest() == sent.digest()
    process.stderr.close()


def test_input_is_whole_although_its_client_has_gone(daemon, clipper, name):
    """The client sends more than any buffer holds and goes at once; the container reads late."""
    document = {"Image": IMAGE, "Cmd": ["sh", "-c", "sleep 1; wc -c"], "OpenStdin": True, "StdinOnce": True, "AttachStdin": True}
    assert daemon.request("POST", f"/containers/create?name={name}", document)[0] == 201
    attached = Attached(daemon, name, "stream=1&stdin=1")
    assert daemon.request("POST", f"/containers/{name}/start")[0] == 204
    attached.sock.sendall(b"x" * 150_000)
    attached.close()
    assert daemon.request("POST", f"/containers/{name}/wait")[1]["StatusCode"] == 0
    assert clipper("logs", name).strip() == "150000"
