"""docker cp: its rules for paths, in both directions, on running and on stopped containers; owners; and links that lie."""

import gzip
import http.client
import io
import os
import pathlib
import signal
import subprocess
import tarfile
import threading

import pytest

from harness import IMAGE, UnixConnection, wait_until

# In the container, and on the host, the same tree.
TREE = "mkdir -p d/sub full/d; echo file >f; echo sub >d/sub/s; echo in >d/i; ln -s f link; ln -s d dlink; ln -s nowhere broken; echo old >full/f"


@pytest.fixture(params=["running", "stopped"])
def place(request, clipper, name):
    """A container with the tree in /w: `sh` runs a script in it and gives what it says."""
    clipper("run", "-d", "--name", name, "-w", "/w", IMAGE, "sh", "-c", f"{TREE}; chown -R 33:10 d; echo ready; exec sleep 1000")
    subprocess.run(["sh", "-c", f"until {clipper.program} -H {clipper.daemon.host} logs {name} | grep -q ready; do sleep 0.05; done"],
                   check=True, timeout=20)
    if request.param == "stopped":
        clipper("kill", name)
    return name


@pytest.fixture
def tree(tmp_path):
    here = tmp_path / "w"
    here.mkdir()
    subprocess.run(["sh", "-c", TREE], cwd=here, check=True)
    return here


def listing(directory):
    """Every path below a directory, and what is there."""
    found = {}
    for root, directories, files in os.walk(directory):
        for entry in directories + files:
            path = os.path.join(root, entry)
            relative = os.path.relpath(path, directory)
            found[relative] = "-> " + os.readlink(path) if os.path.islink(path) else "dir" if os.path.isdir(path) else open(path).read().strip()
    return found


# From, to, and what is at the destination then; None: the copy fails, with these words.
RULES = [
    ("f", "new", {"new": "file"}),
    ("f", "full", {"full/f": "file"}),
    ("f", "full/", {"full/f": "file"}),
    ("f", "full/f", {"full/f": "file"}),
    ("f", "missing/", None),
    ("f", "missing/f", None),
    ("d", "new", {"new": "dir", "new/i": "in", "new/sub/s": "sub"}),
    ("d", "new/", {"new": "dir", "new/i": "in"}),
    ("d/.", "new", {"new": "dir", "new/i": "in"}),
    ("d", "full", {"full/d/i": "in", "full/d/sub/s": "sub", "full/f": "old"}),
    ("d/", "full", {"full/d/i": "in"}),
    ("d/.", "full", {"full/i": "in", "full/sub/s": "sub", "full/f": "old"}),
    ("d", "f", None),
    ("link", "new", {"new": "-> f"}),
    ("dlink", "new", {"new": "-> d"}),
    ("dlink/", "new", {"new": "dir", "new/i": "in"}),
    ("broken", "new", {"new": "-> nowhere"}),
    ("f", "dlink", {"d/f": "file"}),
    ("f", "link", {"f": "file", "link": "-> f"}),
    ("missing", "new", None),
]


@pytest.mark.parametrize("source, target, expected", RULES, ids=[f"{a}-to-{b}".replace("/", "_") for a, b, _ in RULES])
def test_rules_out_of_a_container(cli, place, tree, source, target, expected):
    result = cli.run("cp", f"{place}:/w/{source}", f"{tree}/{target}")
    assert (result.code == 0) == (expected is not None), result
    assert expected is None or expected.items() <= listing(tree).items()


@pytest.mark.parametrize("source, target, expected", RULES, ids=[f"{a}-to-{b}".replace("/", "_") for a, b, _ in RULES])
def test_rules_into_a_container(cli, clipper, place, tree, tmp_path, source, target, expected):
    result = cli.run("cp", f"{tree}/{source}", f"{place}:/w/{target}")
    assert (result.code == 0) == (expected is not None), result
    after = tmp_path / "after"
    clipper("cp", f"{place}:/w", after)
    assert expected is None or expected.items() <= listing(after).items()


def owners(cli, place, path):
    archive = tarfile.open(fileobj=io.BytesIO(cli.run("cp", f"{place}:{path}", "-").stdout))
    return {member.name: (member.uid, member.gid) for member in archive}


