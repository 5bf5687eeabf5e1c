"""What holds containers in: cgroups, capabilities, seccomp, read-only and masked paths."""

import json
import os
import time

import pytest

from harness import IMAGE

STATUS = "grep -E '^(CapEff|CapBnd|CapAmb|NoNewPrivs|Seccomp):' /proc/self/status | tr -d '\\t'"


def status(cli, *flags):
    lines = cli("run", "--rm", *flags, IMAGE, "sh", "-c", STATUS).splitlines()
    return dict(line.split(":") for line in lines)


def test_memory_limit_kills(cli, name):
    since = time.time()
    result = cli.run("run", "--name", name, "-m", "16m", "--memory-swap", "16m", IMAGE, "sh", "-c", "exec tail /dev/zero")
    assert result.code == 137, result
    state = cli.inspect(name)["State"]
    assert (state["ExitCode"], state["OOMKilled"]) == (137, True)
    out = cli("events", "--since", f"{since:.9f}", "--until", f"{time.time() + 0.01:.9f}", "-f", f"container={name}", "--format", "{{json .}}")
    assert "oom" in [json.loads(line)["Action"] for line in out.splitlines()]


def test_kill_is_not_out_of_memory(cli, name):
    cli("run", "-d", "--name", name, "-m", "64m", IMAGE, "sleep", "1000")
    cli("kill", name)
    state = cli.inspect(name)["State"]
    assert (state["ExitCode"], state["OOMKilled"]) == (137, False)


def test_limits_in_the_cgroup(clipper, name):
    """As the container itself sees them, cgroup v1 or v2."""
    clipper("run", "-d", "--name", name, "-m", "48m", "--cpus", "0.5", "--cpuset-cpus", "0", "--pids-limit", "55", "--cpu-shares", "512", IMAGE, "sleep", "1000")
    read = "cd /sys/fs/cgroup; for f in {}; do [ -e $f ] && cat $f; done; true"

    def value(*files):
        return clipper("exec", name, "sh", "-c", read.format(" ".join(files))).splitlines()[0]

    assert value("memory.max", "memory/memory.limit_in_bytes") == str(48 << 20)
    assert value("pids.max", "pids/pids.max") == "55"
    assert value("cpuset.cpus", "cpuset/cpuset.cpus") == "0"
    assert value("cpu.max", "cpu/cpu.cfs_quota_us") in ("50000 100000", "50000")
    assert clipper("exec", name, "grep", "Cpus_allowed_list", "/proc/self/status").split()[-1] == "0"


def test_pids_limit(cli):
    result = cli.run("run", "--rm", "--pids-limit", "8", IMAGE, "sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 1 & done; wait")
    assert "fork" in result.err, result


def test_default_capabilities_and_seccomp(cli):
    seen = status(cli)
    assert seen["CapEff"] == seen["CapBnd"] == "00000000a80425fb"
    assert (seen["Seccomp"], seen["NoNewPrivs"]) == ("2", "0")


def test_capabilities_changed(cli):
    assert status(cli, "--cap-drop", "ALL")["CapEff"] == "0" * 16
    assert int(status(cli, "--cap-drop", "ALL", "--cap-add", "NET_ADMIN")["CapEff"], 16) == 1 << 12
    assert int(status(cli, "--cap-add", "SYS_ADMIN")["CapEff"], 16) == 0xA80425FB | 1 << 21
    seen = status(cli, "-u", "nobody")
    assert (seen["CapEff"], seen["CapBnd"]) == ("0" * 16, "00000000a80425fb")


def test_no_new_privileges(cli):
    assert status(cli, "--security-opt", "no-new-privileges")["NoNewPrivs"] == "1"


def test_seccomp(cli):
    assert status(cli, "--security-opt", "seccomp=unconfined")["Seccomp"] == "0"
    assert cli.run("run", "--rm", IMAGE, "unshare", "-m", "true").code != 0
    result = cli.run("run", "--rm", "--cap-add", "SYS_ADMIN", IMAGE, "unshare", "-m", "true")
    assert result.code == 0, result


