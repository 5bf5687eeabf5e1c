"""The attacks that OCI runtimes have fallen for since 2019, tried: one test or more for each.

Where a test can tell (`reached`), it makes sure that the attack came as far as the runtime's defence.
"""

import array
import hashlib
import os
import shutil
import socket
import subprocess
import threading

import pytest

from .harness import PROGRAM, Runtime, wait_until

BUSYBOX_LOOP = """
while :; do
  for p in /proc/[0-9]*; do
    case "$(readlink $p/exe)" in *runtime*|*/fd/*|/) exec 9<$p/exe && echo reached && break 2;; esac
  done
done 2>/dev/null
while [ -e /waiting ]; do sleep 0.05; done
if echo pwned >/proc/self/fd/9; then echo WRITTEN; fi
echo done
"""


@pytest.fixture
def own_copy(scope, tmp_path):
    """A runtime whose file the attack may hit."""
    program = tmp_path / "clipper-runtime"
    shutil.copy(PROGRAM, program)
    tmp_path.chmod(0o755)
    return Runtime("clipper", [program], scope.scratch / "root-clipper"), program


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def plain(config):
    config["root"]["readonly"] = False


def drop(config, *destinations):
    config["mounts"] = [m for m in config["mounts"] if not any(m["destination"] == d or m["destination"].startswith(d + "/") for d in destinations)]


# CVE-2019-5736: the host's runtime overwritten through /proc/<pid>/exe.

@pytest.mark.parametrize("how", ["direct", "link"])
def test_5736_the_program_cannot_be_overwritten(make_container, own_copy, how):
    runtime, program = own_copy
    before = digest(program)
    made = make_container(runtime, ["sh", "-c", BUSYBOX_LOOP], plain)
    (made.bundle.rootfs / "waiting").touch()
    (made.bundle.rootfs / "link").symlink_to("/proc/self/exe")
    log = made.bundle.path / "log"
    with open(log, "wb") as out:
        made.bundle.save()
        process = runtime.spawn("run", "--bundle", made.bundle.path, made.id, stdout=out, stderr=out)
        try:
            wait_until(lambda: made.status == "running", what="the container")
            # What stays in the container is the runtime's own file: `init` of it waits for its child.
            program_in_container = {"direct": "/proc/self/exe", "link": "/link"}[how]
            pid_file = made.bundle.path / "pid"
            result = made.exec(program_in_container, "init", "sleep", "1000", options=["--detach", "--pid-file", pid_file])
            assert result.code == 0, result
            wait_until(lambda: "reached" in log.read_text(), what="the open descriptor")
            os.kill(int(pid_file.read_text()), 9)
            (made.bundle.rootfs / "waiting").unlink()
            wait_until(lambda: "done" in log.read_text(), what="the attack")
        finally:
            made.delete(force=True)
            process.kill()
            process.wait()
    text = log.read_text()
    assert "WRITTEN" not in text and digest(program) == before
    assert "Read-only file system" in text or "Text file busy" in text, text


def test_5736_create_leaves_no_writable_program(make_container, own_copy):
    """Between create and start the container's process is the runtime's program, and nothing keeps it busy later."""
    runtime, program = own_copy
    made = make_container(runtime, ["/proc/self/exe", "init", "sleep", "1000"], plain)
    assert made.create().code == 0
    pid = made.pid
    made.start()
    wait_until(lambda: b"sleep" in open(f"/proc/{pid}/cmdline", "rb").read(), what="the container's program")
    number = os.open(f"/proc/{pid}/exe", os.O_PATH)
    try:
        assert os.fstat(number).st_ino == program.stat().st_ino
        made.kill()
        made.wait_for("stopped")
        with pytest.raises(OSError) as refusal:
            os.open(f"/proc/self/fd/{number}", os.O_WRONLY)
        assert refusal.value.errno == 30  # EROFS
    finally:
        os.close(number)


# CVE-2019-16884, CVE-2019-19921: a false /proc, by which the label is written to the image's file.

@pytest.mark.parametrize("destination", ["/proc/self/attr", "/proc", "/proc/sys/net/ipv4", "/proc/self"])
def test_16884_nothing_is_mounted_over_procfs(container, tmp_path, destination):
    made = container(["true"], lambda config: config["mounts"].append(
        {"destination": destination, "source": str(tmp_path), "type": "bind", "options": ["bind"]}))
    result = made.run()
    assert result.code == 1 and "inside procfs" in result.err, result


