"""clipperd's own doors and configuration: flags, daemon.json, SIGHUP, socket activation, readiness."""

import grp
import json
import os
import pathlib
import signal
import socket
import stat
import subprocess
import time

import pytest

from conftest import import_base
from harness import BIN, IMAGE, Client, Daemon, free_port, wait_until


def check(tmp_path, document, *flags):
    """clipperd --validate with a daemon.json: exit code, stdout, stderr."""
    path = tmp_path / "daemon.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    done = subprocess.run([BIN / "clipperd", "--validate", "--config-file", path, *flags], capture_output=True, text=True, timeout=20)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def own_daemon(request):
    """A daemon of this test's own, not started yet."""
    daemon = Daemon(f"clpd{os.getpid()}{len(request.node.name)}")
    yield daemon
    if daemon.running():
        daemon.stop()
    daemon.remove()


def test_a_sound_configuration_is_called_so(tmp_path):
    document = {"labels": ["a=b"], "debug": True, "shutdown-timeout": 3, "live-restore": True, "storage-driver": "overlay2",
                "runtimes": {"crun": {"path": "/usr/bin/crun"}}, "default-runtime": "crun", "default-shm-size": "128m"}
    assert check(tmp_path, document, "-H", "tcp://:0", "-H", "fd://", "--add-runtime", "runc=/usr/sbin/runc") == (0, "configuration OK\n", "")


@pytest.mark.parametrize("document, flags, reason", [
    ({"foo": 1, "bar": 2}, [], "the following directives don't match any configuration option: bar, foo"),
    ({"debug": True, "labels": ["x=y"]}, ["--debug", "--label", "a=b"],
     "the following directives are specified both as a flag and in the configuration file: debug: (from flag: true, from file: true), "
     "labels: (from flag: [a=b], from file: [x=y])"),
    ({"log-opts": {"max-size": "1m"}}, ["--log-opt", "max-size=2m"], "log-opts: (from flag: map[max-size:2m], from file: map[max-size:1m])"),
    ({"debug": "yes"}, [], "debug: expected true or false, found string"),
    ([1], [], "expected an object, found array"),
    ("", [], "unable to configure the daemon with file"),
    ({"live-restore": False}, [], "live-restore: false is not possible"),
    ({"labels": ["nothing"]}, [], "bad attribute format: nothing"),
    ({"labels": ["a=1", "a=2"]}, [], "conflict labels for a=2 and a=1"),
    ({"default-runtime": "none"}, [], "specified default runtime 'none' does not exist"),
    ({"hosts": ["foo://x"]}, [], "invalid bind address format: foo://x"),
    ({"metrics-addr": "127.0.0.1:x"}, [], "invalid bind address format: tcp://127.0.0.1:x"),
    ({"storage-opts": ["overlay2.size=much"]}, [], "invalid size: 'much'"),
    ({"storage-opts": ["overlay2.foo=1"]}, [], "overlay2: unknown option overlay2.foo"),
    ({}, ["--storage-opt", "overlay2.size"], "unable to parse key/value option: overlay2.size"),
    ({"shutdown-timeout": -2}, [], "shutdown-timeout: expected -1 or more, found -2"),
    ({"mtu": -1}, [], "invalid default MTU: -1"),
    ({"dns": ["1.1.1.1", "nowhere"]}, [], "nowhere is not an ip address"),
    ({"default-shm-size": -5}, [], "default-shm-size: -5 is less than 0"),
    ({"cgroup-parent": "a/../b"}, [], "cgroup-parent: a/../b contains .."),
    ({"default-ulimits": {"nosuch": {"Name": "nosuch", "Soft": 1, "Hard": 1}}}, [], "default-ulimits: invalid ulimit type: nosuch"),
    ({}, ["--default-ulimit", "nofile=5:1"], "ulimit soft limit must be less than or equal to hard limit: 5 > 1"),
    ({"tls": True, "tlscert": "/none.pem", "tlskey": "/none.key"}, [],
     'could not load X509 key pair (cert: "/none.pem", key: "/none.key"): open /none.pem: no such file or directory'),
])
def test_what_cannot_be_used_is_named(tmp_path, document, flags, reason):
    code, out, err = check(tmp_path, document, *flags)
    assert code == 1 and out == ""
    assert reason in err


def test_a_file_that_was_named_must_be_there():
    done = subprocess.run([BIN / "clipperd", "--validate", "--config-file", "/none.json"], capture_output=True, text=True, timeout=20)
    assert done.returncode == 1
    assert "unable to configure the daemon with file /none.json" in done.stderr and "no such file" in done.stderr


