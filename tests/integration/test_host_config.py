"""Every member of HostConfig and Resources has an effect, or is refused by name: one row for each, and none may be missing."""

import json
import os
import pathlib
import shutil
import socket
import subprocess

import pytest

from box import Box, Table, members
from harness import free_port

MEBI = 1 << 20
host_config = Table()


@pytest.fixture
def box(daemon, name):
    return Box(daemon, name)



# Memory.

@host_config("Memory", "MemorySwap", "MemoryReservation")
def memory(box):
    made = box.started({"Memory": 64 * MEBI, "MemorySwap": 96 * MEBI, "MemoryReservation": 32 * MEBI})
    assert box.limit(made, "memory", "memory.limit_in_bytes", "memory.max") == str(64 * MEBI)
    assert box.limit(made, "memory", "memory.soft_limit_in_bytes", "memory.low") == str(32 * MEBI)
    # v2 counts swap alone.
    assert box.limit(made, "memory", "memory.memsw.limit_in_bytes", "memory.swap.max") in (str(96 * MEBI), str(32 * MEBI))


@host_config("MemorySwappiness")
def swappiness(box):
    if not pathlib.Path("/sys/fs/cgroup/memory").exists():
        return box.refused(400, "swappiness", {"MemorySwappiness": 7})
    assert box.limit(box.started({"MemorySwappiness": 7}), "memory", "memory.swappiness", "") == "7"


@host_config("OomKillDisable")
def oom_kill_disable(box):
    made = box.started({"OomKillDisable": True, "Memory": 64 * MEBI})
    assert "oom_kill_disable 1" in box.limit(made, "memory", "memory.oom_control", "memory.max").splitlines()
    box.made({"OomKillDisable": True})
    assert any("OOM killer is disabled for the container, but no memory limit is set" in warning for warning in box.warnings)


@host_config("KernelMemoryTCP")
def kernel_memory_tcp(box):
    made = box.started({"KernelMemoryTCP": 16 * MEBI})
    assert box.limit(made, "memory", "memory.kmem.tcp.limit_in_bytes", "memory.max") == str(16 * MEBI)


@host_config("OomScoreAdj")
def oom_score(box):
    assert box.run("cat /proc/self/oom_score_adj", {"OomScoreAdj": 321}) == "321"


@host_config("ShmSize")
def shm_size(box):
    assert "size=3072k" in box.run("grep /dev/shm /proc/mounts", {"ShmSize": 3 * MEBI})


# Processors.

@host_config("CpuShares", "CpuPeriod", "CpuQuota")
def processor_time(box):
    made = box.started({"CpuShares": 512, "CpuPeriod": 50000, "CpuQuota": 20000})
    assert box.limit(made, "cpu", "cpu.shares", "cpu.weight") in ("512", "59")
    assert box.limit(made, "cpu", "cpu.cfs_period_us", "cpu.max") in ("50000", "20000 50000")
    assert box.limit(made, "cpu", "cpu.cfs_quota_us", "cpu.max") in ("20000", "20000 50000")
    box.refused(400, "invalid CPU shares (-5)", {"CpuShares": -5})


@host_config("NanoCpus")
def nano_cpus(box):
    made = box.started({"NanoCpus": 250_000_000})
    assert box.limit(made, "cpu", "cpu.cfs_quota_us", "cpu.max") in ("25000", "25000 100000")


@host_config("CpusetCpus", "CpusetMems")
def sets(box):
    made = box.started({"CpusetCpus": "0", "CpusetMems": "0"})
    assert box.limit(made, "cpuset", "cpuset.cpus", "cpuset.cpus") == box.limit(made, "cpuset", "cpuset.mems", "cpuset.mems") == "0"


