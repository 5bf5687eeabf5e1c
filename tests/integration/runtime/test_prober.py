"""What a process in a container sees of it: the same under clipper-runtime, runc and crun, which tests the tests."""

import errno
import os
import signal

import pytest

from .harness import IS_CGROUP2, PREFIX, Runtime

EROFS, EPERM, ENOSYS, ENOENT, EACCES = (-number for number in (errno.EROFS, errno.EPERM, errno.ENOSYS, errno.ENOENT, errno.EACCES))
SETS = ["bounding", "effective", "permitted", "inheritable", "ambient"]


def numbers(kind):
    return {name: os.readlink(f"/proc/self/ns/{name}") for name in kind}


def test_identity(probe, engine):
    def edit(config):
        config["hostname"] = "inside"
        config["process"].update(
            cwd="/tmp", env=["PATH=/bin", "A=1=2", "EMPTY="], user={"uid": 33, "gid": 10, "additionalGids": [5, 7], "umask": 0o27})
    seen = probe(engine, edit, ["--read", "/nothing"])["process"]
    assert seen["uid"] == [33] * 4 and seen["gid"] == [10] * 4
    # crun gives the group itself too.
    assert [g for g in sorted(seen["groups"]) if g != 10] == [5, 7]
    assert (seen["cwd"], seen["hostname"], seen["umask"]) == ("/tmp", "inside", 0o27)
    assert seen["args"] == ["/clipper-prober", "--read", "/nothing"]
    home = [] if engine.name == "crun" else ["HOME=/var/www"]
    assert [e for e in seen["env"] if e in home or not e.startswith("HOME=")] == ["PATH=/bin", "A=1=2", "EMPTY=", *home]
    assert seen["pid"] == 1 and seen["ppid"] == 0 and seen["session"] == 1


def test_capabilities(probe, engine):
    """Each of the five sets by itself; ambient ones of a user who is not root."""
    def edit(config):
        config["process"]["user"] = {"uid": 7, "gid": 7}
        config["process"]["capabilities"] = {
            "bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL", "CAP_NET_RAW"],
            "inheritable": ["CAP_NET_RAW"], "ambient": ["CAP_NET_RAW"]}
    seen = probe(engine, edit)["capabilities"]
    # At execve of a user who is not root only the ambient ones stay permitted and effective (capabilities(7)).
    assert seen == {
        "bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"], "effective": ["CAP_NET_RAW"], "permitted": ["CAP_NET_RAW"],
        "inheritable": ["CAP_NET_RAW"], "ambient": ["CAP_NET_RAW"]}


def test_capabilities_of_root(probe, engine):
    seen = probe(engine)["capabilities"]
    wanted = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
    assert [seen[name] for name in ["bounding", "effective", "permitted"]] == [wanted] * 3


def test_no_capabilities(probe, engine):
    def edit(config):
        config["process"]["capabilities"] = {name: [] for name in SETS}
    assert all(probe(engine, edit)["capabilities"][name] == [] for name in SETS)


@pytest.mark.parametrize("wanted", [True, False])
def test_no_new_privileges(probe, engine, wanted):
    seen = probe(engine, lambda config: config["process"].update(noNewPrivileges=wanted))["process"]
    assert seen["noNewPrivileges"] == wanted


