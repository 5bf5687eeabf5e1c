"""checkpoint and restore. The same under runc where criu works; where it does not, that the failure is told.

criu of Debian 12 refuses kernels since 6.13 (their vDSO has one area more), so that on such a host only the ways to
fail are shown; `cgroup2-vm` has a kernel on which the rest runs.
"""

import json
import os
import signal
import subprocess

import pytest

from .harness import Result, find_program, wait_until

CRIU = find_program("criu")


def criu_works():
    if CRIU is None:
        return False
    return subprocess.run([CRIU, "check"], capture_output=True).returncode == 0


needs_criu = pytest.mark.skipif(not criu_works(), reason="`criu check` fails on this host")
COUNT = ["sh", "-c", "i=0; while true; do i=$((i + 1)); echo $i >/tmp/count; sleep 0.1; done"]


@pytest.fixture
def counter(make_container, runtime):
    """A container that counts in a file, on a writable root."""
    def writable(config):
        config["root"]["readonly"] = False
    made = make_container(runtime, COUNT, writable)
    up(made)
    wait_until(lambda: count(made) >= 2, what="the count")
    return made


def count(made):
    try:
        return int((made.bundle.rootfs / "tmp/count").read_text() or 0)
    except (FileNotFoundError, ValueError):
        return 0


def errors(log):
    """What criu's log complains of."""
    return [line for line in log.read_text().splitlines() if "Error" in line or "Warn" in line][-20:] if log.exists() else "no log"


def up(made):
    """Detached with the host's /dev/null as its streams: runc cannot save files and pipes of the outside."""
    made.bundle.save()
    arguments = made.runtime.arguments("run", "--detach", "--bundle", made.bundle.path, made.id)
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    assert subprocess.run(arguments, **streams, timeout=60).returncode == 0
    made.images = made.bundle.path / "images"


def checkpoint(made, *options):
    return made.runtime("checkpoint", "--image-path", made.images, *options, made.id)


