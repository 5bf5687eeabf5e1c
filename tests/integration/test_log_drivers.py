"""Log drivers: their options, what servers receive, and that no server can stop a container."""

import gzip
import json
import os
import pathlib
import re
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time
import zlib

import pytest

from harness import IMAGE, Client, Daemon, clear, free_port, wait_until
from conftest import PROGRAMS, import_base


class Receiver:
    """A server that keeps what it is sent. Datagrams in `messages`, a stream's bytes in `data`."""

    def __init__(self, sock, reads=True):
        self.socket, self.reads, self.messages, self.data, self.connections = sock, reads, [], bytearray(), []
        if sock.type == socket.SOCK_STREAM:
            sock.listen(8)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    @classmethod
    def inet(cls, kind, port=0, reads=True):
        sock = socket.socket(socket.AF_INET, kind)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", port))
        return cls(sock, reads)

    @property
    def address(self):
        return "127.0.0.1:%d" % self.socket.getsockname()[1]

    def run(self):
        try:
            while True:
                if self.socket.type == socket.SOCK_DGRAM:
                    self.messages.append(self.socket.recv(1 << 18))
                else:
                    connection = self.socket.accept()[0]
                    self.connections.append(connection)
                    if self.reads:
                        threading.Thread(target=self.take, args=(connection,), daemon=True).start()
        except OSError:
            pass

    def take(self, connection):
        try:
            while data := connection.recv(65536):
                self.data += data
        except OSError:
            pass

    def close(self):
        for sock in [self.socket, *self.connections]:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()