@host_config("CpuRealtimePeriod", "CpuRealtimeRuntime")
def realtime(box):
    host = {"CpuRealtimePeriod": 1_000_000, "CpuRealtimeRuntime": 1000}
    if pathlib.Path("/sys/fs/cgroup/cpu/cpu.rt_runtime_us").exists():
        box.refused(400, "cpu real-time runtime cannot be higher than cpu real-time period",
                    {"CpuRealtimePeriod": 1000, "CpuRealtimeRuntime": 2000})
        # The kernel gives a group no more than its parent has, which is nothing until somebody gives that some.
        box.refused(500, "cpu.rt_runtime_us: invalid argument", host)
        own = pathlib.Path(f"/sys/fs/cgroup/cpu{box.daemon.cgroup_parent}/cpu.rt_runtime_us")
        if subprocess.run(["sh", "-c", f"echo 5000 >{own}"], capture_output=True).returncode == 0:
            assert box.limit(box.started(host), "cpu", "cpu.rt_runtime_us", "") == "1000"
    else:
        for name, value in host.items():
            box.refused(400, "Your kernel does not support CPU real-time scheduler", {name: value})


for windows in ("CpuCount", "CpuPercent", "IOMaximumIOps", "IOMaximumBandwidth"):
    host_config.refusal(windows, 501, windows, {windows: 1})


# Block devices.

def block_device():
    """A disk of this host: its path and numbers."""
    for entry in sorted(pathlib.Path("/sys/block").iterdir()):
        if pathlib.Path("/dev", entry.name).exists():
            return f"/dev/{entry.name}", (entry / "dev").read_text().strip()
    raise AssertionError("this host has no block device")


def throttle(member, v1, key):
    @host_config(member)
    def proves(box):
        path, numbers = block_device()
        made = box.started({member: [{"Path": path, "Rate": 4096 * 256}]})
        lines = box.limit(made, "blkio", v1, "io.max").splitlines()
        assert f"{numbers} {4096 * 256}" in lines or any(line.startswith(numbers) and f"{key}={4096 * 256}" in line for line in lines), lines
        box.refused(400, "no such device: /dev/nothing", {member: [{"Path": "/dev/nothing", "Rate": 1}]})


throttle("BlkioDeviceReadBps", "blkio.throttle.read_bps_device", "rbps")
throttle("BlkioDeviceWriteBps", "blkio.throttle.write_bps_device", "wbps")
throttle("BlkioDeviceReadIOps", "blkio.throttle.read_iops_device", "riops")
throttle("BlkioDeviceWriteIOps", "blkio.throttle.write_iops_device", "wiops")


@host_config("BlkioWeight", "BlkioWeightDevice")
def weights(box):
    """Only a kernel with a scheduler that weighs (BFQ) has the file: without it the container does not start unlimited."""
    path, numbers = block_device()
    box.refused(400, "Range of blkio weight is from 10 to 1000", {"BlkioWeight": 5})
    box.refused(400, "Range of blkio weight is from 10 to 1000", {"BlkioWeightDevice": [{"Path": path, "Weight": 1001}]})
    for file, host in [("weight", {"BlkioWeight": 300}), ("weight_device", {"BlkioWeightDevice": [{"Path": path, "Weight": 300}]})]:
        made = box.made(host)
        status, answer = box.request("POST", f"/containers/{made}/start")
        if status == 204:
            said = box.limit(made, "blkio", f"blkio.bfq.{file}", "io.bfq.weight")
            assert "300" in said and (file == "weight" or numbers in said)
        else:
            assert "weight" in answer["message"], answer


# Processes, devices, rights.

@host_config("PidsLimit")
def pids(box):
    assert box.limit(box.started({"PidsLimit": 44}), "pids", "pids.max", "pids.max") == "44"


@host_config("Ulimits")
def ulimits(box):
    host = {"Ulimits": [{"Name": "nofile", "Soft": 100, "Hard": 200}, {"Name": "core", "Soft": 0, "Hard": 0}]}
    assert box.run("ulimit -Sn; ulimit -Hn; ulimit -c", host).split() == ["100", "200", "0"]
    # Docker's Python client sends null for what it was not told.
    assert box.run("ulimit -c", {"Ulimits": [{"Name": "core", "Soft": 0, "Hard": None}]}) == "0"
    box.refused(400, 'unknown limit "RLIMIT_NONSENSE"', {"Ulimits": [{"Name": "nonsense", "Soft": 1, "Hard": 1}]})