def test_owners(cli, clipper, name, tree):
    """Into a container files stay whose they were, with -a they are the container's user's; out of it they are the caller's."""
    clipper("run", "-d", "--name", name, "-u", "33:10", IMAGE, "sleep", "1000")
    for path in [tree / "d", tree / "d/i", tree / "d/sub", tree / "d/sub/s"]:
        os.chown(path, 1234, 5678)
    cli("cp", f"{tree}/d", f"{name}:/plain")
    assert set(owners(cli, name, "/plain").values()) == {(1234, 5678)}
    cli("cp", "-a", f"{tree}/d", f"{name}:/own")
    assert set(owners(cli, name, "/own").values()) == {(33, 10)}
    cli("cp", "-a", f"{name}:/own", tree / "out")
    status = (tree / "out/i").stat()
    assert (status.st_uid, status.st_gid) == (os.geteuid(), os.getegid())


def test_streams(cli, place):
    archive = cli.run("cp", f"{place}:/w/d", "-").stdout
    assert {"d", "d/i", "d/sub", "d/sub/s"} == {name.rstrip("/") for name in tarfile.open(fileobj=io.BytesIO(archive)).getnames()}
    cli("cp", "-", f"{place}:/tmp", input=archive)
    assert cli("cp", f"{place}:/tmp/d/i", "-") != ""


def test_links_that_lead_out_stay_inside(cli, place, tree):
    """An absolute link in a container leads to the container's own file, in both directions."""
    evil = tree / "evil"
    evil.mkdir()
    os.symlink("/etc", evil / "etc")
    cli("cp", f"{evil}/etc", f"{place}:/w/etc")
    secret = tree / "passwd"
    secret.write_text("copied in")
    cli("cp", secret, f"{place}:/w/etc/passwd2")
    assert not os.path.exists("/etc/passwd2")
    cli("cp", f"{place}:/w/etc/passwd2", tree / "back")
    assert (tree / "back").read_text() == "copied in"
    cli("cp", f"{place}:/etc/passwd2", tree / "same")
    assert (tree / "same").read_text() == "copied in"


def test_a_read_only_container_takes_nothing(cli, clipper, name, tree):
    clipper("run", "-d", "--name", name, "--read-only", "--tmpfs", "/tmp", IMAGE, "sleep", "1000")
    result = cli.run("cp", tree / "f", f"{name}:/f")
    assert result.code == 1 and "container rootfs is marked read-only" in result.err
    cli("cp", f"{name}:/etc/os-release", tree / "release")


