"""`userns-remap`: root of a container is an ordinary user of the host; what it sees inside is as without."""

import io
import os
import pathlib
import subprocess
import tarfile

import pytest

from conftest import PROGRAMS, clear, import_base
from harness import IMAGE, Client, Daemon

FIRST = 300000
MAP = ["0", str(FIRST), "65536"]
# /etc as the daemon sees it: users of its own, and none of the host's is touched.
WITH_USERS = ["unshare", "-m", "--propagation", "private", "sh", "-c", 'd=$1; shift; mount --bind "$d" /etc; exec "$@"', "sh"]


class OpenDaemon(Daemon):
    """Its directory lets everybody through, as /run does: also who root of a container is outside."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.scratch.chmod(0o711)


@pytest.fixture(scope="module")
def etc(tmp_path_factory):
    """A copy of /etc with subordinate ids of one user."""
    directory = tmp_path_factory.mktemp("etc")
    subprocess.run(["cp", "-a", "/etc/.", str(directory)], check=True)
    for name in ["subuid", "subgid"]:
        (directory / name).write_text(f"daemon:{FIRST}:65536\n")
    return directory


@pytest.fixture(scope="module")
def remapped(etc):
    daemon = OpenDaemon(f"clpu{os.getpid()}", ["--userns-remap", "daemon"], [*WITH_USERS, str(etc)])
    daemon.start()
    import_base(daemon)
    yield daemon
    clear(daemon)
    daemon.remove()


@pytest.fixture(params=sorted(PROGRAMS))
def client(request, remapped):
    yield Client(request.param, PROGRAMS[request.param], remapped)
    for container in remapped.request("GET", "/containers/json?all=1")[1]:
        remapped.request("DELETE", f"/containers/{container['Id']}?force=1&v=1")


@pytest.fixture
def clipper(remapped):
    yield Client("clipper", PROGRAMS["clipper"], remapped)
    for container in remapped.request("GET", "/containers/json?all=1")[1]:
        remapped.request("DELETE", f"/containers/{container['Id']}?force=1&v=1")


def names(archive):
    """Owners by path of a tar archive's bytes."""
    return {entry.name.rstrip("/"): (entry.uid, entry.gid) for entry in tarfile.open(fileobj=io.BytesIO(archive))}


def test_inside_all_is_as_ever(client):
    out = client("run", "--rm", "--tmpfs", "/t", IMAGE, "sh", "-ec", """
        cat /proc/self/uid_map; id -u; touch /x /t/x; mkdir /root/made; rm -r /etc/passwd; stat -c %u:%g /x /t/x / /root/made /bin/sh /dev/shm
        echo more >>/etc/hosts; stat -c %u:%g /etc/hosts /etc/hostname /etc/resolv.conf; chown 7:8 /x; stat -c %u:%g /x
        ls -1 /sys/class/net; ping -c 1 -w 5 127.0.0.1 >/dev/null; echo x >/dev/null""").split()
    assert out[:4] == [*MAP, "0"] and out[4:13] == ["0:0"] * 9 and out[13:] == ["7:8", "eth0", "lo"], out


def test_outside_it_is_somebody_else(clipper, name="outside"):
    clipper("run", "-d", "--name", name, IMAGE, "sleep", "1000")
    pid = clipper.inspect(name)["State"]["Pid"]
    assert f"Uid:\t{FIRST}\t" in pathlib.Path(f"/proc/{pid}/status").read_text()
    assert os.readlink(f"/proc/{pid}/ns/user") != os.readlink("/proc/self/ns/user")
    assert clipper("top", name, "-eo", "pid,uid").split()[-1] == str(FIRST)


def test_files_of_the_host(clipper, tmp_path):
    """Bind mounts are not mapped; what -v makes, and volumes, belong to the container's root."""
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "f").write_text("x")
    (tmp_path / "b").chmod(0o777)
    out = clipper("run", "--rm", "-v", f"{tmp_path}/b:/b", "-v", f"{tmp_path}/n/deep:/n", "-v", "somevolume:/etc/copied", "-v", "vol:/v", IMAGE, "sh", "-c",
                  "stat -c %u /b/f /n /v; touch /b/new /n/x /v/x; echo no >>/b/f || echo refused")
    assert out.split() == ["65534", "0", "0", "refused"]
    assert [(tmp_path / p).stat().st_uid for p in ["b/f", "b/new", "n", "n/deep", "n/deep/x"]] == [0, FIRST, FIRST, FIRST, FIRST]
    volume = pathlib.Path(clipper("volume", "inspect", "-f", "{{.Mountpoint}}", "vol"))
    assert volume.stat().st_uid == FIRST and (volume / "x").stat().st_uid == FIRST
    clipper("volume", "rm", "vol", "somevolume")