@host_config("CgroupParent")
def cgroup_parent(box):
    made = box.started({"CgroupParent": f"{box.daemon.cgroup_parent}/inner"})
    groups = pathlib.Path(f"/proc/{box.pid(made)}/cgroup").read_text()
    assert f"{box.daemon.cgroup_parent}/inner/{made}" in groups
    box.request("DELETE", f"/containers/{made}?force=1")
    made = box.started({"CgroupParent": f"{box.daemon.cgroup_parent[1:]}/inner"})
    assert f":{box.daemon.cgroup_parent}/inner/{made}" in pathlib.Path(f"/proc/{box.pid(made)}/cgroup").read_text()
    for call in ("top", "stats?stream=0&one-shot=1"):
        assert box.request("GET", f"/containers/{made}/{call}")[0] == 200
    assert [box.request("POST", f"/containers/{made}/{call}")[0] for call in ("pause", "unpause")] == [204, 204]
    box.request("DELETE", f"/containers/{made}?force=1")
    # As dockerd, the daemon leaves the parents of its containers.
    for directory in box.daemon.cgroups():
        if directory.name == "inner":
            directory.rmdir()


@host_config("Devices")
def devices(box):
    host = {"Devices": [{"PathOnHost": "/dev/zero", "PathInContainer": "/dev/mine", "CgroupPermissions": "r"}]}
    assert box.run("head -c 3 /dev/mine | wc -c", host) == "3"
    missing = {"Devices": [{"PathOnHost": "/dev/nothing", "PathInContainer": "/dev/x", "CgroupPermissions": "rwm"}]}
    box.refused(400, 'error gathering device information while adding custom device "/dev/nothing": no such file or directory', missing)


@host_config("DeviceCgroupRules")
def device_rules(box):
    made = box.started({"DeviceCgroupRules": ["c 7:7 rm"]})
    assert {"allow": True, "type": "c", "major": 7, "minor": 7, "access": "rm"} in box.configuration(made)["linux"]["resources"]["devices"]
    # Nobody has a device of that number: with the right to it the kernel says so.
    script = "mknod /x c 240 99 && cat /x"
    assert "not permitted" in box.run(script, {}, code=1)
    assert "No such device" in box.run(script, {"DeviceCgroupRules": ["c 240:* rwm"]}, code=1)
    box.refused(400, "invalid device cgroup rule format: 'nonsense'", {"DeviceCgroupRules": ["nonsense"]})


@host_config("DeviceRequests")
def device_requests(box):
    words = 'could not select device driver "" with capabilities: [[gpu]]'
    box.refused(400, words, {"DeviceRequests": [{"Count": -1, "Capabilities": [["gpu"]]}]})
    cdi = {"DeviceRequests": [{"Driver": "cdi", "DeviceIDs": ["acme.com/none=0"]}]}
    box.refused(400, "CDI device injection failed: unresolvable CDI devices acme.com/none=0", cdi)


@host_config("CapAdd", "CapDrop")
def capabilities(box):
    script = "grep CapEff /proc/self/status"
    assert box.run(script, {"CapDrop": ["ALL"], "CapAdd": ["net_admin"]}).split()[1] == f"{1 << 12:016x}"
    assert int(box.run(script, {"CapAdd": ["SYS_ADMIN"], "CapDrop": ["CHOWN"]}).split()[1], 16) == 0xA80425FB & ~1 | 1 << 21
    box.refused(400, 'invalid CapAdd: unknown capability: "CAP_FLY"', {"CapAdd": ["FLY"]})


@host_config("Privileged")
def privileged(box):
    assert box.run("mount -t tmpfs none /tmp && grep Seccomp: /proc/self/status", {"Privileged": True}).split() == ["Seccomp:", "0"]