@pytest.mark.parametrize("kind", ["image", "volume", "tmpfs"])
def test_16884_a_false_proc_takes_no_writes(container, tmp_path, kind):
    def edit(config):
        drop(config, "/proc")
        config["linux"].update(sysctl={"net.ipv4.ip_forward": "1"}, maskedPaths=[], readonlyPaths=[])
        if kind != "image":
            config["mounts"].insert(0, {"destination": "/proc", "source": str(tmp_path), "type": "bind" if kind == "volume" else "tmpfs", "options": ["bind"] if kind == "volume" else []})
    made = container(["true"], edit)
    for place in (made.bundle.rootfs / "proc", tmp_path):
        (place / "sys/net/ipv4").mkdir(parents=True)
        (place / "sys/net/ipv4/ip_forward").touch()
    result = made.run()
    assert result.code == 1 and "not procfs" in result.err, result
    assert (tmp_path / "sys/net/ipv4/ip_forward").read_text() == (made.bundle.rootfs / "proc/sys/net/ipv4/ip_forward").read_text() == ""


def test_19921_procfs_goes_where_the_spec_says(container):
    made = container(["true"])
    shutil.rmtree(made.bundle.rootfs / "proc")
    (made.bundle.rootfs / "elsewhere").mkdir()
    (made.bundle.rootfs / "proc").symlink_to("elsewhere")
    result = made.run()
    assert result.code == 1 and "mount proc on /proc" in result.err, result


# CVE-2021-30465: a mount point exchanged for a symbolic link between the check and the mount.

def test_30465_a_race_does_not_lead_out(make_container, clipper, tmp_path):
    outside = tmp_path / "outside"
    shared = tmp_path / "shared"
    for place in (outside, shared / "x"):
        place.mkdir(parents=True)
    (shared / "y").symlink_to(outside)
    stop = threading.Event()

    def swap():
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        while not stop.is_set():
            libc.renameat2(-100, str(shared / "x").encode(), -100, str(shared / "y").encode(), 2)
            stop.wait(0.0002)
    attacker = threading.Thread(target=swap)
    attacker.start()
    seen = set()
    try:
        def edit(config):
            plain(config)
            config["mounts"] += [
                {"destination": "/shared", "source": str(shared), "type": "bind", "options": ["bind"]},
                {"destination": "/shared/x/made", "type": "tmpfs", "source": "attack", "options": []},
                {"destination": "/shared/x/bound", "source": str(shared), "type": "bind", "options": ["bind"]}]
        made = make_container(clipper, ["cat", "/proc/self/mountinfo"], edit)
        for _ in range(30):
            result = made.run()
            seen.add(result.code)
            # The link's target is looked for inside the root filesystem, wherever the race ends.
            assert list(outside.iterdir()) == [], result
            points = [line.split()[4] for line in result.out.splitlines() if " attack " in line]
            assert all(p == "/shared/x/made" or p == f"{outside}/made" or p == "/shared/y/made" for p in points), result
    finally:
        stop.set()
        attacker.join()
    assert 0 in seen


# CVE-2022-29162: inheritable capabilities that nobody asked for.

def test_29162_exec_has_no_inheritable_capabilities(container):
    made = container(["sleep", "1000"])
    made.up()
    for options in ([], ["--cap", "CAP_NET_RAW"]):
        result = made.exec("grep", "CapInh", "/proc/self/status", options=options)
        assert result.code == 0 and int(result.out.split()[1], 16) == 0, result


# CVE-2024-21626: a working directory, or a program, through a leaked descriptor of the host.

@pytest.mark.parametrize("command", ["run", "exec"])
def test_21626_no_descriptor_leads_out(container, command):
    host = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.set_inheritable(host, True)
        made = container(["sleep", "1000"])
        if command == "exec":
            made.up()
        for number in sorted({*range(3, 16), host}):
            place = f"/proc/self/fd/{number}"
            if command == "exec":
                result = made.exec("ls", "root", options=["--cwd", place], pass_fds=[host])
            else:
                made.config["process"].update(cwd=place, args=["ls"])
                result = made.run(pass_fds=[host])
            assert result.code != 0 and "etc" not in result.out.split(), result
            if command == "exec":
                result = made.exec(f"{place}/bin/sh", "-c", "echo out", pass_fds=[host])
                assert result.code != 0 and "out" not in result.out.split(), result
    finally:
        os.close(host)


# CVE-2025-31133: /dev/null of the image, with which paths are masked.