def test_volumes_get_what_the_image_has(clipper):
    clipper("build", "-t", "owned", "-", input=f"FROM {IMAGE}\nRUN mkdir /data && touch /data/a && chown 5:6 /data/a && chown 9:9 /data\n".encode())
    out = clipper("run", "--rm", "-v", "filled:/data", "owned", "stat", "-c", "%u:%g", "/data", "/data/a")
    assert out.split() == ["9:9", "5:6"]
    mountpoint = pathlib.Path(clipper("volume", "inspect", "-f", "{{.Mountpoint}}", "filled"))
    assert (mountpoint / "a").stat().st_uid == FIRST + 5
    clipper("volume", "rm", "filled")
    clipper("rmi", "owned")


@pytest.mark.parametrize("option, words", [
    (["--privileged"], "privileged mode is incompatible with user namespaces.  You must run the container in the host namespace when running privileged mode"),
    (["--network", "host"], "cannot share the host's network namespace when user namespaces are enabled"),
    (["--pid", "host"], "cannot share the host PID namespace when user namespaces are enabled"),
])
def test_what_needs_the_host(client, option, words):
    result = client.run("create", *option, IMAGE, "true")
    assert result.code == 1 and words in result.err, result
    assert client("run", "--rm", "--userns", "host", *option, IMAGE, "cat", "/proc/self/uid_map").split() == ["0", "0", "4294967295"]


def test_the_host_s_ids_for_one_container(clipper):
    """With the same image and the same files: they are nobody's in particular on the disk."""
    assert clipper("run", "--rm", "--userns=host", IMAGE, "stat", "-c", "%u", "/", "/bin/sh").split() == ["0", "0"]
    clipper("create", "--name", "chosen", "--userns=host", IMAGE, "true")
    assert clipper.inspect("chosen")["HostConfig"]["UsernsMode"] == "host"


def test_shared_namespaces(clipper):
    """Rights to a namespace are those in the user namespace that owns it: both containers are in one."""
    clipper("run", "-d", "--name", "donor", "--ipc", "shareable", IMAGE, "sleep", "1000")
    theirs = clipper("exec", "donor", "readlink", "/proc/self/ns/user")
    for kind in ["network", "pid", "ipc"]:
        found = clipper("run", "--rm", f"--{kind}", "container:donor", IMAGE, "sh", "-c", "readlink /proc/self/ns/user; ls /sys/class/net; touch /dev/shm/x /y")
        assert found.split()[0] == theirs and "lo" in found, kind
    clipper("run", "-d", "--name", "host-donor", "--userns=host", IMAGE, "sleep", "1000")
    found = clipper("run", "--rm", "--network", "container:host-donor", IMAGE, "sh", "-c", "readlink /proc/self/ns/user; stat -c %u /bin/sh")
    assert found.split() == [os.readlink("/proc/self/ns/user"), "0"]
    assert clipper("run", "--rm", IMAGE, "readlink", "/proc/self/ns/user") != theirs


def test_shared_mounts(clipper, remapped, tmp_path):
    """The host's mounts come through; the container's own do not come back: to its user namespace the host's mounts are slaves
    (mount_namespaces(7)), with dockerd too."""
    def host(*words):
        """In the daemon's mount namespace."""
        return subprocess.run(["nsenter", "-t", str(remapped.pid), "-m", *map(str, words)], check=True, capture_output=True, text=True).stdout
    host("mount", "-t", "tmpfs", "-o", "mode=777", "none", tmp_path)
    try:
        host("mount", "--make-shared", tmp_path)
        host("mkdir", tmp_path / "host", tmp_path / "container")
        clipper("run", "-d", "--name", "sharer", "--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined", "-v", f"{tmp_path}:/m:rshared",
                IMAGE, "sleep", "1000")
        host("mount", "-t", "tmpfs", "none", tmp_path / "host")
        clipper("exec", "sharer", "mount", "-t", "tmpfs", "none", "/m/container")
        mounts = {line.split()[4]: line.split()[6:8] for line in clipper("exec", "sharer", "cat", "/proc/self/mountinfo").splitlines()}
        assert [kind.split(":")[0] for kind in mounts["/m"]] == ["shared", "master"] and {"/m/host", "/m/container"} <= mounts.keys()
        assert f" {tmp_path}/container " not in host("cat", "/proc/self/mountinfo")
    finally:
        host("umount", "-l", tmp_path)