@host_config("SecurityOpt")
def security(box):
    assert box.run("grep NoNewPrivs /proc/self/status", {"SecurityOpt": ["no-new-privileges"]}).split()[1] == "1"
    assert box.run("grep Seccomp: /proc/self/status", {"SecurityOpt": ["seccomp=unconfined"]}).split()[1] == "0"
    assert box.run("ls -A /proc/scsi /sys/firmware | wc -l") != box.run(
        "ls -A /proc/scsi /sys/firmware | wc -l", {"SecurityOpt": ["systempaths=unconfined"]})
    assert box.run("grep NoNewPrivs /proc/self/status", {"SecurityOpt": ["no-new-privileges=1"]}).split()[1] == "1"
    for option in ("what", "label", "apparmor", ""):
        status, answer = box.create({"SecurityOpt": [option]})
        assert (status, answer["message"]) == (400, f'invalid --security-opt 1: "{option}"')
    for option in ("what=so", "no-new-privileges=perhaps", "no-new-privileges="):
        status, answer = box.create({"SecurityOpt": [option]})
        assert (status, answer["message"]) == (400, f'invalid --security-opt 2: "{option}"')
    # As in dockerd: labels are for those who ask the daemon for SELinux, profiles for kernels with AppArmor. It is said, though.
    assert box.run("echo labelled", {"SecurityOpt": ["label=type:mine", "label=level:s0", "label:disable"]}) == "labelled"
    if not os.path.exists("/sys/module/apparmor/parameters/enabled"):
        made = box.started({"SecurityOpt": ["apparmor=mine", "label=level:s0", "label=disable"]})
        assert box.warnings == ["SELinux is not enabled for this daemon: the label level:s0 is not applied.",
                                "This host has no AppArmor: the profile mine is not applied."]
        assert box.exec(made, "echo confined") == "confined"
        shown = box.inspect(made)
        assert shown["HostConfig"]["SecurityOpt"] == ["apparmor=mine", "label=level:s0", "label=disable"]
        assert (shown["AppArmorProfile"], shown["ProcessLabel"], shown["MountLabel"]) == ("", "", "")


@host_config("GroupAdd")
def groups(box):
    assert box.run("id -G", {"GroupAdd": ["wheel", "4321"]}).split() == ["0", "10", "4321"]
    box.refused(400, "unable to find group nobodys", {"GroupAdd": ["nobodys"]})


@host_config("MaskedPaths", "ReadonlyPaths")
def closed_paths(box):
    script = "wc -c </proc/uptime; wc -c </proc/timer_list; echo 1 >/tmp/x || echo no; true"
    said = box.run(script, {"MaskedPaths": ["/proc/uptime"], "ReadonlyPaths": ["/tmp"]}).splitlines()
    assert said[0] == "0" and "no" in said
    assert box.run("wc -c </proc/uptime", {"Privileged": True, "MaskedPaths": ["/proc/uptime"]}) == "0"


@host_config("ReadonlyRootfs")
def read_only(box):
    assert "Read-only" in box.run("touch /x", {"ReadonlyRootfs": True}, code=1)


@host_config("Sysctls")
def sysctls(box):
    assert box.run("cat /proc/sys/net/ipv4/ip_default_ttl", {"Sysctls": {"net.ipv4.ip_default_ttl": "33"}}) == "33"
    box.refused(400, "sysctl", {"Sysctls": {"vm.swappiness": "1"}})


@host_config("Sysctls")
def low_ports_and_ping(box):
    """Where the network stack is the container's own everybody may listen at any port and send echo requests, unless it is said
    otherwise; the stack of the host, or of another container, stays as it is."""
    files = "cd /proc/sys/net/ipv4; cat ip_unprivileged_port_start ping_group_range"
    for mode in ("bridge", "none"):
        assert box.run(files, {"NetworkMode": mode}, {"User": "nobody"}).split() == ["0", "0", "2147483647"], mode
    box.run("nc -l -p 80 -w 1 & sleep 0.3; kill -0 $!", None, {"User": "nobody"})
    assert box.run(files, {"Sysctls": {"net.ipv4.ip_unprivileged_port_start": "1000"}}).split()[0] == "1000"
    hosts = pathlib.Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text().strip()
    assert box.run(files, {"NetworkMode": "host"}).split()[0] == hosts != "0"
    other = box.started({"Sysctls": {"net.ipv4.ip_unprivileged_port_start": "1000"}})
    assert box.run(files, {"NetworkMode": f"container:{other}"}).split()[0] == "1000"