@pytest.mark.parametrize("kind", ["link", "file", "zero"])
def test_31133_a_false_null_device_masks_nothing(container, tmp_path, kind):
    def edit(config):
        drop(config, "/dev")
        # The host's /dev in the spec's words: the runtime makes no devices there, and masks with what it finds.
        config["mounts"].append({"destination": "/dev", "source": str(tmp_path), "type": "bind", "options": ["bind"]})
    made = container(["true"], edit)
    null = tmp_path / "null"
    if kind == "link":
        null.symlink_to("/proc/sys/kernel/core_pattern")
    elif kind == "file":
        null.touch()
    else:
        os.mknod(null, 0o20666, os.makedev(1, 5))
    result = made.run()
    assert result.code == 1 and ("/dev/null" in result.err), result


@pytest.mark.parametrize("kind", ["link", "file", "zero"])
def test_31133_a_false_device_of_the_image_is_refused(container, kind):
    made = container(["true"], lambda config: (plain(config), drop(config, "/dev"))[0])
    null = made.bundle.rootfs / "dev/null"
    null.parent.mkdir(exist_ok=True)
    null.unlink(missing_ok=True)
    if kind == "link":
        null.symlink_to("/proc/sys/kernel/core_pattern")
    elif kind == "file":
        null.touch()
    else:
        os.mknod(null, 0o20666, os.makedev(1, 5))
    result = made.run()
    assert result.code == 1 and "create device /dev/null" in result.err, result


def test_masks_of_files_directories_links_and_nothing(container):
    """Whatever is there is hidden, where it is; what is not there is not made."""
    paths = ["/secret/file", "/secret/directory", "/secret/link", "/secret/nothing", "/secret/file/below", "/dev/zero"]
    made = container(["sh", "-c", "cat /secret/file /target; ls /secret/directory /secret; head -c1 /dev/zero | wc -c"],
                     lambda config: config["linux"].update(maskedPaths=paths))
    secret = made.bundle.rootfs / "secret"
    (secret / "directory").mkdir(parents=True)
    (secret / "file").write_text("SECRET")
    (secret / "directory" / "SECRET").touch()
    (made.bundle.rootfs / "target").write_text("SECRET")
    (secret / "link").symlink_to("/target")
    result = made.run()
    assert result.code == 0 and "SECRET" not in result.out, result
    assert result.out.split() == ["/secret:", "directory", "file", "link", "/secret/directory:", "0"] or result.out.split()[-1] == "0", result
    assert not (secret / "nothing").exists()


# CVE-2025-52565: /dev/console and /dev/pts.

def run_with_terminal(made, scratch):
    """`create` with a console socket; its result. The masters are the container's `terminals`, to be closed."""
    made.config["process"]["terminal"] = True
    with socket.socket(socket.AF_UNIX) as listener:
        path = scratch / "console.sock"
        listener.bind(str(path))
        listener.listen(1)
        listener.settimeout(20)
        result = made.create("--console-socket", path)
        if result.code == 0:
            connection, _ = listener.accept()
            with connection:
                _, control, _, _ = connection.recvmsg(100, socket.CMSG_SPACE(4))
                # Open as long as the test looks: a terminal that hangs up ends what waits in the container.
                made.terminals = array.array("i", control[0][2])
        return result


def test_52565_the_console_is_the_terminal(container, tmp_path):
    """A link of the image in /dev/console's place is not followed."""
    made = container(["sleep", "1000"], lambda config: (plain(config), config.update(mounts=[
        m for m in config["mounts"] if m["destination"] != "/dev"])) and None)
    dev = made.bundle.rootfs / "dev"
    for name in ("pts", "shm", "mqueue"):
        (dev / name).mkdir(parents=True, exist_ok=True)
    (made.bundle.rootfs / "victim").write_text("untouched")
    (dev / "console").unlink(missing_ok=True)
    (dev / "console").symlink_to("/victim")
    result = run_with_terminal(made, tmp_path)
    if result.code == 0:
        points = [line.split()[4] for line in open(f"/proc/{made.pid}/mountinfo")]
        for number in made.terminals:
            os.close(number)
        assert "/victim" not in points
    assert (made.bundle.rootfs / "victim").read_text() == "untouched"