def test_seccomp_profile(cli, tmp_path):
    profile = tmp_path / "profile.json"
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}]}))
    result = cli.run("run", "--rm", "--security-opt", f"seccomp={profile}", IMAGE, "mkdir", "/x")
    assert result.code == 1 and "not implemented" in result.err.lower(), result


def test_read_only(cli):
    result = cli.run("run", "--rm", "--read-only", "--tmpfs", "/tmp", IMAGE, "sh", "-c", "touch /tmp/a && echo fine; touch /b")
    assert result.out == "fine\n" and "Read-only" in result.err


def test_masked_and_read_only_paths(cli):
    script = """
        for f in /proc/kcore /proc/keys /proc/timer_list; do [ ! -e $f ] || wc -c <$f; done
        echo x >/proc/sys/kernel/core_pattern || echo refused
        echo b >/proc/sysrq-trigger || echo refused
        ls /sys/firmware /proc/scsi | grep -v :
        mount -t tmpfs x /tmp || echo refused"""
    assert set(cli("run", "--rm", IMAGE, "sh", "-c", script).split()) == {"0", "refused"}


def test_the_root_is_an_overlay(cli):
    assert cli("run", "--rm", IMAGE, "sh", "-c", "df / | tail -n 1; grep ' / ' /proc/mounts").split()[0] == "overlay"


def test_host_is_not_seen(cli):
    out = cli("run", "--rm", IMAGE, "sh", "-c", "echo $$; ls /proc | grep -c '^[0-9]'; ls /dev").split()
    assert out[0] == "1" and int(out[1]) < 6
    devices = "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero"
    assert set(out[2:]) - {"core"} == set(devices.split())


def test_user(cli):
    assert cli("run", "--rm", "-u", "33:10", IMAGE, "sh", "-c", "id -u; id -g").split() == ["33", "10"]
    assert cli("run", "--rm", "-u", "www-data", "--group-add", "wheel", IMAGE, "id", "-G").split() == ["33", "10"]
    result = cli.run("run", "--rm", "-u", "nobodyatall", IMAGE, "true")
    assert result.code in (125, 126) and "nobodyatall" in result.err


def test_privileged(cli):
    out = cli("run", "--rm", "--privileged", IMAGE, "sh", "-c", STATUS + "; mount -t tmpfs x /tmp && echo mounted; ls /dev | wc -l").splitlines()
    seen = dict(line.split(":") for line in out if ":" in line)
    assert seen["Seccomp"] == "0" and int(seen["CapEff"], 16) & 1 << 21 and "mounted" in out
    assert int(out[-1]) > 20


def test_ulimit_sysctl_and_shm(cli):
    assert cli("run", "--rm", "--ulimit", "nofile=123:456", IMAGE, "sh", "-c", "ulimit -Sn; ulimit -Hn").split() == ["123", "456"]
    assert cli("run", "--rm", "--sysctl", "net.ipv4.ip_unprivileged_port_start=7", IMAGE, "cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start") == "7"
    assert "size=2048k" in cli("run", "--rm", "--shm-size", "2m", IMAGE, "grep", "/dev/shm", "/proc/mounts")


def test_init(cli):
    assert cli("run", "--rm", "--init", IMAGE, "sh", "-c", "echo $$") != "1"


def test_device(cli):
    result = cli.run("run", "--rm", IMAGE, "sh", "-c", "mknod /x b 7 0 && head -c 1 /x")
    assert result.code != 0 and "not permitted" in result.err
    assert cli("run", "--rm", "--device", "/dev/zero:/dev/mine:r", IMAGE, "sh", "-c", "head -c 3 /dev/mine | wc -c") == "3"


def test_namespaces_shared_on_request(cli, sleeper):
    assert int(cli("run", "--rm", "--pid", "host", IMAGE, "sh", "-c", "echo $$")) > 1
    assert "sleep 1000" in cli("run", "--rm", "--pid", f"container:{sleeper}", IMAGE, "ps")
    assert cli("run", "--rm", "--ipc", "host", IMAGE, "readlink", "/proc/self/ns/ipc") == os.readlink("/proc/self/ns/ipc")