@host_config("Init")
def init(box):
    made = box.started({"Init": True}, {"Cmd": ["sh", "-c", "sleep 1000 & wait"]})
    assert "docker-init" in box.exec(made, "cat /proc/1/cmdline | tr '\\0' ' '")
    # It reaps what others leave behind.
    assert box.exec(made, "(sleep 0 & sh -c 'true') ; sleep 0.2; ps | grep -c '[Z]ombie' || true") == "0"


@host_config("StorageOpt")
def storage(box):
    words = "--storage-opt is supported only for overlay over xfs with 'pquota' mount option"
    box.refused(500, words, {"StorageOpt": {"size": "1g"}})
    box.refused(500, words, {"StorageOpt": {"foo": "1", "size": "nonsense"}})
    box.refused(500, "Unknown option foo", {"StorageOpt": {"Foo": "1"}})


# Namespaces.

@host_config("IpcMode")
def ipc(box):
    own = os.readlink("/proc/self/ns/ipc")
    script = "readlink /proc/self/ns/ipc"
    assert box.run(script, {"IpcMode": "host"}) == own != box.run(script, {"IpcMode": "private"})
    assert box.run("grep -c /dev/shm /proc/mounts || true", {"IpcMode": "none"}) == "0"
    donor = box.started({"IpcMode": "shareable"})
    box.exec(donor, "echo shared >/dev/shm/x")
    assert box.run("cat /dev/shm/x", {"IpcMode": f"container:{donor}"}) == "shared"
    private = box.started({"IpcMode": "private"})
    box.refused(400, "non-shareable IPC (hint: use IpcMode:shareable for the donor container)", {"IpcMode": f"container:{private}"})
    box.refused(400, "invalid IPC mode: x", {"IpcMode": "x"})


@host_config("PidMode")
def pid_mode(box):
    assert box.run("readlink /proc/self/ns/pid", {"PidMode": "host"}) == os.readlink("/proc/self/ns/pid")
    other = box.started()
    assert "sleep 1000" in box.run("cat /proc/1/cmdline | tr '\\0' ' '", {"PidMode": f"container:{other}"})
    stopped = box.made()
    box.refused(409, f"cannot join PID namespace of a non running container: {stopped}", {"PidMode": f"container:{stopped}"})


@host_config("PidMode", "IpcMode", "NetworkMode")
def shared_with_one_that_is_renamed(box):
    other = box.started({"IpcMode": "shareable"})
    name = box.inspect(other)["Name"][1:]
    modes = ("PidMode", "IpcMode", "NetworkMode")
    made = box.started({mode: f"container:{name}" for mode in modes})
    shown = box.inspect(made)["HostConfig"]
    assert [shown[mode] for mode in modes] == [f"container:{other}"] * 3
    assert box.request("POST", f"/containers/{other}/rename?name={name}-renamed")[0] == 204
    assert box.request("POST", f"/containers/{made}/restart?t=0") == (204, b"")


@host_config("UTSMode")
def uts_mode(box):
    assert box.run("readlink /proc/self/ns/uts; hostname", {"UTSMode": "host"}).split() == [os.readlink("/proc/self/ns/uts"), socket.gethostname()]
    box.refused(400, "conflicting options: hostname and the UTS mode", {"UTSMode": "host"}, {"Hostname": "x"})
    box.refused(400, "invalid UTS mode: container:x", {"UTSMode": "container:x"})


@host_config("UsernsMode")
def userns_mode(box):
    assert box.run("readlink /proc/self/ns/user", {"UsernsMode": "host"}) == os.readlink("/proc/self/ns/user")
    box.refused(400, "invalid user namespace mode: private", {"UsernsMode": "private"})


@host_config("CgroupnsMode")
def cgroupns_mode(box):
    script = "readlink /proc/self/ns/cgroup"
    assert box.run(script, {"CgroupnsMode": "host"}) == os.readlink("/proc/self/ns/cgroup") != box.run(script, {"CgroupnsMode": "private"})
    box.refused(400, "invalid cgroup namespace mode: container:x", {"CgroupnsMode": "container:x"})