def test_ports_and_low_ports(clipper, remapped):
    clipper("run", "-d", "--name", "web", "-p", "127.0.0.1::80", IMAGE, "sh", "-c", "while :; do echo hello | nc -l -p 80; done")
    port = clipper("port", "web", "80").rsplit(":", 1)[1]
    client = subprocess.run(["python3", "-c", f"""
import socket, time
for _ in range(100):
    try:
        s = socket.create_connection(("127.0.0.1", {port}), 2); got = s.recv(100)
        if got: print(got.decode()); break
    except OSError: pass
    time.sleep(0.1)"""], capture_output=True, text=True, timeout=60)
    assert "hello" in client.stdout


def test_exec_and_terminals(client):
    client("run", "-d", "--name", "shell", IMAGE, "sleep", "1000")
    assert client("exec", "shell", "cat", "/proc/self/uid_map").split() == MAP
    assert client("exec", "-u", "nobody", "shell", "id", "-u") == "65534"
    assert client("exec", "-t", "shell", "tty").startswith("/dev/pts/")
    assert client("run", "--rm", "-t", IMAGE, "tty").startswith("/dev/pts/")


def test_copies_and_archives_have_the_container_s_owners(client, tmp_path):
    """In and out of a running and a stopped container, with the running one's volume."""
    client("run", "-d", "--name", "box", "-v", "/vol", IMAGE, "sleep", "1000")
    client("exec", "box", "sh", "-c", "mkdir /d; touch /d/f /vol/f; chown 5:6 /d/f /vol/f; chmod 600 /d/f")
    (tmp_path / "in").write_text("text")
    for target in ["/root/in", "/vol/in"]:
        client("cp", tmp_path / "in", f"box:{target}")
        assert client("exec", "box", "sh", "-c", f"stat -c %u:%g {target}; cat {target}").split() == ["0:0", "text"]
    wanted = {"d": (0, 0), "d/f": (5, 6)}
    assert names(client.run("cp", "box:/d", "-").stdout) == wanted
    assert names(client.run("cp", "box:/vol/f", "-").stdout) == {"f": (5, 6)}
    assert {k: v for k, v in names(client.run("export", "box").stdout).items() if k in wanted} == wanted
    changes = client("diff", "box").splitlines()
    assert "A /d/f" in changes and "A /root/in" in changes
    client("commit", "box", "committed")
    client("stop", "-t", "0", "box")
    assert names(client.run("cp", "box:/d", "-").stdout) == wanted
    client("cp", tmp_path / "in", "box:/root/later")
    client("cp", tmp_path / "in", "box:/vol/later")
    assert names(client.run("cp", "box:/vol/f", "-").stdout) == {"f": (5, 6)}
    client("start", "box")
    assert client("exec", "box", "stat", "-c", "%u:%g", "/vol/later") == "0:0"
    assert client("exec", "box", "stat", "-c", "%u:%g", "/root/later", "/d/f").split() == ["0:0", "5:6"]
    for more in [[], ["--userns=host"]]:
        assert client("run", "--rm", *more, "committed", "stat", "-c", "%u:%g", "/d", "/d/f").split() == ["0:0", "5:6"]
    client("rmi", "committed")


@pytest.mark.parametrize("more", [[], ["-v", "/new/place"]], ids=["plain", "volume"])
def test_copies_before_the_first_start(client, tmp_path, more):
    """Nothing has made the places of mounts yet."""
    (tmp_path / "in").write_text("text")
    client("create", "--name", "fresh", *more, IMAGE, "stat", "-c", "%u:%g", "/root/in", "/root")
    client("cp", tmp_path / "in", "fresh:/root/in")
    assert names(client.run("cp", "fresh:/root", "-").stdout) == {"root": (0, 0), "root/in": (0, 0)}
    assert client("start", "-a", "fresh").split() == ["0:0", "0:0"]


def test_builds(clipper, tmp_path):
    (tmp_path / "Dockerfile").write_text(f"FROM {IMAGE}\nRUN cat /proc/self/uid_map; touch /r; chown 7:8 /r; rm /etc/group\nCOPY Dockerfile /c\n"
                                         "RUN stat -c %u:%g /c /r\n")
    out = clipper("build", "--no-cache", "-t", "built", tmp_path)
    assert " ".join(out.split()).count(" ".join(MAP)) == 1 and "0:0\n7:8" in out
    assert clipper("run", "--rm", "built", "stat", "-c", "%u:%g", "/c", "/r").split() == ["0:0", "7:8"]
    result = clipper.run("build", "--no-cache", "--network", "host", "-t", "built", tmp_path)
    assert result.code != 0 and "cannot share the host's network namespace when user namespaces are enabled" in result.err + result.out
    clipper("rmi", "built")


