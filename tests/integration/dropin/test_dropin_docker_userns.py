"""Debian's dockerd with `--userns-remap`: clipper-runtime in user namespaces, beside runc."""

IMAGE = "localhost/clipper-dropin/base"


def test_remapped(remapped, runtime):
    code = "cat /proc/self/uid_map; id -u; touch /x /v/x /t/x; stat -c %u /x; cat /sys/fs/cgroup/memory/memory.limit_in_bytes; exit 5"
    result = remapped.run("run", "--rm", "--runtime", runtime, "--memory", "32m", "-v", "vol:/v", "--tmpfs", "/t", IMAGE, "sh", "-c", code)
    assert result.code == 5 and result.out.split() == ["0", "100000", "65536", "0", "0", "33554432"], result


def test_host_sees_other_ids(remapped, runtime, name):
    remapped("run", "-d", "--name", name, "--runtime", runtime, IMAGE, "sleep", "1000")
    assert remapped("top", name, "-o", "pid,uid").split()[3] == "100000"


def test_devices_of_the_host(remapped, runtime):
    """mknod is refused in a user namespace: the nodes are the host's own, mounted."""
    result = remapped.run("run", "--rm", "--runtime", runtime, "--device", "/dev/loop0", IMAGE, "sh", "-c",
                          "ls -ln /dev/null /dev/loop0; echo x >/dev/null; mknod /dev/made c 1 3")
    assert result.out.count(" 65534 ") >= 2 and "not permitted" in result.err, result


def test_exec_and_terminals(remapped, runtime, name):
    remapped("run", "-d", "--name", name, "--runtime", runtime, IMAGE, "sleep", "1000")
    assert remapped("exec", name, "cat", "/proc/self/uid_map").split() == ["0", "100000", "65536"]
    assert remapped("exec", "-t", name, "tty").startswith("/dev/pts/")
    assert remapped("run", "--rm", "-t", "--runtime", runtime, IMAGE, "tty").startswith("/dev/pts/")


def test_taken_back_for_one_container(remapped, runtime):
    assert remapped("run", "--rm", "--runtime", runtime, "--userns=host", IMAGE, "cat", "/proc/self/uid_map").split()[1] == "0"