def test_limits_hold_for_exec(clipper, name):
    clipper("run", "-d", "--name", name, "-m", "32m", "--memory-swap", "32m", "--pids-limit", "20", IMAGE, "sleep", "1000")
    assert clipper.run("exec", name, "tail", "/dev/zero").code == 137
    assert clipper.inspect(name)["State"]["Running"]
    assert clipper("exec", name, "sh", "-c", STATUS).split()[-1] == "Seccomp:2"


def test_update(clipper, name):
    clipper("run", "-d", "--name", name, "-m", "64m", "--memory-swap", "64m", IMAGE, "sleep", "1000")
    clipper("update", "-m", "32m", "--memory-swap", "32m", name)
    assert clipper.inspect(name)["HostConfig"]["Memory"] == 32 << 20
    assert clipper("exec", name, "sh", "-c", "cd /sys/fs/cgroup; cat memory.max memory/memory.limit_in_bytes 2>/dev/null || true") == str(32 << 20)


def limit(client, name, unified, v1):
    return client("exec", name, "sh", "-c", f"cd /sys/fs/cgroup; cat {unified} {v1} 2>/dev/null || true")


def test_update_in_the_order_the_kernel_takes(cli, name):
    """Memory above the old sum of memory and swap, and back below it."""
    cli("run", "-d", "--name", name, "-m", "32m", "--memory-swap", "32m", "--cpu-shares", "512", IMAGE, "sleep", "1000")
    for size in ["128m", "16m", "64m"]:
        cli("update", "-m", size, "--memory-swap", size, name)
        assert limit(cli, name, "memory.max", "memory/memory.limit_in_bytes") == str(int(size[:-1]) << 20)
    inspect = cli.inspect(name)["HostConfig"]
    assert inspect["CpuShares"] == 512 and inspect["MemorySwap"] == 64 << 20


def test_update_refuses_and_keeps(cli, name):
    cli("run", "-d", "--name", name, "-m", "32m", "--memory-swap", "32m", IMAGE, "sleep", "1000")
    result = cli.run("update", "-m", "64m", name)
    assert result.code == 1 and "Memory limit should be smaller than already set memoryswap limit" in result.err
    assert cli.run("update", "--cpuset-cpus", "4000", name).code == 1
    assert limit(cli, name, "memory.max", "memory/memory.limit_in_bytes") == str(32 << 20)
    assert cli.inspect(name)["HostConfig"]["Memory"] == 32 << 20
    assert cli("exec", name, "echo", "lives") == "lives"


def test_update_of_a_stopped_container_counts_at_its_next_start(cli, name):
    cli("create", "--name", name, "--pids-limit", "30", IMAGE, "sleep", "1000")
    cli("update", "--pids-limit", "40", "--restart", "on-failure:3", name)
    cli("start", name)
    assert limit(cli, name, "pids.max", "pids/pids.max") == "40"
    assert cli.inspect(name)["HostConfig"]["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 3}
    cli("update", "--pids-limit", "-1", name)
    assert limit(cli, name, "pids.max", "pids/pids.max") == "max"


def test_update_of_what_cannot_be_changed(daemon, sleeper):
    status, answer = daemon.request("POST", f"/containers/{sleeper}/update", {"Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 1}]})
    assert status == 400 and "Ulimits cannot be changed" in answer["message"]


def test_a_kill_at_the_very_start_is_told(sdk, daemon, name):
    """The program runs out of memory before its supervisor watches for that: told all the same."""
    since = int(time.time()) - 1
    hungry = ["sh", "-c", "dd if=/dev/zero of=/dev/null bs=100M count=1; sleep 2"]
    made = [sdk.containers.run(IMAGE, hungry, name=f"{name}-{number}", detach=True, mem_limit="16m", memswap_limit="16m") for number in range(8)]
    try:
        for container in made:
            container.wait()
        events = sdk.events(since=since, until=int(time.time()) + 1, decode=True, filters={"event": "oom"})
        told = {event["id"] for event in events}
        assert {container.id for container in made} <= told
    finally:
        for container in made:
            container.remove(force=True)