host_config.refusal("Cgroup", 501, "HostConfig.Cgroup", {"Cgroup": "container:x"})
host_config.refusal("Isolation", 400, "linux only supports 'default'", {"Isolation": "hyperv"})


# Networks.

@host_config("NetworkMode")
def network_mode(box):
    assert box.run("ls /sys/class/net", {"NetworkMode": "none"}).split() == ["lo"]
    assert box.run("readlink /proc/self/ns/net", {"NetworkMode": "host"}) == os.readlink("/proc/self/ns/net")
    other = box.started()
    shared = box.run("readlink /proc/self/ns/net; hostname", {"NetworkMode": f"container:{other}"}).split()
    assert shared[0] == box.exec(other, "readlink /proc/self/ns/net")
    box.refused(404, "network nowhere not found", {"NetworkMode": "nowhere"})
    box.refused(404, "No such container: nobody", {"NetworkMode": "container:nobody"})
    box.refused(400, "invalid container format container:<name|id>", {"NetworkMode": "container:"})


@host_config("PortBindings", "PublishAllPorts")
def ports(box):
    port = str(free_port())
    made = box.started({"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": port}]}, "PublishAllPorts": True},
                       {"ExposedPorts": {"81/udp": {}}})
    shown = box.inspect(made)["NetworkSettings"]["Ports"]
    assert shown["80/tcp"] == [{"HostIp": "127.0.0.1", "HostPort": port}] and shown["81/udp"][0]["HostPort"].isdigit()
    shown = box.inspect(box.made({"PortBindings": {"80/tcp": [{}], "81/tcp": None}}))["HostConfig"]["PortBindings"]
    assert shown == {"80/tcp": [{"HostIp": "", "HostPort": ""}], "81/tcp": None}


@host_config("Dns", "DnsOptions", "DnsSearch")
def names(box):
    said = box.run("cat /etc/resolv.conf", {"Dns": ["192.0.2.9"], "DnsOptions": ["ndots:3"], "DnsSearch": ["example.org"]})
    assert {"nameserver 192.0.2.9", "options ndots:3", "search example.org"} <= set(said.splitlines())


@host_config("ExtraHosts")
def hosts(box):
    said = box.run("cat /etc/hosts", {"ExtraHosts": ["db:192.0.2.5", "me:host-gateway"]})
    assert "192.0.2.5\tdb" in said and "\tme" in said
    for entry, words in [("nonsense", 'bad format for add-host: "nonsense"'), ("db:here", 'invalid IP address in add-host: "here"')]:
        status, answer = box.create({"ExtraHosts": [entry]})
        assert (status, answer["message"]) == (400, words)


@host_config("Links")
def links(box):
    other = box.started(None, {"ExposedPorts": {"5432/tcp": {}}, "Env": ["SECRET=s"]})
    name = box.inspect(other)["Name"][1:]
    said = box.run("grep store /etc/hosts; env", {"Links": [f"{name}:store"]}).splitlines()
    address = box.inspect(other)["NetworkSettings"]["IPAddress"]
    assert f"{address}\tstore {other[:12]} {name}" in said
    assert f"STORE_PORT_5432_TCP=tcp://{address}:5432" in said and "STORE_ENV_SECRET=s" in said
    box.refused(400, "could not get container for nobody: No such container: nobody", {"Links": ["nobody"]})


# Files.

@host_config("Binds", "VolumesFrom")
def binds(box):
    directory = box.daemon.scratch / box.name
    directory.mkdir()
    (directory / "f").write_text("from the host")
    other = box.made({"Binds": [f"{directory}:/in:ro", f"{box.name}-v:/v"]})
    try:
        assert "Read-only" in box.run("cat /in/f; touch /in/g", {"Binds": [f"{directory}:/in:ro"]}, code=1)
        assert box.run("cat /in/f", {"VolumesFrom": [other]}) == "from the host"
        box.refused(400, "invalid volume specification: 'a:b:c:d'", {"Binds": ["a:b:c:d"]})
        box.refused(400, "No such container: nobody", {"VolumesFrom": ["nobody"]})
    finally:
        shutil.rmtree(directory)