def test_limits(probe, engine):
    def edit(config):
        config["process"]["rlimits"] = [
            {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}, {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
            {"type": "RLIMIT_NPROC", "soft": 70, "hard": 90}, {"type": "RLIMIT_STACK", "soft": 1 << 20, "hard": 1 << 24}]
    seen = probe(engine, edit)["limits"]
    assert [seen[f"RLIMIT_{name}"] for name in ["NOFILE", "CORE", "NPROC", "STACK"]] == [[100, 200], [0, 0], [70, 90], [1 << 20, 1 << 24]]


def test_namespaces_are_new(probe, engine):
    new = ["cgroup", "ipc", "mnt", "net", "pid", "uts"]
    seen = probe(engine)["namespaces"]
    for name, outside in numbers(new).items():
        assert seen[name] and seen[name] != outside
    assert seen["user"] == os.readlink("/proc/self/ns/user")
    assert seen["interfaces"] == ["lo"]


def test_namespaces_are_joined(probe, engine):
    def edit(config):
        config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"] if n["type"] != "ipc"]
        for namespace in config["linux"]["namespaces"]:
            if namespace["type"] == "network":
                namespace["path"] = "/proc/self/ns/net"
        config["mounts"] = [m for m in config["mounts"] if m["type"] not in ("mqueue", "sysfs")]
    seen = probe(engine, edit)["namespaces"]
    assert {name: seen[name] for name in ["ipc", "net"]} == numbers(["ipc", "net"])


def test_user_namespace(probe, engine, scope):
    def edit(config):
        mappings = [{"containerID": 0, "hostID": 100000, "size": 1000}]
        config["linux"]["namespaces"].append({"type": "user"})
        config["linux"].update(uidMappings=mappings, gidMappings=mappings)
    seen = probe(engine, edit)
    assert seen["namespaces"]["uid_map"] == seen["namespaces"]["gid_map"] == [["0", "100000", "1000"]]
    assert seen["process"]["uid"] == [0] * 4 and seen["process"]["groups"] == []
    assert seen["devices"]["null"]["kind"] == "character" and seen["devices"]["null"]["minor"] == 3


def test_cgroup_is_the_root_of_its_namespace(probe, engine):
    for controllers, path in probe(engine)["cgroup"].items():
        if IS_CGROUP2 or controllers not in ("", "name=elogind"):
            assert path == "/", controllers


def test_mounts_are_those_of_the_spec_in_its_order(probe, engine):
    seen = probe(engine)["mounts"]
    points = [m["point"] for m in seen if m["type"] != "cgroup"]
    wanted = ["/", "/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys", "/sys/fs/cgroup"]
    assert [p for p in points if p in wanted] == wanted
    by_point = {m["point"]: m for m in seen}
    assert "ro" in by_point["/"]["options"]
    assert {"nosuid", "noexec"} <= set(by_point["/dev/pts"]["options"])
    assert {"mode=620", "ptmxmode=666", "gid=5"} <= set(by_point["/dev/pts"]["filesystemOptions"])
    assert {"nosuid", "noexec", "nodev", "ro"} <= set(by_point["/sys"]["options"])
    assert {"size=65536k", "mode=755"} <= set(by_point["/dev"]["filesystemOptions"])
    # Nothing of the host's is left, and nothing that the spec does not name.
    extra = {p for p in points if not p.startswith(("/proc/", "/sys/"))} - set(wanted)
    assert extra == set()
    assert not any("shared" in m["propagation"] for m in seen)


def test_bind_and_tmpfs(probe, engine, scope):
    def edit(config):
        config["mounts"] += [
            {"destination": "/data", "source": str(scope.scratch), "type": "bind", "options": ["rbind", "ro", "nosuid", "rprivate"]},
            {"destination": "/fresh", "type": "tmpfs", "source": "tmpfs", "options": ["nodev", "size=1m", "mode=700"]}]
        config["root"]["readonly"] = False
    seen = {m["point"]: m for m in probe(engine, edit)["mounts"]}
    assert {"ro", "nosuid"} <= set(seen["/data"]["options"]) and seen["/data"]["propagation"] == []
    assert "nodev" in seen["/fresh"]["options"]
    assert {"size=1024k", "mode=700"} <= set(seen["/fresh"]["filesystemOptions"])


def test_devices(probe, engine):
    seen = probe(engine)["devices"]
    for name, minor in {"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9}.items():
        device = seen[name]
        assert (device["kind"], device["major"], device["minor"], device["mode"], device["uid"]) == ("character", 1, minor, 0o666, 0), name
    assert (seen["tty"]["major"], seen["tty"]["minor"], seen["tty"]["mode"]) == (5, 0, 0o666)
    links = {name: node["target"] for name, node in seen.items() if node["kind"] == "link" and name != "core"}
    assert links == {"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2", "ptmx": "pts/ptmx"}
    allowed = {"null", "zero", "full", "random", "urandom", "tty", "pts", "shm", "mqueue", "core", *links}
    assert set(seen) - allowed == set()


def test_device_of_the_spec(probe, engine):
    """A node of its own is made; only what the rules allow can be opened."""
    def edit(config):
        config["linux"]["devices"] = [
            {"path": "/dev/mem2", "type": "c", "major": 1, "minor": 5, "fileMode": 0o640, "uid": 7, "gid": 8},
            {"path": "/dev/kmsg2", "type": "c", "major": 1, "minor": 11, "fileMode": 0o600}]
        config["linux"]["resources"]["devices"] = [{"allow": False, "access": "rwm"}]
    seen = probe(engine, edit, ["--path", "/dev/mem2", "--path", "/dev/kmsg2"])
    node = seen["devices"]["mem2"]
    assert [node[k] for k in ["kind", "major", "minor", "mode", "uid", "gid"]] == ["character", 1, 5, 0o640, 7, 8]
    assert seen["paths"]["/dev/kmsg2"]["read"] == EPERM
    if engine.name != "crun":  # The default devices stay allowed.
        assert probe(engine, edit, ["--path", "/dev/zero"])["paths"]["/dev/zero"]["read"] == 0


def test_descriptors(probe, engine):
    """Whatever the caller has open does not come in, except with --preserve-fds."""
    holder = ["bash", "-c", 'exec "$0" "$@" 3</etc/hostname 4</etc/passwd 7</etc/hostname 60</etc/hostname']
    caller = Runtime(engine.name, [*holder, *engine.command], engine.root)
    assert sorted(probe(caller)["descriptors"]) == ["0", "1", "2"]
    seen = probe(caller, options=["--preserve-fds", "2"])["descriptors"]
    assert sorted(seen) == ["0", "1", "2", "3", "4"]


def test_masked_and_read_only_paths(probe, engine):
    hidden = {"files": ["/proc/keys", "/proc/timer_list"], "directories": ["/proc/fs", "/sys/kernel"]}
    sealed = ["/proc/sys/kernel/core_pattern", "/proc/irq/default_smp_affinity"]

    def edit(config):
        config["linux"]["maskedPaths"] = [*hidden["files"], *hidden["directories"], "/proc/nothing/there"]
    paths = [*hidden["files"], *hidden["directories"], *sealed, "/proc/nothing"]
    seen = probe(engine, edit, [word for path in paths for word in ("--path", path)])["paths"]
    for path in hidden["files"]:
        assert seen[path]["kind"] == "character" and (seen[path]["major"], seen[path]["minor"]) == (1, 3), path
    for path in hidden["directories"]:
        assert seen[path]["names"] == [], path
    for path in sealed:
        assert seen[path]["write"] == EROFS, path
    assert seen["/proc/nothing"] is None


def test_read_only_root(probe, engine):
    seen = probe(engine, arguments=["--path", "/etc/passwd"])["paths"]["/etc/passwd"]
    assert (seen["read"], seen["write"]) == (0, EROFS)
    seen = probe(engine, lambda config: config["root"].update(readonly=False), ["--path", "/etc/passwd"])["paths"]["/etc/passwd"]
    assert (seen["read"], seen["write"]) == (0, 0)


def test_sysctl(probe, engine):
    wanted = {"net.ipv4.ip_forward": "1", "kernel.shm_rmid_forced": "1"}
    paths = ["/proc/sys/net/ipv4/ip_forward", "/proc/sys/kernel/shm_rmid_forced"]
    seen = probe(engine, lambda config: config["linux"].update(sysctl=wanted), [w for p in paths for w in ("--read", p)])["contents"]
    assert [seen[p] for p in paths] == ["1", "1"]


def test_without_seccomp(probe, engine):
    seen = probe(engine)["process"]
    assert (seen["seccomp"], seen["seccompFilters"]) == (0, 0)


@pytest.mark.parametrize("privileges", [True, False])
def test_seccomp(probe, engine, privileges):
    """mkdir is refused with the profile's error, acct by default, and a call newer than the profile is unknown."""
    def edit(config):
        config["process"]["noNewPrivileges"] = not privileges
        names = open_names()
        config["linux"]["seccomp"] = {
            "defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [
                {"names": names, "action": "SCMP_ACT_ALLOW"},
                {"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.EXDEV}]}
    seen = probe(engine, edit, ["--call", "83", "--call", "163", "--call", "999"])
    assert seen["process"]["seccomp"] == 2 and seen["process"]["seccompFilters"] == 1
    assert seen["calls"]["83"] == -errno.EXDEV and seen["calls"]["163"] == EPERM
    assert seen["calls"]["999"] == ENOSYS or engine.name == "crun"


def open_names():
    """Enough for the prober and for the runtimes between the filter and the program."""
    return """
        read write open openat close fstat newfstatat stat lstat lseek mmap mprotect munmap brk rt_sigaction rt_sigprocmask rt_sigreturn ioctl
        access faccessat faccessat2 dup dup2 dup3 getpid getppid getsid getuid getgid geteuid getegid setuid setgid setresuid setresgid setgroups execve
        exit exit_group wait4 uname fcntl getcwd chdir readlink readlinkat prctl arch_prctl futex sched_getattr sched_getaffinity
        ioprio_get get_mempolicy personality keyctl getdents64 prlimit64 set_tid_address set_robust_list rseq getrandom capget capset
        sigaltstack gettid tgkill clone clone3 nanosleep clock_gettime epoll_ctl epoll_pwait epoll_create1 eventfd2 pipe2 fchdir statfs
        fstatfs madvise sysinfo getrlimit mincore pread64 socket connect sendto recvfrom statx close_range sched_yield restart_syscall
    """.split()


def test_oom_score(probe, engine):
    assert probe(engine, lambda config: config["process"].update(oomScoreAdj=321))["process"]["oomScoreAdj"] == "321"


def test_signals_are_as_new(probe, engine):
    """The runtime's caller may block and ignore signals; the container's program must not know."""
    if engine.name != "clipper":
        pytest.skip("runc and crun hand an ignored signal on")

    def block():
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR2})
    seen = probe(engine, preexec_fn=block)["process"]
    assert int(seen["SigBlk"], 16) == 0 and int(seen["SigIgn"], 16) == 0


def test_session_keyring(probe, engine):
    name = (probe(engine)["process"]["sessionKeyring"] or ";none").rsplit(";", 1)[1]
    # Its name ends with the container's id; a kernel without keyrings has none.
    assert PREFIX in name or name == "none"


def test_exec_is_the_same(make_container, engine):
    """A further process: what the first one has, in the same namespaces and the same group."""
    made = make_container(engine, ["/clipper-prober"])
    made.add_prober()
    first = made.run()
    assert first.code == 0, first
    made.config["process"]["args"] = ["sleep", "1000"]
    made.up()
    seen = made.exec("/clipper-prober")
    assert seen.code == 0, seen
    one, other = first.json, seen.json
    assert one["capabilities"] == other["capabilities"]
    # crun 1.8 gives a further process its caller's limits.
    assert one["limits"] == other["limits"] or engine.name == "crun"
    assert [m["point"] for m in one["mounts"]] == [m["point"] for m in other["mounts"]]
    for name in ["uid", "gid", "groups", "umask", "cwd", "hostname", "noNewPrivileges", "seccomp", "dumpable"]:
        # crun 1.8 forgets no_new_privs.
        assert one["process"][name] == other["process"][name] or (engine.name, name) == ("crun", "noNewPrivileges"), name
    assert sorted(other["descriptors"]) == ["0", "1", "2"]
    pid = made.pid
    inside = {k: v for k, v in other["namespaces"].items() if k in ("cgroup", "ipc", "mnt", "net", "pid", "uts")}
    assert inside == {k: os.readlink(f"/proc/{pid}/ns/{k}") for k in inside}


def test_exec_as_another(make_container, engine):
    made = make_container(engine, ["sleep", "1000"])
    made.add_prober()
    made.up()
    seen = made.exec("/clipper-prober", options=["--user", "33:10", "--cwd", "/tmp", "--env", "NEW=1", "--cap", "CAP_KILL"])
    assert seen.code == 0, seen
    process = seen.json["process"]
    assert (process["uid"], process["gid"], process["cwd"]) == ([33] * 4, [10] * 4, "/tmp") and "NEW=1" in process["env"]
    # crun 1.8 forgets it.
    assert process["noNewPrivileges"] == 1 or engine.name == "crun"