def test_sighup_takes_what_can_change(own_daemon):
    path = own_daemon.scratch / "daemon.json"
    path.write_text(json.dumps({"labels": ["a=b"]}))
    own_daemon.options += ["--config-file", str(path)]
    own_daemon.start()
    started = time.time() - 1

    def reload(document):
        mark = own_daemon.log.stat().st_size
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        os.kill(own_daemon.pid, signal.SIGHUP)
        wait_until(lambda: any(word in own_daemon.log_tail(mark) for word in ["reloaded the configuration", "stays as it was"]), 10, "reload")
        return own_daemon.log_tail(mark), own_daemon.request("GET", "/info")[1]

    log, info = reload({"labels": ["c=d", "e=f"], "debug": True, "default-shm-size": 1 << 20, "mtu": 1400,
                        "runtimes": {"other": {"path": "/usr/bin/true"}}, "default-ipc-mode": "shareable", "init": True,
                        "default-cgroupns-mode": "host", "features": {"buildkit": False, "a": False}})
    assert info["Labels"] == ["c=d", "e=f"] and info["Debug"] is True and "other" in info["Runtimes"]
    assert "these keys take effect at the next start" in log and "mtu" in log
    _, events = own_daemon.request("GET", f"/events?since={started:.0f}&until={time.time() + 1:.0f}")
    event = json.loads(events) if isinstance(events, bytes) else events
    assert (event["Type"], event["Action"]) == ("daemon", "reload")
    attributes = event["Actor"]["Attributes"]
    assert attributes["name"] == os.uname().nodename and attributes["labels"] == '["c=d","e=f"]' and attributes["debug"] == "true"
    # dockerd 28's attributes, and the level of the log.
    assert set(attributes) == {
        "name", "debug", "labels", "default-ipc-mode", "default-cgroupns-mode", "default-runtime", "default-shm-size", "features",
        "insecure-registries", "registry-mirrors", "live-restore", "max-concurrent-downloads", "max-concurrent-uploads",
        "max-download-attempts", "runtimes", "shutdown-timeout", "log-level"}
    assert attributes["default-ipc-mode"] == "shareable" and attributes["default-cgroupns-mode"] == "host"
    assert attributes["features"] == "map[a:false buildkit:false]"
    import_base(own_daemon)
    client = Client("clipper", BIN / "clipper", own_daemon)
    host = client.inspect(client("create", "--name", "reloaded", IMAGE, "true"))["HostConfig"]
    assert host["IpcMode"] == "shareable" and host["CgroupnsMode"] == "host"
    client("rm", "reloaded")
    assert attributes["default-shm-size"] == "1048576" and attributes["runtimes"] == "other:/usr/bin/true"

    for bad, reason in [({"labelz": []}, "labelz"), ('{"labels": [', "daemon.json"), ({"default-runtime": "gone"}, "gone")]:
        log, info = reload(bad)
        assert "stays as it was" in log and reason in log
        assert info["Labels"] == ["c=d", "e=f"]
    _, info = reload({})
    assert info["Labels"] == [] and info["Debug"] is False and "other" not in info["Runtimes"]


def test_containers_are_found_where_they_were_started(own_daemon):
    parent = own_daemon.cgroup_parent
    own_daemon.cgroup_parent = f"{parent}/first"
    own_daemon.start()
    import_base(own_daemon)
    client = Client("clipper", BIN / "clipper", own_daemon)
    client("run", "-d", "--name", "stays", "--network", "none", IMAGE, "sleep", "1000")
    own_daemon.stop()
    own_daemon.cgroup_parent = parent
    own_daemon.start()
    assert "sleep 1000" in client("top", "stays")
    client("pause", "stays")
    client("unpause", "stays")
    assert own_daemon.request("GET", "/containers/stays/stats?stream=0&one-shot=1")[1]["pids_stats"]["current"] == 1
    client("rm", "-f", "stays")