@host_config("Mounts")
def mounts(box):
    volume = f"{box.name}-m"
    box.run("echo kept >/m/f", {"Mounts": [{"Type": "volume", "Source": volume, "Target": "/m"}]})
    assert box.run("cat /m/f", {"Mounts": [{"Type": "volume", "Source": volume, "Target": "/m", "ReadOnly": True}]}) == "kept"


@host_config("Tmpfs")
def tmpfs(box):
    assert "size=2048k" in box.run("grep ' /t ' /proc/mounts", {"Tmpfs": {"/t": "size=2m,exec"}})
    box.refused(400, 'invalid tmpfs option ["nonsense" "1"]', {"Tmpfs": {"/t": "nonsense=1"}})


@host_config("VolumeDriver")
def volume_driver(box):
    box.run("true", {"VolumeDriver": "local", "Binds": [f"{box.name}-d:/d"]})
    words = 'error looking up volume plugin floppy: plugin "floppy" not found'
    box.refused(404, words, {"VolumeDriver": "floppy", "Binds": [f"{box.name}-e:/d"]})


# Life.

@host_config("RestartPolicy")
def restart_policy(box):
    made = box.started({"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 2}}, {"Cmd": ["sh", "-c", "exit 3"]})
    box.until(lambda: (lambda one: one["RestartCount"] == 2 and one["State"]["Status"] == "exited")(box.inspect(made)), "the last restart")
    shown = box.inspect(made)
    assert (shown["RestartCount"], shown["State"]["ExitCode"]) == (2, 3)
    box.refused(400, "invalid restart policy: unknown policy 'never'", {"RestartPolicy": {"Name": "never"}})


@host_config("AutoRemove")
def auto_remove(box):
    made = box.started({"AutoRemove": True}, {"Cmd": ["true"]})
    box.until(lambda: box.request("GET", f"/containers/{made}/json")[0] == 404, "the removal")


@host_config("LogConfig")
def log_config(box):
    made = box.started({"LogConfig": {"Type": "json-file", "Config": {"max-size": "10k", "labels": "a"}}},
                       {"Cmd": ["echo", "said"], "Labels": {"a": "b"}})
    box.request("POST", f"/containers/{made}/wait")
    line = json.loads(pathlib.Path(box.inspect(made)["LogPath"]).read_text().splitlines()[0])
    assert line["log"] == "said\n" and line["attrs"] == {"a": "b"}
    box.refused(400, "no log driver named 'paper' is registered", {"LogConfig": {"Type": "paper", "Config": {}}})


@host_config("ConsoleSize")
def console_size(box):
    assert box.run("stty size", {"ConsoleSize": [33, 99]}, {"Tty": True}) == "33 99"
    box.refused(400, "invalid ConsoleSize", {"ConsoleSize": [1]})


@host_config("Annotations")
def annotations(box):
    made = box.started({"Annotations": {"org.example.a": "b"}})
    assert box.configuration(made)["annotations"] == {"org.example.a": "b"} == box.inspect(made)["HostConfig"]["Annotations"]
    box.refused(400, "the empty string is not permitted as an annotation key", {"Annotations": {"": "x"}})


@host_config("Runtime")
def runtime(box):
    box.refused(400, "unknown or invalid runtime name: sprint", {"Runtime": "sprint"})
    assert box.run("echo ran", {"Runtime": "clipper"}) == "ran"


@host_config("ContainerIDFile")
def id_file(box):
    """The client writes that file; the daemon keeps its name for whoever asks."""
    assert box.inspect(box.made({"ContainerIDFile": "/tmp/cid"}))["HostConfig"]["ContainerIDFile"] == "/tmp/cid"


def test_the_table_has_every_member():
    assert set(members("HostConfig")) - host_config.names == set()


@pytest.mark.parametrize("proves", [pytest.param(function, id=name) for name, function in host_config.cases])
def test_member(box, proves):
    proves(box)