@pytest.fixture
def receiver():
    made = []

    def make(*arguments, **options):
        made.append(Receiver.inet(*arguments, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def scratch():
    with tempfile.TemporaryDirectory(prefix="clptlog") as path:
        yield pathlib.Path(path)


def opts(*options):
    return [word for option in options for word in ("--log-opt", option)]


# MARK: Files


def test_attributes_of_json_file(cli, name):
    cli("run", "--name", name, "--label", "team=core", "--label", "tier.a=x", "--label", "other=no", "-e", "REGION=eu", "-e", "SECRET=s",
        *opts("labels=team", "labels-regex=^tier", "env-regex=^REG", "tag={{.Name}}/{{.ID}}"), IMAGE, "echo", "hi")
    details = cli("logs", "--details", name)
    pairs = set(details.split(" ")[0].split(","))
    short = cli("inspect", "-f", "{{.Id}}", name)[:12]
    quoted = {f"tag={name}/{short}", f"tag={name}%2F{short}"}
    assert pairs - quoted == {"team=core", "tier.a=x", "REGION=eu"} and pairs & quoted
    assert details.endswith(" hi")


@pytest.mark.parametrize("driver", ["json-file", "local"])
def test_compressed_files_are_read(clipper, name, driver):
    clipper("run", "-d", "--name", name, "--log-driver", driver, *opts("max-size=100k", "max-file=5", "compress=true"), IMAGE,
            "sh", "-c", "for i in $(seq 1 15); do seq 1 300 | sed \"s/^/$i line /\"; sleep 0.15; done; echo end; sleep 1000")
    wait_until(lambda: clipper("logs", "--tail", "1", name) == "end", 60, "the last line")
    directory = pathlib.Path(clipper.inspect(name)["HostsPath"]).parent
    packed = wait_until(lambda: sorted(directory.glob("*.gz")), 20, "packed files")
    assert all(gzip.decompress(p.read_bytes()).startswith(b'{"log":"') for p in packed)
    lines = clipper("logs", name).splitlines()
    everything = [f"{i} line {n}" for i in range(1, 16) for n in range(1, 301)] + ["end"]
    assert lines == everything[-len(lines):] and len(lines) > 1200
    assert clipper("logs", "--tail", "900", name).splitlines() == everything[-900:]
    stamp = clipper("logs", "-t", "--tail", "1000", name).splitlines()[0].split()[0]
    assert clipper("logs", "--since", stamp, name).splitlines()[-1000:] == everything[-1000:]


def test_following_through_rotation_and_compression(clipper, name):
    clipper("run", "-d", "--name", name, *opts("max-size=50k", "max-file=9", "compress=true"), IMAGE,
            "sh", "-c", "for i in $(seq 1 20); do seq 1 100 | sed \"s/^/$i line /\"; sleep 0.1; done")
    lines = clipper("logs", "-f", name, timeout=60).splitlines()
    assert lines == [f"{i} line {n}" for i in range(1, 21) for n in range(1, 101)]


def test_local_driver(cli, name):
    cli("run", "--name", name, "--log-driver", "local", IMAGE, "sh", "-c", "echo out; echo err >&2")
    result = cli.run("logs", name)
    assert (result.out, result.err) == ("out\n", "err\n")
    assert cli("inspect", "-f", "{{.LogPath}}", name) == ""


@pytest.mark.parametrize("driver, options, message", [
    ("nope", [], "logger: no log driver named 'nope' is registered"),
    ("awslogs", [], "log driver awslogs"),
    ("json-file", ["colour=x"], "unknown log opt 'colour' for json-file log driver"),
    ("local", ["tag=x"], "unknown log opt 'tag' for log driver local"),
    ("syslog", ["gelf-address=x"], "unknown log opt 'gelf-address' for syslog log driver"),
    ("syslog", ["syslog-facility=x"], "invalid syslog facility"),
    ("syslog", ["syslog-address=x"], "syslog-address should be in form proto://address, got x"),
    ("syslog", ["syslog-address=tcp+tls://x:1"], "tcp+tls"),
    ("gelf", [], "gelf-address is a required parameter"),
    ("gelf", ["gelf-address=udp://localhost"], "gelf: please provide gelf-address as proto://host:port"),
    ("gelf", ["gelf-address=tcp://localhost:1", "gelf-compression-type=gzip"], "compression is only supported on UDP"),
    ("json-file", ["mode=x"], "logger: logging mode not supported: x"),
    ("json-file", ["max-buffer-size=1m"], "max-buffer-size option is only supported with 'mode=non-blocking'"),
    ("json-file", ["compress=true", "max-file=1"], "compress cannot be true when max-file is less than 2 or max-size is not set"),
    ("fluentd", ["fluentd-request-ack=true"], "fluentd-request-ack"),
])
def test_refused(clipper, name, driver, options, message):
    result = clipper.run("create", "--name", name, "--log-driver", driver, *opts(*options), IMAGE, "true")
    assert result.code != 0 and message in result.err


# MARK: Servers


def messages_of(stream):
    """The MessagePack objects of fluentd's forward protocol, with as much of the format as the driver uses."""
    position = 0

    def take(count):
        nonlocal position
        position += count
        return stream[position - count:position]

    def text(head):
        if head & 0xE0 == 0xA0:
            return take(head & 31).decode()
        return take(int.from_bytes(take({0xD9: 1, 0xDA: 2, 0xDB: 4}[head]), "big")).decode()

    found = []
    while position < len(stream):
        assert take(1) == b"\x93"
        tag, kind = text(take(1)[0]), take(1)[0]
        if kind == 0xCE:
            when = struct.unpack(">I", take(4))[0]
        else:
            assert (kind, take(1)) == (0xD7, b"\0")
            when = struct.unpack(">II", take(8))
        assert take(1) == b"\xdf"
        record = {}
        for _ in range(struct.unpack(">I", take(4))[0]):
            key = text(take(1)[0])
            record[key] = text(take(1)[0])
        found.append((tag, when, record))
    return found


@pytest.mark.parametrize("precise", ["true", "false"])
def test_fluentd(cli, name, receiver, precise):
    server = receiver(socket.SOCK_STREAM)
    long = "y" * 20000
    cli("run", "--name", name, "--label", "team=core", "--log-driver", "fluentd",
        *opts(f"fluentd-address={server.address}", "tag=app.{{.Name}}", "labels=team", f"fluentd-sub-second-precision={precise}"),
        IMAGE, "sh", "-c", f"echo out; echo err >&2; printf '%20000s\\n' | tr ' ' y")
    got = wait_until(lambda: (m := messages_of(server.data)) if len(server.data) > 20000 else None, what="the messages")
    assert {tag for tag, _, _ in got} == {f"app.{name}"}
    assert all(abs((when[0] if precise == "true" else when) - time.time()) < 60 for _, when, _ in got)
    records = [record for _, _, record in got]
    assert {("out", "stdout"), ("err", "stderr")} <= {(r["log"], r["source"]) for r in records}
    assert all(r["container_name"] == f"/{name}" and len(r["container_id"]) == 64 and r["team"] == "core" for r in records)
    assert "".join(r["log"] for r in records if r["log"][0] == "y") == long
    # Docker's dual logging: a copy on this host is what `logs` reads.
    assert "out" in cli.run("logs", name).out and "err" in cli.run("logs", name).err


def gelf_object(datagrams):
    chunks = {}
    for datagram in datagrams:
        if datagram[:2] != b"\x1e\x0f":
            yield datagram
            continue
        chunks.setdefault(datagram[2:10], {})[datagram[10]] = datagram[12:]
        if len(chunks[datagram[2:10]]) == datagram[11]:
            yield b"".join(part for _, part in sorted(chunks.pop(datagram[2:10]).items()))


@pytest.mark.parametrize("form, unpack", [("gzip", gzip.decompress), ("zlib", zlib.decompress), ("none", bytes)])
def test_gelf_udp(clipper, name, receiver, form, unpack):
    server = receiver(socket.SOCK_DGRAM)
    clipper("run", "--name", name, "-e", "REGION=eu", "--log-driver", "gelf",
            *opts(f"gelf-address=udp://{server.address}", f"gelf-compression-type={form}", "env=REGION"), IMAGE,
            "sh", "-c", "echo 'a \"quoted\" line'; head -c 9000 /dev/urandom | base64 -w 0; echo; echo err >&2")
    got = wait_until(lambda: (o := list(gelf_object(server.messages))) if len(list(gelf_object(server.messages))) >= 3 else None)
    objects = [json.loads(unpack(one)) for one in got]
    assert all(o["version"] == "1.1" and o["_container_name"] == name and o["_REGION"] == "eu" for o in objects)
    assert ("a \"quoted\" line", 6) in {(o["short_message"], o["level"]) for o in objects}
    assert ("err", 3) in {(o["short_message"], o["level"]) for o in objects}
    assert max(len(o["short_message"]) for o in objects) == 12000
    assert all(abs(o["timestamp"] - time.time()) < 60 for o in objects)


def test_gelf_tcp_reconnects(clipper, name, receiver):
    server = receiver(socket.SOCK_STREAM)
    port = server.socket.getsockname()[1]
    clipper("run", "-d", "--name", name, "--log-driver", "gelf", *opts(f"gelf-address=tcp://{server.address}"), IMAGE,
            "sh", "-c", "i=0; while true; do i=$((i+1)); echo $i; sleep 0.1; done")
    wait_until(lambda: server.data.count(b"\0") >= 3)
    server.close()
    time.sleep(0.5)
    again = receiver(socket.SOCK_STREAM, port=port)
    wait_until(lambda: again.data.count(b"\0") >= 3, 20, "messages over a new connection")
    assert clipper.inspect(name)["State"]["Running"]


@pytest.mark.parametrize("format, pattern", [
    ("", rb"<30>\w{3} [ \d]\d \d\d:\d\d:\d\d TAG\[\d+\]: out\n"),
    ("rfc3164", rb"<30>\w{3} [ \d]\d \d\d:\d\d:\d\d \S+ TAG\[\d+\]: out\n"),
    ("rfc5424", rb"<30>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \S+ TAG \d+ TAG - out\n"),
    ("rfc5424micro", rb"<30>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z \S+ TAG \d+ TAG - out\n"),
])
def test_syslog_formats(clipper, name, receiver, format, pattern):
    server = receiver(socket.SOCK_STREAM)
    clipper("run", "--name", name, "--log-driver", "syslog",
            *opts(f"syslog-address=tcp://{server.address}", f"syslog-format={format}", "tag=TAG"), IMAGE, "sh", "-c", "echo out; echo err >&2")
    wait_until(lambda: server.data.count(b"\n") == 2)
    lines = server.data.splitlines(keepends=True)
    assert any(re.fullmatch(pattern, line) for line in lines), lines
    assert any(line.startswith(b"<27>") and line.endswith(b"err\n") for line in lines)


def rsyslog(scratch):
    """Debian's rsyslogd, of this machine or unpacked into a place of its own."""
    if shutil.which("rsyslogd"):
        return shutil.which("rsyslogd"), None
    packages = ["rsyslog", "libestr0", "libfastjson4", "liblognorm5"]
    if subprocess.run(["apt-get", "download", *packages], cwd=scratch, capture_output=True, timeout=120).returncode:
        pytest.skip("rsyslog cannot be had")
    for package in scratch.glob("*.deb"):
        subprocess.run(["dpkg", "-x", package, scratch / "root"], check=True)
    libraries = next((scratch / "root/usr/lib").glob("*-linux-gnu"))
    return str(scratch / "root/usr/sbin/rsyslogd"), libraries


@pytest.mark.parametrize("way", ["unixgram", "unix", "udp", "tcp"])
def test_real_rsyslog(clipper, name, scratch, way):
    program, libraries = rsyslog(scratch)
    port = free_port()
    modules = libraries / "rsyslog" if libraries else ""
    (scratch / "conf").write_text(f"""
module(load="imuxsock" SysSock.Use="off")
module(load="imudp")
module(load="imtcp")
input(type="imuxsock" Socket="{scratch}/log")
input(type="imudp" address="127.0.0.1" port="{port}")
input(type="imtcp" address="127.0.0.1" port="{port}")
*.* action(type="omfile" file="{scratch}/out" template="RSYSLOG_DebugFormat")
""")
    environment = {**os.environ, **({"LD_LIBRARY_PATH": str(libraries)} if libraries else {})}
    options = ["-M", str(modules)] if modules else []
    server = subprocess.Popen([program, "-n", "-f", scratch / "conf", "-i", scratch / "pid", *options], env=environment,
                              stdout=subprocess.DEVNULL, stderr=(scratch / "err").open("wb"))
    try:
        wait_until((scratch / "log").exists, what="rsyslog's socket: " + (scratch / "err").read_text())
        address = f"{way}://127.0.0.1:{port}" if way in ("tcp", "udp") else f"{way}://{scratch}/log"
        clipper("run", "--name", name, "--log-driver", "syslog", *opts(f"syslog-address={address}", "syslog-facility=local3", "tag=app"),
                IMAGE, "echo", "to rsyslog")
        out = wait_until(lambda: (scratch / "out").exists() and "to rsyslog" in (text := (scratch / "out").read_text()) and text)
        assert re.search(r"programname: 'app'", out) and re.search(r"PRI: 158", out)
    finally:
        server.terminate()
        server.wait(20)


JOURNAL = """
mount -t tmpfs tmpfs /run/systemd && mkdir -p /run/systemd/journal && touch {ready} && exec "$@"
"""


@pytest.mark.skipif(not os.path.isdir("/run/systemd"), reason="no place for the journal's socket")
@pytest.mark.parametrize("real", [False, True])
def test_journald(scratch, real):
    """A daemon that sees a /run/systemd of its own, with a receiver of ours or with systemd's journal in it."""
    if real and not os.path.exists("/lib/systemd/systemd-journald"):
        pytest.skip("no systemd-journald")
    daemon = Daemon(f"clptj{os.getpid()}{int(real)}", before=["unshare", "-m", "sh", "-c", JOURNAL.format(ready=scratch / "ready"), "sh"])
    journal = server = None
    try:
        daemon.start()
        import_base(daemon)
        clipper = Client("clipper", PROGRAMS["clipper"], daemon)
        result = clipper.run("run", "--name", "none", "--log-driver", "journald", IMAGE, "true")
        assert result.code != 0 and "journald is not enabled on this host" in result.err
        if real:
            own = "mount -t tmpfs tmpfs /var/log; mount -t tmpfs tmpfs /run/log; mkdir -p /var/log/journal; exec /lib/systemd/systemd-journald"
            enter = ["nsenter", "-m", "-t", str(daemon.pid)]
            journal = subprocess.Popen([*enter, "sh", "-c", own], stdout=subprocess.DEVNULL, stderr=(scratch / "err").open("wb"))
            enter = ["nsenter", "-m", "-t", str(daemon.pid)]
            path = f"/proc/{daemon.pid}/root/run/systemd/journal/socket"
            wait_until(lambda: os.path.exists(path) or journal.poll() is not None, what="the journal's socket")
            if journal.poll() is not None:
                pytest.skip(f"systemd-journald does not run here: {(scratch / 'err').read_text()}")
        else:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            sock.bind(f"/proc/{daemon.pid}/root/run/systemd/journal/socket")
            server = Receiver(sock)
        clipper("run", "--name", "one", "--label", "my.team=core", "--log-driver", "journald", *opts("labels=my.team", "tag=app"), IMAGE,
                "sh", "-c", "echo out; echo err >&2; printf 'no newline'")
        if real:
            reader = ["journalctl", "-o", "json", "CONTAINER_NAME=one"]
            read = lambda: [json.loads(line) for line in subprocess.run([*enter, *reader], capture_output=True, text=True).stdout.splitlines()]
            entries = wait_until(lambda: (e := read()) if len(read()) >= 3 else None, what="the journal's entries")
        else:
            wait_until(lambda: len(server.messages) == 3)
            entries = [journal_fields(message) for message in server.messages]
        by = {entry["MESSAGE"]: entry for entry in entries}
        assert by["out"]["PRIORITY"] == "6" and by["err"]["PRIORITY"] == "3"
        assert by["no newline"]["CONTAINER_PARTIAL_MESSAGE"] == "true" and "CONTAINER_PARTIAL_MESSAGE" not in by["out"]
        for entry in entries:
            assert entry["CONTAINER_NAME"] == "one" and entry["CONTAINER_TAG"] == entry["SYSLOG_IDENTIFIER"] == "app"
            assert entry["MY_TEAM"] == "core" and entry["CONTAINER_ID_FULL"].startswith(entry["CONTAINER_ID"])
        assert clipper.run("logs", "one").out == "out\nno newline"
    finally:
        if server:
            server.close()
        try:
            clear(daemon)
        finally:
            if journal:
                journal.terminate()
                journal.wait(20)
            if daemon.running():
                daemon.kill()
            daemon.remove()


def journal_fields(message):
    """Native Journal Protocol: `NAME=text` lines, or name, length and bytes."""
    fields = {}
    while message:
        line, _, message = message.partition(b"\n")
        if b"=" in line:
            name, _, value = line.partition(b"=")
        else:
            name, length = line, struct.unpack("<Q", message[:8])[0]
            value, message = message[8:8 + length], message[9 + length:]
        fields[name.decode()] = value.decode()
    return fields


# MARK: Servers that fail


def test_start_fails_without_the_server(cli, name):
    result = cli.run("run", "--name", name, "--log-driver", "fluentd", *opts(f"fluentd-address=127.0.0.1:{free_port()}"), IMAGE, "true")
    assert result.code == 125 or result.code == 127 or result.code == 1
    assert "failed to initialize logging driver" in result.err and "connection refused" in result.err


def test_async_start_without_the_server(clipper, name, receiver):
    port = free_port()
    clipper("run", "-d", "--name", name, "--log-driver", "fluentd", *opts(f"fluentd-address=127.0.0.1:{port}", "fluentd-async=true"), IMAGE,
            "sh", "-c", "echo early; sleep 1000")
    time.sleep(0.3)
    server = receiver(socket.SOCK_STREAM, port=port)
    wait_until(lambda: b"early" in server.data, 20, "the message that waited")


def test_server_that_dies_never_stops_the_container(clipper, name, receiver):
    server = receiver(socket.SOCK_STREAM)
    clipper("run", "-d", "--name", name, "--log-driver", "fluentd", *opts(f"fluentd-address={server.address}"), IMAGE,
            "sh", "-c", "echo begin; while [ ! -e /go ]; do sleep 0.1; done; seq 1 300000; touch /done; sleep 1000")
    wait_until(lambda: b"begin" in server.data)
    server.close()
    clipper("exec", name, "touch", "/go")
    wait_until(lambda: clipper.run("exec", name, "test", "-e", "/done").code == 0, 60, "the end of the output")
    assert clipper("logs", "--tail", "1", name) == "300000"


def test_slow_server_in_both_modes(clipper, name, receiver):
    server = receiver(socket.SOCK_STREAM, reads=False)
    script = "seq 1000000 1300000; touch /done; sleep 1000"
    for mode in ["non-blocking", "blocking"]:
        clipper("run", "-d", "--name", f"{name}-{mode}", "--log-driver", "fluentd",
                *opts(f"fluentd-address={server.address}", f"mode={mode}", "cache-disabled=true"), IMAGE, "sh", "-c", script)
    done = lambda mode: clipper.run("exec", f"{name}-{mode}", "test", "-e", "/done").code == 0
    wait_until(lambda: done("non-blocking"), 60, "the container that does not wait")
    time.sleep(1)
    assert not done("blocking"), "the container did not wait for its server"
    # It goes on as soon as the server does.
    for connection in server.connections:
        threading.Thread(target=server.take, args=(connection,), daemon=True).start()
    wait_until(lambda: done("blocking"), 60, "the container that waited")
    assert "does not support reading" in clipper.run("logs", f"{name}-blocking").err


def test_the_daemon_is_not_needed(clipper, daemon, name, receiver):
    server = receiver(socket.SOCK_STREAM)
    clipper("run", "-d", "--name", name, "--log-driver", "syslog", *opts(f"syslog-address=tcp://{server.address}"), IMAGE,
            "sh", "-c", "i=0; while true; do i=$((i+1)); echo line $i; sleep 0.1; done")
    wait_until(lambda: b"line 1" in server.data)
    daemon.kill()
    seen = len(server.data)
    wait_until(lambda: len(server.data) > seen + 200, 20, "messages without a daemon")
    daemon.start()
    assert clipper("logs", "--tail", "3", name)