def restore(made, *options):
    arguments = made.runtime.arguments(
        "restore", "--detach", "--bundle", made.bundle.path, "--image-path", made.images, *options, made.id)
    # criu insists on the same sort of file for a stream that runc does not take over.
    done = subprocess.run(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
    return Result(arguments, done.returncode, b"", b"")


@needs_criu
def test_goes_on_where_it_was(counter, tmp_path):
    result = checkpoint(counter, "--work-path", tmp_path)
    assert result.code == 0, (result, errors(tmp_path / "dump.log"))
    assert counter.status is None, "a checkpoint ends the container"
    assert (tmp_path / "dump.log").exists() and (counter.images / "inventory.img").exists()
    before = count(counter)
    result = restore(counter, "--work-path", tmp_path, "--pid-file", tmp_path / "pid")
    assert result.code == 0, (result, errors(tmp_path / "restore.log"))
    assert counter.status == "running"
    assert int((tmp_path / "pid").read_text()) == counter.pid
    wait_until(lambda: count(counter) > before, what="the count to go on")
    assert counter.exec("cat", "/tmp/count").code == 0
    assert str(counter.pid) in (counter.cgroup("pids") / "cgroup.procs").read_text().split()
    assert counter.kill().code == 0
    counter.wait_for("stopped")
    assert counter.delete().code == 0


@needs_criu
def test_streams_are_taken_over(container, tmp_path):
    """Pipes: after the restore they are the streams of `restore`."""
    made = container(["sh", "-c", "i=0; while true; do i=$((i + 1)); echo out$i; echo err$i >&2; sleep 0.1; done"])
    made.images = tmp_path / "images"
    out, err = os.pipe(), os.pipe()
    arguments = made.runtime.arguments("run", "--detach", "--bundle", made.bundle.path, made.id)
    subprocess.run(arguments, stdin=subprocess.DEVNULL, stdout=out[1], stderr=err[1], check=True)
    assert (os.read(out[0], 4), os.read(err[0], 4)) == (b"out1", b"err1")
    result = checkpoint(made)
    assert result.code == 0, (result, errors(made.images / "dump.log"))
    for descriptor in out + err:
        os.close(descriptor)
    with open(tmp_path / "second", "wb") as out, open(tmp_path / "third", "wb") as err:
        arguments = made.runtime.arguments(
            "restore", "-d", "--bundle", made.bundle.path, "--image-path", made.images, "--work-path", tmp_path, made.id)
        done = subprocess.run(arguments, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        assert done.returncode == 0, errors(tmp_path / "restore.log")
    wait_until(lambda: (tmp_path / "second").stat().st_size and (tmp_path / "third").stat().st_size, what="output after the restore")


@needs_criu
def test_hooks_and_terminal(container, tmp_path):
    """The hooks of a new container run at a restore too; the terminal's master goes to the console socket."""
    import array
    import socket
    record = tmp_path / "record"
    hook = tmp_path / "hook"
    hook.write_text(f'#!/bin/sh\necho "$1 $(cat | tr -d " ")" >>{record}\n')
    hook.chmod(0o755)

    def edit(config):
        config["process"]["terminal"] = True
        config["hooks"] = {point: [{"path": str(hook), "args": ["hook", point]}]
                           for point in ("prestart", "createRuntime", "poststart", "poststop")}
    made = container(["sh", "-c", "while read line; do echo got-$line; done"], edit)
    made.images = tmp_path / "images"

    def console():
        connection, _ = listener.accept()
        with connection:
            _, ancillary, _, _ = connection.recvmsg(100, socket.CMSG_SPACE(4))
        numbers = array.array("i")
        numbers.frombytes(ancillary[0][2])
        return numbers[0]

    def answer(master, word):
        os.write(master, word.encode() + b"\n")
        seen = b""
        while b"got-" + word.encode() not in seen:
            seen += os.read(master, 1000)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        listener.listen()
        listener.settimeout(60)
        made.up("--console-socket", tmp_path / "socket")
        master = console()
        answer(master, "one")
        result = checkpoint(made)
        os.close(master)
        assert result.code == 0, (result, errors(made.images / "dump.log"))
        record.write_text("")
        result = restore(made, "--console-socket", tmp_path / "socket")
        assert result.code == 0, (result, errors(made.images / "restore.log"))
        master = console()
        answer(master, "two")
        assert [line.split()[0] for line in record.read_text().splitlines()] == ["prestart", "createRuntime", "poststart"]
        assert f'"pid":{made.pid},' in record.read_text()
        # The end of the terminal would end the container.
        os.close(master)


@needs_criu
def test_leave_running(counter):
    result = checkpoint(counter, "--leave-running")
    assert result.code == 0, (result, errors(counter.images / "dump.log"))
    assert counter.status == "running"
    before = count(counter)
    wait_until(lambda: count(counter) > before, what="the count to go on")


@needs_criu
def test_pre_dump_and_parent(counter):
    images = counter.images
    counter.images = images / "first"
    result = checkpoint(counter, "--pre-dump")
    assert result.code == 0, result
    assert counter.status == "running"
    assert list(counter.images.glob("pages-*.img"))
    counter.images = images / "second"
    result = checkpoint(counter, "--parent-path", "../first")
    assert result.code == 0, result
    assert os.readlink(counter.images / "parent") == "../first"
    before = count(counter)
    result = restore(counter)
    assert result.code == 0, (result, errors(counter.images / "restore.log"))
    wait_until(lambda: count(counter) > before, what="the count to go on")


@needs_criu
def test_bind_mount_and_fresh_root(make_container, runtime, scope, undo):
    """What is bound in is taken from the host again; mount points are made in a root that no container ran in."""
    shared = scope.scratch / scope.name("shared")
    shared.mkdir()
    undo(lambda: subprocess.run(["rm", "-r", str(shared)]))

    def bind(config):
        config["mounts"].append({"destination": "/shared/here", "type": "bind", "source": str(shared), "options": ["rbind"]})
        config["root"]["readonly"] = False
    made = make_container(runtime, ["sh", "-c", "while true; do date >/shared/here/now; sleep 0.1; done"], bind)
    up(made)
    now = shared / "now"
    wait_until(now.exists, what="the file")
    result = checkpoint(made)
    assert result.code == 0, (result, errors(made.images / "dump.log"))
    subprocess.run(["rm", "-r", str(made.bundle.rootfs / "shared")], check=True)
    now.unlink()
    result = restore(made)
    assert result.code == 0, (result, errors(made.images / "restore.log"))
    wait_until(now.exists, what="the file after the restore")


@needs_criu
def test_bind_mounts_by_links_and_in_each_other(make_container, runtime, scope, undo):
    """A destination and a source that are links; a mount point inside another bind mount, which its source has lost."""
    outer = scope.scratch / scope.name("outer")
    inner = scope.scratch / scope.name("inner")
    link = scope.scratch / scope.name("link")
    for path in (outer, inner):
        path.mkdir()
    (outer / "file").write_text("")
    link.symlink_to(inner)
    undo(lambda: subprocess.run(["rm", "-r", str(outer), str(inner), str(link)]))

    def bind(config):
        config["root"]["readonly"] = False
        config["mounts"] += [
            {"destination": destination, "type": "bind", "source": str(source), "options": ["rbind"]}
            for destination, source in [("/link", outer), ("/link/for/nested", link), ("/link/file", "/etc/passwd")]]
    made = make_container(runtime, ["sh", "-c", "while true; do date >/real/place/for/nested/now; sleep 0.1; done"], bind)
    (made.bundle.rootfs / "real/place").mkdir(parents=True)
    (made.bundle.rootfs / "link").symlink_to("/real/place")
    up(made)
    now = inner / "now"
    wait_until(now.exists, what="the file")
    result = checkpoint(made)
    assert result.code == 0, (result, errors(made.images / "dump.log"))
    subprocess.run(["rm", "-r", str(outer / "for"), str(now)], check=True)
    result = restore(made)
    assert result.code == 0, (result, errors(made.images / "restore.log"))
    wait_until(now.exists, what="the file after the restore")
    assert not (outer / "for/nested/now").exists(), "the mount point is the host's, what is mounted there the container's"
    assert made.exec("head", "-n", "1", "/link/file").out.startswith("root:")


@needs_criu
def test_further_processes_are_saved_again(counter):
    """A process that enters a restored container is in the time namespace that criu gave it, or could not be restored with it."""
    for number in range(2):
        result = checkpoint(counter, "--manage-cgroups-mode", "ignore")
        assert result.code == 0, (result, errors(counter.images / "dump.log"))
        result = restore(counter, "--manage-cgroups-mode", "ignore")
        assert result.code == 0, (number, result, errors(counter.images / "restore.log"))
        if number:
            assert counter.exec("cat", f"/proc/{further}/comm").out == "sleep\n"
        further = counter.exec("sh", "-c", "setsid sleep 1000 </dev/null >/dev/null 2>&1 & echo $!").out.strip()


@needs_criu
def test_options_of_a_file_that_the_container_names(make_container, runtime, tmp_path):
    options = tmp_path / "options"
    options.write_text("log-file=of-the-file.log\n")

    def annotate(config):
        config["annotations"] = {"org.criu.config": str(options)}
        config["root"]["readonly"] = False
    made = make_container(runtime, COUNT, annotate)
    up(made)
    result = checkpoint(made)
    assert result.code == 0, result
    log = made.images / "of-the-file.log"
    assert log.exists() and not (made.images / "dump.log").exists()
    log.unlink()
    result = restore(made)
    assert result.code == 0, result
    assert log.exists() and not (made.images / "restore.log").exists()


@needs_criu
def test_foreground_restore_gives_the_exit_code(make_container, runtime):
    made = make_container(runtime, ["sh", "-c", "trap 'exit 7' TERM; while true; do sleep 0.1; done"])
    up(made)
    assert checkpoint(made).code == 0
    process = made.runtime.spawn(
        "restore", "--bundle", made.bundle.path, "--image-path", made.images, made.id,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: made.status == "running" or process.poll() is not None, what="the restore")
    assert process.poll() is None, errors(made.images / "restore.log")
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 7
    assert made.status is None


def test_without_criu(container, tmp_path):
    made = container(["sleep", "1000"]).up()
    made.images = tmp_path / "images"
    result = made.runtime("checkpoint", "--image-path", made.images, made.id, options=["--criu", "no-such-criu"])
    assert result.code == 1
    assert result.err == ("clipper-runtime: checkpoint and restore need criu, and there is no program no-such-criu: "
                          "install it, or name it with --criu\n")
    assert made.status == "running"


def test_restore_without_criu_leaves_nothing(container, tmp_path):
    made = container(["sleep", "1000"])
    (tmp_path / "descriptors.json").write_text(json.dumps(["/dev/null"] * 3))
    result = made.runtime("restore", "--detach", "--image-path", tmp_path, "--bundle", made.bundle.path, made.id,
                          options=["--criu", "/no/criu"])
    assert result.code == 1 and "need criu" in result.err, result
    assert made.status is None and not made.cgroup("pids").exists()


@pytest.mark.skipif(CRIU is None or criu_works(), reason="criu is not installed, or works here")
def test_failure_of_criu_is_told(container, tmp_path):
    made = container(["sleep", "1000"]).up()
    result = made.runtime("checkpoint", "--image-path", tmp_path / "images", "--work-path", tmp_path / "work", made.id)
    assert result.code == 1
    assert len(result.err.splitlines()) == 1 and "criu" in result.err and str(tmp_path / "work") in result.err, result
    assert made.status == "running"


@pytest.mark.parametrize(("options", "words"), [
    (["--manage-cgroups-mode", "hard"], "soft, full, strict or ignore"),
    (["--empty-ns", "uts"], "is not network"),
    (["--page-server", "nowhere"], "address:port"),
    (["--lazy-pages"], "needs --page-server"),
    (["--parent-path", "/first"], "is not relative"),
    (["--pre-dump", "--parent-path", "../nothing"], "no such file or directory"),
])
def test_wrong_options(container, tmp_path, options, words):
    made = container(["sleep", "1000"]).up()
    result = made.runtime("checkpoint", "--image-path", tmp_path / "images", *options, made.id)
    assert result.code == 1 and words in result.err and len(result.err.splitlines()) == 1, result
    assert made.status == "running"


def test_only_running_containers(container):
    made = container(["sleep", "1000"])
    assert made.create().code == 0
    result = made.runtime("checkpoint", made.id)
    assert result.code == 1 and "created state" in result.err, result


def test_restore_of_no_checkpoint(container, tmp_path):
    made = container()
    for path, words in [(tmp_path / "nothing", "open image path"), (tmp_path, "is it a checkpoint?")]:
        result = made.runtime("restore", "--image-path", path, "--bundle", made.bundle.path, made.id)
        assert result.code == 1 and words in result.err and len(result.err.splitlines()) == 1, result
        assert made.status is None