def test_devices_limits_and_sysctls(clipper):
    out = clipper("run", "--rm", "--device", "/dev/loop-control", "--memory", "64m", "--pids-limit", "50", "--ulimit", "nofile=100:200",
                  "--sysctl", "net.ipv4.ip_forward=1", "--sysctl", "kernel.msgmax=9000", "--read-only", "--init", IMAGE, "sh", "-c",
                  "test -c /dev/loop-control && echo 1; ulimit -n; cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax; "
                  "mknod /dev/made c 1 3 || echo refused; cat /proc/1/comm")
    assert out.split() == ["1", "100", "1", "9000", "refused", "docker-init"], out


def test_info(client):
    assert "name=userns" in client("info", "--format", "{{.SecurityOptions}}")


def test_containers_outlive_the_daemon_and_the_setting(etc, tmp_path):
    """Nothing on the disk belongs to a mapping: with and without it, images and containers are the same."""
    daemon = OpenDaemon(f"clpv{os.getpid()}")
    daemon.start()
    import_base(daemon)
    clipper = Client("clipper", PROGRAMS["clipper"], daemon)
    try:
        clipper("run", "-d", "--name", "old", IMAGE, "sh", "-c", "touch /before; chown 5:6 /before; exec sleep 1000")
        clipper("create", "--name", "privileged", "--privileged", IMAGE, "true")
        daemon.stop()
        daemon.options, daemon.before = ["--userns-remap", "daemon"], [*WITH_USERS, str(etc)]
        daemon.start()
        assert clipper("exec", "old", "cat", "/proc/self/uid_map").split()[1] == "0"
        clipper("restart", "-t", "0", "old")
        look = ["exec", "old", "sh", "-c", "sed 's/  */ /g' /proc/self/uid_map; stat -c %u:%g /before /bin/sh /etc/hosts; touch /etc/hosts /after"]
        assert clipper(*look).split() == [*MAP, "5:6", "0:0", "0:0"]
        assert "privileged mode is incompatible" in clipper.run("start", "privileged").err
        daemon.crash()
        assert clipper(*look).split()[:3] == MAP
        daemon.stop()
        daemon.options, daemon.before = [], []
        daemon.start()
        assert clipper(*look).split()[:3] == MAP
        clipper("restart", "-t", "0", "old")
        assert clipper(*look).split() == ["0", "0", "4294967295", "5:6", "0:0", "0:0"]
        clipper("start", "privileged")
    finally:
        clear(daemon)
        daemon.remove()


@pytest.mark.parametrize("setting, words", [
    ("nosuch", 'Error during uid lookup for "nosuch"'),
    ("4294967", "Uid 4294967 has no entry in /etc/passwd"),
    ("daemon:nosuch", 'Error during groupname lookup for "nosuch"'),
    ("a:b:c", 'Invalid user/group specification in --userns-remap: "a:b:c"'),
    ("bin", 'Can\'t create ID mappings: no subuid ranges found for user "bin"'),
])
def test_users_that_cannot_be(etc, tmp_path, setting, words):
    result = subprocess.run([*WITH_USERS, str(etc), "bin/clipperd", "--data-root", str(tmp_path / "data"), "--exec-root", str(tmp_path / "exec"), "-H",
                             f"unix://{tmp_path}/sock", "--pidfile", str(tmp_path / "pid"), "--userns-remap", setting],
                            capture_output=True, text=True, timeout=60)
    assert result.returncode != 0 and words in result.stderr, result.stderr


@pytest.mark.parametrize("setting, first", [("default", FIRST + 65536), ("1:1", FIRST), ("root", 0)])
def test_users_that_can_be(etc, setting, first, tmp_path):
    """`default` is made, with ids that nobody has."""
    copy = tmp_path / "etc"
    subprocess.run(["cp", "-a", f"{etc}/.", str(copy)], check=True)
    for name in ["subuid", "subgid"]:
        (copy / name).write_text(f"someone:100000:65536\ndaemon:{FIRST}:65536\n" if setting != "default" else f"someone:100000:{FIRST - 100000 + 65536}\n")
    daemon = OpenDaemon(f"clpw{os.getpid()}", ["--userns-remap", setting], [*WITH_USERS, str(copy)])
    try:
        daemon.start()
        import_base(daemon)
        clipper = Client("clipper", PROGRAMS["clipper"], daemon)
        assert clipper("run", "--rm", IMAGE, "cat", "/proc/self/uid_map").split()[1] == str(first)
        assert ("name=userns" in clipper("info", "--format", "{{.SecurityOptions}}")) == (setting != "root")
        if setting == "default":
            assert "dockremap:" in (copy / "passwd").read_text() and "dockremap:" in (copy / "group").read_text()
            for name in ["subuid", "subgid"]:
                assert f"dockremap:{first}:65536" in (copy / name).read_text()
    finally:
        clear(daemon)
        daemon.remove()