def test_swapped_links_do_not_lead_out(daemon, clipper, name, tmp_path):
    """A container swaps a directory for a link to the host's while files are copied into it and out of it: what is written lands
    in the container, what is read comes from there."""
    target = tmp_path / "host"
    target.mkdir()
    (target / "secret").write_text("the host's")
    script = f"mkdir -p {target} /w/dir; echo own >/w/dir/secret; ln -s {target} /w/link; echo ready; " \
        "cd /w; while :; do mv dir keep; mv link dir; mv dir link; mv keep dir; done"
    clipper("run", "-d", "--name", name, IMAGE, "sh", "-c", script)
    while "ready" not in clipper("logs", name):
        pass
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo("planted")
        entry.size = 4
        archive.addfile(entry, io.BytesIO(b"evil"))
    answers, leaked = {"in": set(), "out": set()}, []

    def work(way):
        for _ in range(120):
            if way == "in":
                answers[way].add(daemon.request("PUT", f"/containers/{name}/archive?path=/w/dir", buffer.getvalue())[0])
            else:
                try:
                    status, body = daemon.request("GET", f"/containers/{name}/archive?path=/w/dir/secret")
                except http.client.IncompleteRead as cut:
                    # What was being packed was swapped after the headers: the stream breaks, as it must.
                    status, body = 200, cut.partial
                answers[way].add(status)
                if b"the host's" in body:
                    leaked.append(body)

    threads = [threading.Thread(target=work, args=(way,)) for way in ("in", "out")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not leaked
    assert os.listdir(target) == ["secret"] and (target / "secret").read_text() == "the host's"
    assert 200 in answers["in"] and answers["in"] | answers["out"] <= {200, 400, 404, 500}


READS = [("HEAD", "archive?path=/etc"), ("GET", "archive?path=/etc"), ("GET", "archive?path=/etc/group"), ("GET", "export")]


def reading(daemon, name, answers):
    """Threads that read the container's files at once, and note the statuses, or how an answer breaks off."""
    def work(method, path):
        try:
            answers.append(daemon.request(method, f"/containers/{name}/{path}")[0])
        except (OSError, http.client.HTTPException) as error:
            answers.append(type(error).__name__)

    threads = [threading.Thread(target=work, args=read) for read in READS * 2]
    for thread in threads:
        thread.start()
    return threads


def test_copies_at_the_moment_of_the_end(daemon, clipper, name):
    """The files are there, behind the process or in the layers, whoever is first."""
    answers = []
    for turn in range(12):
        clipper("run", "-d", "--name", name, IMAGE, "sh", "-c", f"sleep 0.0{turn % 6}")
        threads = reading(daemon, name, answers)
        clipper("wait", name)
        for thread in threads:
            thread.join()
        clipper("rm", name)
    assert set(answers) == {200}


def test_copies_at_the_moment_of_the_start(daemon, clipper, name):
    """A stopped container is read by many at once, and what is mounted to read it takes nothing from its own mount."""
    answers = []
    script = "for i in 1 2 3 4 5 6 7 8; do sleep 0.02; cp /etc/passwd /etc/p && rm /etc/passwd && mv /etc/p /etc/passwd && " \
        "echo >>/etc/group || exit 9; done"
    clipper("create", "--name", name, IMAGE, "sh", "-c", script)
    for _ in range(8):
        threads = reading(daemon, name, answers)
        clipper("start", name)
        threads += reading(daemon, name, answers)
        assert clipper("wait", name) == "0", clipper("logs", name)
        for thread in threads:
            thread.join()
    assert set(answers) == {200}


def test_a_start_waits_for_what_is_copied_in(daemon, clipper, name):
    """Who writes into a stopped container has it to himself; who reads does not hold up the start."""
    clipper("create", "--name", name, IMAGE, "cat", "/late")
    reader, writer = os.pipe()
    copy = subprocess.Popen(
        ["curl", "-s", "-X", "PUT", "-T", "-", "--unix-socket", daemon.socket, f"http://d/containers/{name}/archive?path=/"], stdin=reader)
    os.close(reader)
    try:
        data = archive(late=b"here")
        os.write(writer, data[:512])
        wait_until(lambda: "rootfs" in subprocess.check_output(["ps", "-eo", "args"], text=True), what="the copy")
        start = threading.Thread(target=lambda: clipper("start", name))
        start.start()
        start.join(0.5)
        assert start.is_alive()
        os.write(writer, data[512:])
    finally:
        os.close(writer)
    assert copy.wait() == 0
    start.join()
    assert clipper("wait", name) == "0" and clipper("logs", name) == "here"


def archive(**files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path, data in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


@pytest.mark.parametrize("pack", [lambda data: data, gzip.compress, lambda data: subprocess.check_output(["zstd", "-c"], input=data)],
                         ids=["plain", "gzip", "zstd"])
def test_archives_come_packed_or_not(daemon, clipper, name, tmp_path, pack):
    clipper("create", "--name", name, IMAGE, "true")
    data = os.urandom(3 << 20)
    status, answer = daemon.request("PUT", f"/containers/{name}/archive?path=/tmp", pack(archive(big=data)))
    assert status == 200, answer
    clipper("cp", f"{name}:/tmp/big", tmp_path / "big")
    assert (tmp_path / "big").read_bytes() == data


def test_a_damaged_packing_is_the_clients_fault(daemon, clipper, name):
    clipper("create", "--name", name, IMAGE, "true")
    packed = gzip.compress(archive(big=os.urandom(1 << 20)))
    status, answer = daemon.request("PUT", f"/containers/{name}/archive?path=/tmp", packed[:len(packed) // 2])
    assert status == 400 and answer["message"] == "unexpected end of gzip data"


@pytest.mark.parametrize("terminated", [False, True], ids=["running", "stopped"])
def test_a_mounted_file_is_not_replaced(clipper, name, tmp_path, terminated):
    """As with Docker: the mount stays, and what is below it too."""
    (tmp_path / "theirs").write_text("theirs")
    (tmp_path / "new").write_text("new")
    clipper("run", "-d", "--name", name, "-v", f"{tmp_path}/theirs:/mounted", IMAGE, "sleep", "1000")
    if terminated:
        clipper("kill", name)
    for place in ["/mounted", "/etc/hosts"]:
        result = clipper.run("cp", tmp_path / "new", f"{name}:{place}")
        assert result.code == 1 and "device or resource busy" in result.err
    if terminated:
        clipper("start", name)
    assert clipper("exec", name, "cat", "/mounted") == "theirs"
    assert "localhost" in clipper("exec", name, "cat", "/etc/hosts")


def test_all_of_a_running_container(cli, name, tmp_path):
    """The kernel's own filesystems are no files of it: their directories are empty, as with Docker, and what comes after them is there."""
    cli("run", "-d", "--name", name, "-v", f"{name}:/vol", IMAGE, "sh", "-c", "echo of volume >/vol/f; echo last >/zz; exec sleep 1000")
    wait_until(lambda: cli.run("exec", name, "test", "-e", "/zz").code == 0)
    (tmp_path / "all.tar").write_bytes(cli.run("cp", f"{name}:/", "-").stdout)
    files = tarfile.open(tmp_path / "all.tar")
    names = {member.name.removeprefix("./") for member in files}
    assert {"proc", "sys", "dev/pts", "vol/f", "zz"} <= names
    assert not [entry for entry in names if entry.startswith(("proc/", "sys/", "dev/pts/"))]
    (tmp_path / "proc.tar").write_bytes(cli.run("cp", f"{name}:/proc", "-").stdout)
    assert tarfile.open(tmp_path / "proc.tar").getnames() == ["proc"]


@pytest.mark.parametrize("way", ["archive?path=/w", "export"])
def test_a_torn_archive_does_not_pass_for_a_whole_one(daemon, clipper, name, way):
    """The helper that packs is killed: the answer breaks off, and does not just end."""
    clipper("run", "-d", "--name", name, IMAGE, "sh", "-c", "mkdir /w; dd if=/dev/zero of=/w/big bs=1M count=64; sleep 1000")
    wait_until(lambda: "64+0 records out" in clipper.run("logs", name).err)
    connection = UnixConnection(daemon.socket)
    connection.request("GET", f"/containers/{name}/{way}")
    answer = connection.getresponse()
    assert answer.status == 200 and answer.read(1 << 20)
    packing = [int(entry.name) for entry in pathlib.Path("/proc").glob("[0-9]*") if is_helper_of(entry, daemon)]
    assert len(packing) == 1
    os.kill(packing[0], signal.SIGKILL)
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        answer.read()
    connection.close()


def is_helper_of(process, daemon):
    try:
        status = (process / "status").read_text()
        return b"rootfs" in (process / "cmdline").read_bytes().split(b"\0") and f"PPid:\t{daemon.pid}\n" in status
    except OSError:
        return False


def test_export_and_changes(cli, clipper, place, tmp_path):
    out = tmp_path / "all.tar"
    cli("export", "-o", out, place)
    names = {member.name.rstrip("/").removeprefix("./") for member in tarfile.open(out)}
    assert {"w/f", "w/d/sub/s", "etc/passwd", "bin/busybox"} <= names
    assert {"A /w", "A /w/f", "A /w/d/sub/s", "A /w/link"} <= set(cli("diff", place).splitlines())


# MARK: Mounts of a container that does not run

def test_volumes_of_a_stopped_container(cli, name, tmp_path):
    """Before its first start, and after its end: what is copied goes where the container finds it."""
    (tmp_path / "f").write_text("text")
    (tmp_path / "host").mkdir()
    (tmp_path / "host" / "theirs").write_text("theirs")
    cli("build", "-t", f"{name}-image", "-", input=f"FROM {IMAGE}\nRUN mkdir /vol && echo of image >/vol/given\nVOLUME /anonymous\n".encode())
    cli("create", "--name", name, "-v", f"{name}:/vol", "-v", f"{tmp_path}/host:/new/host", f"{name}-image", "sh", "-c", "cat /vol/f /anonymous/f /new/host/f; rm /vol/f")
    for place in ["/vol", "/anonymous/f", "/new/host"]:
        cli("cp", tmp_path / "f", f"{name}:{place}")
    assert (tmp_path / "host" / "f").read_text() == "text"
    for place, expected in [("/vol/given", "of image\n"), ("/new/host/theirs", "theirs"), ("/anonymous/f", "text")]:
        cli("cp", f"{name}:{place}", tmp_path / "out")
        assert (tmp_path / "out").read_text() == expected
    assert cli("start", "-a", name) == "texttexttext"
    assert cli.run("cp", f"{name}:/vol/f", tmp_path / "gone").code == 1
    cli("cp", tmp_path / "f", f"{name}:/vol/again")
    assert cli("run", "--rm", "-v", f"{name}:/v", IMAGE, "ls", "/v").split() == ["again", "given"]
    # The network's files are mounted, and no part of the container's own.
    result = cli.run("cp", tmp_path / "f", f"{name}:/etc/hosts")
    assert result.code == 1 and "device or resource busy" in result.err
    assert not [line for line in cli("diff", name).splitlines() if line.endswith(("/f", "/given", "/hosts"))]


def test_a_volume_in_use_for_a_copy_is_let_go(clipper, name, tmp_path):
    (tmp_path / "f").write_text("text")
    clipper("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", name)
    clipper("create", "--name", name, "-v", f"{name}:/vol", IMAGE, "true")
    clipper("cp", tmp_path / "f", f"{name}:/vol/f")
    mountpoint = clipper("volume", "inspect", "-f", "{{.Mountpoint}}", name)
    assert mountpoint not in open("/proc/self/mountinfo").read()
    clipper("rm", name)
    clipper("volume", "rm", name)


def test_a_mount_whose_source_is_gone(clipper, name, tmp_path):
    (tmp_path / "f").write_text("text")
    (tmp_path / "host").mkdir()
    clipper("create", "--name", name, "--mount", f"type=bind,src={tmp_path}/host,dst=/h", IMAGE, "true")
    (tmp_path / "host").rmdir()
    result = clipper.run("cp", tmp_path / "f", f"{name}:/f")
    assert result.code == 1 and f"mount {tmp_path}/host on /h: no such file or directory" in result.err


def test_read_only_mounts_of_a_stopped_container_stay_so(cli, name, tmp_path):
    """However the copy comes there: as a part of a tree, or by a link."""
    host, tree = tmp_path / "host", tmp_path / "tree"
    for directory in [host, tree / "data"]:
        directory.mkdir(parents=True)
    (host / "f").write_text("old")
    (tree / "data/f").write_text("new")
    cli("run", "--name", name, "-v", f"{host}:/data:ro", IMAGE, "ln", "-s", "/data", "/in")
    for source, target in [(f"{tree}/.", "/"), (f"{tree}/data/f", "/in/"), (f"{tree}/data/f", "/data/f")]:
        result = cli.run("cp", source, f"{name}:{target}")
        assert result.code != 0 and (host / "f").read_text() == "old" and os.listdir(host) == ["f"], (target, result)
    assert tarfile.open(fileobj=io.BytesIO(cli.run("cp", f"{name}:/in/f", "-").stdout)).getnames() == ["f"]


def test_part_of_an_image_in_a_stopped_container(clipper, name):
    clipper("create", "--name", name, "--mount", f"type=image,source={IMAGE},target=/part,image-subpath=etc", IMAGE, "true")
    for path in ["/etc/passwd", "/part/passwd"]:
        assert tarfile.open(fileobj=io.BytesIO(clipper.run("cp", f"{name}:{path}", "-").stdout)).getnames() == ["passwd"]
    assert clipper.run("cp", "/etc/hostname", f"{name}:/part/x").code != 0


def test_a_process_with_a_user_namespace_of_its_own(clipper, name):
    clipper("run", "-d", "--name", name, "--security-opt", "seccomp=unconfined", "--cap-add", "SYS_ADMIN", IMAGE,
            "sh", "-c", "echo 1 >/f; chown 5:6 /f; exec unshare -U sleep 1000")
    subprocess.run(["sh", "-c", f"until {clipper.program} -H {clipper.daemon.host} top {name} | grep -q 'sleep 1000'; do sleep 0.05; done"],
                   check=True, timeout=20)
    member, = tarfile.open(fileobj=io.BytesIO(clipper.run("cp", f"{name}:/f", "-").stdout)).getmembers()
    assert (member.uid, member.gid) == (5, 6)