@pytest.mark.parametrize("kind", ["file", "device", "link"])
def test_52565_a_false_devpts_gives_no_terminal(container, tmp_path, kind):
    pts = tmp_path / "pts"
    pts.mkdir()
    if kind == "file":
        (pts / "ptmx").touch()
    elif kind == "device":
        os.mknod(pts / "ptmx", 0o20666, os.makedev(5, 2))
    else:
        (pts / "ptmx").symlink_to("/proc/sys/kernel/core_pattern")
    (pts / "0").symlink_to("/proc/sys/kernel/core_pattern")

    def edit(config):
        drop(config, "/dev/pts")
        config["mounts"].append({"destination": "/dev/pts", "source": str(pts), "type": "bind", "options": ["bind"]})
    result = run_with_terminal(container(["true"], edit), tmp_path)
    wanted = {"file": "devpts", "device": "ptmx", "link": "/dev/pts/ptmx: too many levels"}[kind]
    assert result.code == 1 and wanted in result.err.lower(), result


# CVE-2025-52881: another file of procfs mounted over the one that is written.

def test_52881_a_write_does_not_land_in_another_file_of_procfs(make_container, clipper, tmp_path):
    """The false file is procfs' too: only the mount on the way gives it away. A network namespace that exists already,
    for the files of a new one are new as well."""
    one, other = "/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv4/conf/lo/arp_filter"
    network = tmp_path / "network"
    script = f'touch {network} && unshare --net={network} true && nsenter --net={network} mount --bind {other} {one} && exec "$0" "$@"'
    runtime = Runtime("clipper", ["unshare", "-m", "sh", "-c", script, *clipper.command], clipper.root)

    def edit(config):
        config["mounts"][0] = {"destination": "/proc", "source": "/proc", "type": "bind", "options": ["rbind"]}
        # A new one of each kind but for the process ids', whose /proc this is.
        config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"] if n["type"] not in ("network", "pid")]
        config["linux"]["namespaces"].append({"type": "network", "path": str(network)})
        config["linux"].update(sysctl={"net.ipv4.ip_forward": "1"}, maskedPaths=[], readonlyPaths=[])
    made = make_container(runtime, ["cat", other], edit)
    result = made.run()
    assert result.code == 1 and "set sysctl net.ipv4.ip_forward=1: invalid cross-device link" in result.err.lower(), result
    made.config["linux"]["sysctl"] = {"net.ipv4.conf.lo.arp_filter": "1"}
    result = made.run()
    assert result.out == "1\n", result


# 2026: an image whose /dev is a symbolic link; users that are no users.

@pytest.mark.parametrize("target", ["/elsewhere", "elsewhere", "/nowhere", "../../../../../../elsewhere", "/proc/self/cwd"])
@pytest.mark.parametrize("mounted", [True, False])
def test_dev_that_is_a_link(container, target, mounted):
    made = container(["true"], lambda config: plain(config) if mounted else (plain(config), drop(config, "/dev"))[0])
    shutil.rmtree(made.bundle.rootfs / "dev", ignore_errors=True)
    elsewhere = made.bundle.rootfs / "elsewhere"
    elsewhere.mkdir()
    (made.bundle.rootfs / "dev").symlink_to(target)
    result = made.run()
    if target == "/nowhere" and not mounted:
        assert not (made.bundle.rootfs / "nowhere").exists()
    words = "mount tmpfs on /dev: must be mounted on ordinary directory" if mounted else "/dev: too many levels of symbolic links"
    assert result.code == 1 and words in result.err.lower(), result
    assert list(elsewhere.iterdir()) == [] and not (made.bundle.rootfs / "nowhere").exists()


@pytest.mark.parametrize("user", ["-1", "4294967296", "18446744073709551616", "0x0", "+0", " 0", "0:", "0:0:0", ":0", "0:-1", "0:4294967296", "1e3", "\u0660"])
def test_users_that_are_no_users(container, user):
    """A number that does not fit must not become root's."""
    made = container(["sleep", "1000"])
    made.up()
    result = made.exec("id", "-u", options=["--user=" + user])
    assert result.code != 0 and result.out == "", result


# Descriptors.

def test_nothing_of_the_runtime_is_open_in_the_container(container):
    made = container(["sh", "-c", "ls -l /proc/self/fd /proc/1/fd"])
    result = made.run()
    names = {line.split()[8] for line in result.out.splitlines() if "->" in line}
    assert names <= {"0", "1", "2", "3"}, result  # 3 is the listing itself.


def test_the_setup_process_cannot_be_looked_into(container):
    """Until its program runs the process is the runtime's, and undumpable: its files are root's alone."""
    made = container(["sleep", "1000"])
    assert made.create().code == 0
    assert subprocess.run(["ls", "-l", f"/proc/{made.pid}/exe"], capture_output=True, user=12345).returncode != 0