def test_socket_activation_readiness_and_groups(own_daemon):
    """As systemd starts it: a listening descriptor, a socket for its state, several doors."""
    group = next(g.gr_name for g in grp.getgrall() if g.gr_gid not in (0,))
    notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notified.bind(str(own_daemon.scratch / "notify"))
    notified.settimeout(20)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(own_daemon.scratch / "activated.sock"))
    listening.listen(16)
    port = free_port()
    command = (f'LISTEN_PID=$$ LISTEN_FDS=1 NOTIFY_SOCKET={own_daemon.scratch}/notify exec {BIN}/clipperd -H fd:// -H tcp://:{port} '
               f'-H {own_daemon.host} --group {group} --data-root {own_daemon.scratch}/data --exec-root {own_daemon.scratch}/exec '
               f'--cgroup-parent {own_daemon.cgroup_parent} --pidfile {own_daemon.scratch}/pid')

    def hand_over():
        os.dup2(listening.fileno(), 3)

    with own_daemon.log.open("wb") as log:
        own_daemon.process = subprocess.Popen(["sh", "-c", command], preexec_fn=hand_over, close_fds=False, stdout=log, stderr=log)
    try:
        assert notified.recv(100) == b"READY=1", own_daemon.log_tail()
        for host in [own_daemon.host, f"unix://{own_daemon.scratch}/activated.sock", f"tcp://127.0.0.1:{port}"]:
            done = subprocess.run([BIN / "clipper", "-H", host, "version", "--format", "{{.Server.Version}}"], capture_output=True, text=True)
            assert done.returncode == 0 and done.stdout.strip(), (host, done)
        status = os.stat(own_daemon.socket)
        assert stat.S_IMODE(status.st_mode) == 0o660 and grp.getgrgid(status.st_gid).gr_name == group
        assert int((own_daemon.scratch / "pid").read_text()) == own_daemon.pid
        _, info = own_daemon.request("GET", "/info")
        assert any(f"http://localhost:{port} without encryption" in warning for warning in info["Warnings"])
        os.kill(own_daemon.pid, signal.SIGHUP)
        assert notified.recv(100).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
        assert notified.recv(100) == b"READY=1"
    finally:
        own_daemon.stop()
    assert notified.recv(100) == b"STOPPING=1"
    assert not (own_daemon.scratch / "pid").exists()
    notified.close()
    listening.close()


def test_doors_that_cannot_be_opened_are_named(own_daemon):
    def start(*flags):
        command = [BIN / "clipperd", "--data-root", own_daemon.scratch / "data", "--exec-root", own_daemon.scratch / "exec", *flags]
        return subprocess.run(command, capture_output=True, text=True, timeout=30).stderr

    assert "no sockets found via socket activation" in start("-H", "fd://")
    assert "no group nobody-here" in start("-H", own_daemon.host, "--group", "nobody-here")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert "address already in use" in start("-H", f"tcp://127.0.0.1:{port}")
    pathlib.Path(own_daemon.scratch / "pid").write_text(f"{os.getpid()}\n")
    assert "pid file found" in start("-H", own_daemon.host, "--pidfile", own_daemon.scratch / "pid")


def test_defaults_of_containers(own_daemon):
    """What daemon.json says holds where a container's request leaves it open."""
    path = own_daemon.scratch / "daemon.json"
    path.write_text(json.dumps({
        "default-ulimits": {"nofile": {"Name": "nofile", "Soft": 111, "Hard": 222}}, "default-ipc-mode": "shareable", "init": True,
        "default-cgroupns-mode": "private", "no-new-privileges": True, "host-gateway-ip": "192.0.2.77"}))
    own_daemon.options += ["--config-file", str(path)]
    own_daemon.start()
    import_base(own_daemon)
    client = Client("clipper", BIN / "clipper", own_daemon)
    question = "ulimit -Sn; ulimit -Hn; echo $$; grep NoNewPrivs /proc/self/status; grep -w me /etc/hosts; readlink /proc/self/ns/cgroup"
    said = client("run", "--rm", "--add-host", "me:host-gateway", IMAGE, "sh", "-c", question).split()
    assert said[:2] == ["111", "222"] and said[2] != "1" and said[3:6] == ["NoNewPrivs:", "1", "192.0.2.77"]
    assert said[-1] != os.readlink("/proc/self/ns/cgroup")
    own = client("run", "--rm", "--init=false", "--ulimit", "nofile=5:6", "--security-opt", "no-new-privileges=false", "--cgroupns", "host",
                 "--add-host", "me:192.0.2.1", IMAGE, "sh", "-c", question).split()
    assert own[:6] == ["5", "6", "1", "NoNewPrivs:", "0", "192.0.2.1"] and own[-1] == os.readlink("/proc/self/ns/cgroup")
    assert client.inspect(client("create", IMAGE, "true"))["HostConfig"]["IpcMode"] == "shareable"
