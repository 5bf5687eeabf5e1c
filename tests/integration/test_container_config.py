"""Every member of ContainerConfig, of its health check, of a mount and of a network's endpoint has an effect, or is refused by name."""

import json
import pathlib
import subprocess

import pytest

from box import Box, Table, members
from harness import IMAGE

config = Table()
health = Table()
mount = Table()
endpoint = Table()


@pytest.fixture
def box(daemon, name):
    return Box(daemon, name)


@pytest.fixture
def network(daemon, name):
    """A network with an address range of its own."""
    third = sum(name.encode()) % 200
    status, answer = daemon.request("POST", "/networks/create", {
        "Name": f"{name}-n", "IPAM": {"Config": [{"Subnet": f"10.231.{third}.0/24"}]}})
    assert status == 201, answer
    return f"{name}-n", f"10.231.{third}"


# ContainerConfig.

@config("Hostname", "Domainname")
def host_name(box):
    assert box.run("hostname; cat /proc/sys/kernel/domainname; grep -w box /etc/hosts", None, {"Hostname": "box", "Domainname": "example.org"}) \
        .split()[:2] == ["box", "example.org"]


@config("Hostname")
def name_with_dots(box):
    assert box.run("hostname; grep -w db /etc/hosts | cut -f2", None, {"Hostname": "db.example.org"}).splitlines() \
        == ["db.example.org", "db.example.org db"]


@config("User")
def user(box):
    assert box.run("id -u; id -g; echo $HOME", None, {"User": "www-data:10"}).split() == ["33", "10", "/var/www"]
    box.refused(400, "unable to find user nobodys: no matching entries in passwd file", config={"User": "nobodys"})


@config("AttachStdin", "AttachStdout", "AttachStderr", "OnBuild", "Shell", "ArgsEscaped")
def shown_members(box):
    """What a client tells itself (whether it will attach), what an image made of the container is to have, and what only Windows needs."""
    given = {"AttachStdin": True, "AttachStdout": True, "AttachStderr": True, "OnBuild": ["RUN true"], "Shell": ["sh", "-e"], "ArgsEscaped": True}
    made = box.made(None, given)
    shown = box.inspect(made)["Config"]
    assert {key: shown.get(key) for key in given} == given
    status, image = box.request("POST", f"/commit?container={made}&repo={box.name}")
    committed = box.request("GET", f"/images/{box.name}/json")[1]["Config"]
    assert status == 201 and committed["OnBuild"] == ["RUN true"] and committed["Shell"] == ["sh", "-e"], image


@config("ExposedPorts")
def exposed(box):
    made = box.started(None, {"ExposedPorts": {"80/tcp": {}}})
    assert box.inspect(made)["NetworkSettings"]["Ports"] == {"80/tcp": None}
    box.refused(400, 'invalid port specification: "nonsense"', config={"ExposedPorts": {"nonsense": {}}})


@config("Tty")
def terminal(box):
    assert box.run("tty", None, {"Tty": True}).startswith("/dev/pts/") or box.run("tty", None, {"Tty": True}) == "/dev/console"
    assert box.run("test -t 0 || echo none") == "none"


@config("OpenStdin", "StdinOnce")
def standard_input(box):
    made = box.started({}, {"OpenStdin": True, "StdinOnce": False, "Cmd": ["sh", "-c", "readlink /proc/self/fd/0"]})
    assert box.output(made).startswith("pipe:")
    assert box.run("readlink /proc/self/fd/0") == "/dev/null"
    once = box.made({}, {"OpenStdin": True, "StdinOnce": True, "Cmd": ["cat"]})
    done = subprocess.run(["docker", "-H", box.daemon.host, "start", "-ai", once], input=b"through\n", capture_output=True, timeout=30)
    assert done.stdout == b"through\n", done


@config("Env")
def environment(box):
    said = box.run("env", None, {"Env": ["A=b=c", "PATH=/bin", "GONE"]}).splitlines()
    assert {"A=b=c", "PATH=/bin"} <= set(said) and not any(line.startswith("GONE") for line in said)
    box.refused(400, "invalid environment variable: =x", config={"Env": ["=x"]})


@config("Env")
def environment_of_the_image(box):
    """The request's variables come first; one without "=" takes away the image's and what every container has."""
    image = box.image("ENV A=1 B=2")
    shown = box.inspect(box.made(None, {"Image": image, "Env": ["B=3", "C=4", "GONE"]}))["Config"]["Env"]
    assert shown[:3] == ["B=3", "C=4", "GONE"] and "A=1" in shown and "B=2" not in shown
    said = box.run("/bin/env", None, {"Image": image, "Cmd": ["/bin/env"], "Env": ["A", "HOSTNAME"]}).splitlines()
    assert "B=2" in said and not any(line.startswith(("A=", "HOSTNAME=")) for line in said)


@config("Cmd", "Entrypoint")
def command(box):
    assert box.run("", None, {"Entrypoint": ["echo", "a"], "Cmd": ["b"]}) == "a b"
    box.refused(400, "no command specified", config={"Cmd": [], "Entrypoint": [""]})
    box.refused(400, 'exec: "/no/such": stat /no/such: no such file or directory', config={"Cmd": ["/no/such"]})


@config("Cmd", "Entrypoint")
def command_of_the_image(box):
    """An empty entrypoint takes the image's away and leaves its command; an empty word takes both."""
    image = box.image('ENTRYPOINT ["echo", "E"]', 'CMD ["id", "-u"]')
    for given, expected in [({}, ["echo", "E", "id", "-u"]), ({"Entrypoint": []}, ["id", "-u"]), ({"Cmd": ["x"]}, ["echo", "E", "x"]),
                            ({"Entrypoint": ["true"]}, ["true"]), ({"Entrypoint": [""], "Cmd": ["x"]}, ["x"])]:
        shown = box.inspect(box.made(None, {"Image": image, "Cmd": None, **given}))
        assert [shown["Path"], *shown["Args"]] == expected, given
    box.refused(400, "no command specified", config={"Image": image, "Cmd": None, "Entrypoint": [""]})


@config("Image")
def image(box):
    assert box.inspect(box.made())["Config"]["Image"] == IMAGE
    box.refused(404, "No such image: clipper/nothing:latest", config={"Image": "clipper/nothing"})
    box.refused(400, "no image specified", config={"Image": ""})


@config("Volumes")
def volumes(box):
    made = box.made(None, {"Volumes": {"/data": {}}})
    assert [(m["Type"], m["Destination"], len(m["Name"])) for m in box.inspect(made)["Mounts"]] == [("volume", "/data", 64)]


@config("WorkingDir")
def working_directory(box):
    assert box.run("pwd", None, {"WorkingDir": "/made/for/it"}) == "/made/for/it"
    assert box.inspect(box.made(None, {"WorkingDir": "/a/../b//c/"}))["Config"]["WorkingDir"] == "/b/c"
    box.refused(400, "needs to be an absolute path", config={"WorkingDir": "rel"})
    box.refused(500, "make working directory /etc/passwd: not a directory", config={"WorkingDir": "/etc/passwd"})


@config("NetworkDisabled")
def network_disabled(box):
    assert box.run("ls /sys/class/net", None, {"NetworkDisabled": True}).split() == ["lo"]
    assert box.inspect(box.started(None, {"NetworkDisabled": True}))["NetworkSettings"]["Networks"] == {}


@config("MacAddress")
def mac_address(box):
    made = box.made(None, {"Cmd": ["cat", "/sys/class/net/eth0/address"], "MacAddress": "02:00:5e:00:00:05"}, version="v1.43")
    box.start(made)
    assert box.output(made) == "02:00:5e:00:00:05"


@config("Labels")
def labels(box):
    made = box.made(None, {"Labels": {"org.example": "x"}})
    found = box.request("GET", '/containers/json?all=1&filters={"label":["org.example=x"]}')[1]
    assert [one["Id"] for one in found] == [made]


@config("StopSignal", "StopTimeout")
def stop(box):
    made = box.started(None, {"Cmd": ["sh", "-c", "trap 'exit 5' USR1; trap '' TERM; while :; do sleep 0.05; done"], "StopSignal": "SIGUSR1"})
    box.request("POST", f"/containers/{made}/stop")
    assert box.inspect(made)["State"]["ExitCode"] == 5
    deaf = box.started(None, {"Cmd": ["sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"], "StopTimeout": 0})
    box.request("POST", f"/containers/{deaf}/stop")
    assert box.inspect(deaf)["State"]["ExitCode"] == 137
    box.refused(400, "Invalid signal: SIGNOTHING", config={"StopSignal": "SIGNOTHING"})


@config("Healthcheck")
def health_check(box):
    made = box.started(None, {"Healthcheck": {"Test": ["CMD-SHELL", "echo fine"], "Interval": 10_000_000}})
    box.until(lambda: box.inspect(made)["State"]["Health"]["Status"] == "healthy", "health")
    assert box.inspect(made)["State"]["Health"]["Log"][0]["Output"] == "fine\n"


# HealthConfig. Times in nanoseconds; the shortest that Docker takes is a millisecond.

@health("Test", "Interval", "Retries")
def failing(box):
    made = box.started(None, {"Healthcheck": {"Test": ["CMD", "false"], "Interval": 10_000_000, "Retries": 2}})
    box.until(lambda: box.inspect(made)["State"]["Health"]["Status"] == "unhealthy", "ill health")
    assert box.inspect(made)["State"]["Health"]["FailingStreak"] >= 2
    box.refused(400, "Interval in Healthcheck cannot be less than 1ms", config={"Healthcheck": {"Test": ["CMD", "true"], "Interval": 5}})
    box.refused(400, "Retries in Healthcheck cannot be negative", config={"Healthcheck": {"Test": ["CMD", "true"], "Retries": -1}})
    box.refused(400, "Unknown healthcheck type 'DANCE' (expected 'CMD')", config={"Healthcheck": {"Test": ["DANCE"]}})


@health("Timeout")
def slow(box):
    check = {"Test": ["CMD", "sleep", "100"], "Interval": 10_000_000, "Timeout": 50_000_000, "Retries": 1}
    made = box.started(None, {"Healthcheck": check})
    box.until(lambda: box.inspect(made)["State"]["Health"]["Status"] == "unhealthy", "ill health")
    assert "exceeded timeout" in box.inspect(made)["State"]["Health"]["Log"][0]["Output"]


@health("StartPeriod", "StartInterval")
def starting(box):
    check = {"Test": ["CMD", "false"], "Interval": 3_600_000_000_000, "StartPeriod": 3_600_000_000_000, "StartInterval": 10_000_000, "Retries": 1}
    made = box.started(None, {"Healthcheck": check})
    box.until(lambda: len(box.inspect(made)["State"]["Health"]["Log"]) >= 3, "three checks")
    assert box.inspect(made)["State"]["Health"]["Status"] == "starting"


@health("Test", "Interval", "Timeout", "StartPeriod", "StartInterval", "Retries")
def left_open(box):
    """What the request does not say of the check the image does."""
    second = 1_000_000_000
    image = box.image("HEALTHCHECK --interval=7s --timeout=3s --start-period=2s --start-interval=1s --retries=4 CMD true")
    whole = {"Test": ["CMD-SHELL", "true"], "Interval": 7 * second, "Timeout": 3 * second, "StartPeriod": 2 * second,
             "StartInterval": second, "Retries": 4}
    for given in [{}, {"Test": []}, {"Interval": 5 * second}, {"Retries": 9, "Timeout": 0}, {"Test": ["NONE"]}]:
        shown = box.inspect(box.made(None, {"Image": image, "Healthcheck": given}))["Config"]["Healthcheck"]
        assert shown == {**whole, **{key: value for key, value in given.items() if value}}, given


# Mount.

def mounted(box, script, code=0, **members):
    return box.run(script, {"Mounts": [{"Target": "/m", **members}]}, code=code)


def refused_mount(box, status, words, **members):
    box.refused(status, words, {"Mounts": [{"Target": "/m", **members}]})


@mount("Type", "Source", "Target", "ReadOnly")
def bind(box, directory):
    (directory / "f").write_text("here")
    said = mounted(box, "cat /m/f; touch /m/g || true", Type="bind", Source=str(directory), ReadOnly=True)
    assert "here" in said and "Read-only" in said
    refused_mount(box, 400, "mount type unknown", Type="floppy", Source="/")
    refused_mount(box, 501, "Mounts.Type=cluster", Type="cluster", Source="x")
    refused_mount(box, 400, "field Target must not be empty", Type="bind", Source="/", Target="")
    refused_mount(box, 400, "bind source path does not exist: /no/such", Type="bind", Source="/no/such")


@mount("Consistency")
def consistency(box, directory):
    """It has a meaning on macOS alone, where the daemon is not."""
    made = box.made({"Mounts": [{"Type": "bind", "Source": str(directory), "Target": "/m", "Consistency": "cached"}]})
    assert box.inspect(made)["HostConfig"]["Mounts"][0]["Consistency"] == "cached"
    refused_mount(box, 400, "invalid consistency: wet", Type="bind", Source="/", Consistency="wet")


@mount("BindOptions.Propagation")
def propagation(box, directory):
    subprocess.run(["mount", "-t", "tmpfs", "none", directory], check=True)
    try:
        subprocess.run(["mount", "--make-private", directory], check=True)
        words = f"path {directory} is mounted on {directory} but it is not a shared mount"
        refused_mount(box, 500, words, Type="bind", Source=str(directory), BindOptions={"Propagation": "rshared"})
        subprocess.run(["mount", "--make-shared", directory], check=True)
        for kind, arrives in [("rslave", True), ("rprivate", False)]:
            made = box.started({"Mounts": [{"Type": "bind", "Source": str(directory), "Target": "/m", "BindOptions": {"Propagation": kind}}]})
            below = directory / kind
            below.mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "none", below], check=True)
            assert box.exec(made, f"grep -c ' /m/{kind} ' /proc/mounts || true") == str(int(arrives))
        for kind in ["rshared", "shared"]:
            bind = {"Type": "bind", "Source": str(directory), "Target": "/m", "BindOptions": {"Propagation": kind}}
            box.run(f"mkdir /m/{kind}; mount -t tmpfs none /m/{kind}; echo inside >/m/{kind}/file", {"Privileged": True, "Mounts": [bind]})
            assert (directory / kind / "file").read_text() == "inside\n", "a mount of the container is not there on the host"
        refused_mount(box, 400, "invalid propagation mode: sideways", Type="bind", Source="/", BindOptions={"Propagation": "sideways"})
    finally:
        for entry in directory.iterdir():
            subprocess.run(["umount", "-l", entry])
        subprocess.run(["umount", "-l", directory], check=True)


@mount("BindOptions.NonRecursive", "BindOptions.ReadOnlyNonRecursive", "BindOptions.ReadOnlyForceRecursive")
def recursion(box, directory):
    below = directory / "below"
    below.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", below], check=True)
    try:
        def tries(**options):
            return mounted(box, "touch /m/below/x && echo written || true", Type="bind", Source=str(directory),
                           ReadOnly=True, BindOptions=options)
        assert tries(ReadOnlyNonRecursive=True) == "written"
        assert "Read-only" in tries() and "Read-only" in tries(ReadOnlyForceRecursive=True)
        assert mounted(box, "ls /m/below", Type="bind", Source=str(directory), BindOptions={"NonRecursive": True}) == ""
        assert "Read-only" in box.run("touch /m/below/y", {"Binds": [f"{directory}:/m:ro"]}, code=1)
        old = box.made({"Mounts": [{"Type": "bind", "Source": str(directory), "Target": "/m", "ReadOnly": True}]},
                       {"Cmd": ["touch", "/m/below/old"]}, version="v1.43")
        box.start(old)
        box.output(old)
        refused_mount(box, 400, "ReadOnlyForceRecursive", Type="bind", Source="/",
                      BindOptions={"ReadOnlyForceRecursive": True, "ReadOnlyNonRecursive": True})
    finally:
        subprocess.run(["umount", "-l", below], check=True)


@mount("BindOptions", "BindOptions.CreateMountpoint")
def create_mountpoint(box, directory):
    assert mounted(box, "ls /m", Type="bind", Source=f"{directory}/new/one", BindOptions={"CreateMountpoint": True}) == ""
    assert (directory / "new/one").is_dir()
    refused_mount(box, 400, "BindOptions must not be specified", Type="volume", Source="x", BindOptions={"CreateMountpoint": True})


@mount("VolumeOptions", "VolumeOptions.Labels", "VolumeOptions.DriverConfig")
def volume(box, directory):
    options = {"Labels": {"a": "b"}, "DriverConfig": {"Name": "local", "Options": {"type": "tmpfs", "device": "tmpfs", "o": "size=1m,uid=33"}}}
    said = mounted(box, "grep ' /m ' /proc/mounts; stat -c %u /m", Type="volume", Source=f"{box.name}-t", VolumeOptions=options)
    assert "size=1024k" in said and said.split()[-1] == "33"
    shown = box.request("GET", f"/volumes/{box.name}-t")[1]
    assert shown["Labels"] == {"a": "b"} and shown["Options"]["o"] == "size=1m,uid=33"
    (directory / "f").write_text("bound")
    local = {"DriverConfig": {"Name": "local", "Options": {"type": "none", "device": str(directory), "o": "bind"}}}
    assert mounted(box, "cat /m/f", Type="volume", Source=f"{box.name}-b", VolumeOptions=local) == "bound"
    refused_mount(box, 404, 'plugin "floppy" not found', Type="volume", Source="xx", VolumeOptions={"DriverConfig": {"Name": "floppy"}})


@mount("VolumeOptions.NoCopy")
def no_copy(box, directory):
    for no_copy, there in [(True, "no"), (False, "yes")]:
        made = {"Mounts": [{"Type": "volume", "Source": f"{box.name}-{there}", "Target": "/etc", "VolumeOptions": {"NoCopy": no_copy}}]}
        assert box.run("test -e /etc/passwd && echo yes || echo no", made) == there


@mount("VolumeOptions.Subpath")
def volume_subpath(box, directory):
    name = f"{box.name}-s"
    mounted(box, "mkdir -p /m/a/b; echo deep >/m/a/b/f; ln -s /etc /m/out; ln -s ../../../../etc /m/up", Type="volume", Source=name)
    assert mounted(box, "ls /m; cat /m/f; echo new >/m/g", Type="volume", Source=name, VolumeOptions={"Subpath": "a/b"}) == "f\ndeep"
    assert mounted(box, "cat /m", Type="volume", Source=name, VolumeOptions={"Subpath": "a/b/g"}) == "new"
    # A link in the volume leads to the volume's own /etc, which there is none, never to the host's.
    for link in ("out", "up"):
        refused_mount(box, 400, f"cannot access path {link}", Type="volume", Source=name, VolumeOptions={"Subpath": link})
    refused_mount(box, 400, "cannot access path none", Type="volume", Source=name, VolumeOptions={"Subpath": "none"})
    refused_mount(box, 400, "subpath must be a relative path within the volume", Type="volume", Source=name, VolumeOptions={"Subpath": "../x"})
    assert not any("sources/" in line for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines())


@mount("ImageOptions", "ImageOptions.Subpath")
def image_mount(box, directory):
    assert "passwd" in mounted(box, "ls /m/etc; touch /m/x || true", Type="image", Source=IMAGE)
    assert "NAME=" in mounted(box, "cat /m/os-release; touch /m/x || true", Type="image", Source=IMAGE, ImageOptions={"Subpath": "etc"})
    assert "root" in mounted(box, "grep ^root /m", Type="image", Source=IMAGE, ImageOptions={"Subpath": "etc/passwd"})
    assert "Read-only" in mounted(box, "touch /m/x", Type="image", Source=IMAGE, code=1)
    made = box.made({"Mounts": [{"Type": "image", "Source": IMAGE, "Target": "/m"}]})
    shown = box.inspect(made)["Mounts"][0]
    assert (shown["Type"], shown["Name"], shown["RW"]) == ("image", IMAGE, False)
    # An image that a container mounts is in use.
    tools = box.made(None, {"Cmd": ["sh", "-c", "echo tool >/tool"]})
    box.start(tools)
    box.output(tools)
    _, image = box.request("POST", f"/commit?container={tools}&repo={box.name}-tools")
    user = box.made({"Mounts": [{"Type": "image", "Source": f"{box.name}-tools", "Target": "/m"}]}, {"Cmd": ["cat", "/m/tool"]})
    status, answer = box.request("DELETE", f"/images/{image['Id']}")
    assert status == 409 and user[:12] in answer["message"], answer
    box.start(user)
    assert box.output(user) == "tool"
    refused_mount(box, 404, "No such image: clipper/nothing", Type="image", Source="clipper/nothing")
    refused_mount(box, 400, "cannot access path nowhere", Type="image", Source=IMAGE, ImageOptions={"Subpath": "nowhere"})


@mount("TmpfsOptions", "TmpfsOptions.SizeBytes", "TmpfsOptions.Mode", "TmpfsOptions.Options")
def tmpfs(box, directory):
    options = {"SizeBytes": 1 << 20, "Mode": 0o1750, "Options": [["exec"], ["uid", "33"]]}
    said = mounted(box, "grep ' /m ' /proc/mounts; stat -c '%a %u' /m", Type="tmpfs", TmpfsOptions=options)
    assert "size=1024k" in said and "noexec" not in said and said.endswith("1750 33")


# EndpointSettings and NetworkingConfig. What only answers have is no part of a request.

ANSWERS_ONLY = {
    "NetworkID", "EndpointID", "Gateway", "IPAddress", "IPPrefixLen", "IPv6Gateway", "GlobalIPv6Address", "GlobalIPv6PrefixLen", "DNSNames"}


@endpoint("IPAMConfig", "IPAMConfig.IPv4Address", "Aliases", "MacAddress")
def address(box, network):
    name, base = network
    settings = {"IPAMConfig": {"IPv4Address": f"{base}.77"}, "Aliases": ["nick"], "MacAddress": "02:00:5e:00:00:07"}
    made = box.started({"NetworkMode": name}, networking={name: settings})
    assert f"{base}.77/24" in box.exec(made, "ip addr show eth0") and "02:00:5e:00:00:07" in box.exec(made, "ip link show eth0")
    assert f"{base}.77" in box.run("nslookup nick", {"NetworkMode": name})
    box.refused(400, "invalid IPv4 address: nonsense", {"NetworkMode": name}, networking={name: {"IPAMConfig": {"IPv4Address": "nonsense"}}})
    words = "user specified IP address is supported on user defined networks only"
    box.refused(400, words, networking={"bridge": {"IPAMConfig": {"IPv4Address": "172.17.0.99"}}})
    words = "network-scoped aliases are only supported for user-defined networks"
    box.refused(400, words, networking={"bridge": {"Aliases": ["x"]}})


@endpoint("IPAMConfig.IPv6Address")
def address6(box, network):
    name, _ = network
    box.refused(400, "invalid IPv6 address: nonsense", {"NetworkMode": name}, networking={name: {"IPAMConfig": {"IPv6Address": "nonsense"}}})
    box.refused(400, "IPv6 is not enabled", {"NetworkMode": name}, networking={name: {"IPAMConfig": {"IPv6Address": "fd00::5"}}})


def test_a_place_that_is_not_taken_yet_has_all_members(box):
    """As Docker shows it; `DNSNames` came with 1.44, `GwPriority` with 1.48."""
    made = box.made()
    for version, more in [("v1.50", {"DNSNames": None, "GwPriority": 0}), ("v1.41", {})]:
        _, shown = box.request("GET", f"/{version}/containers/{made}/json")
        assert shown["NetworkSettings"]["Networks"] == {"bridge": {
            "IPAMConfig": None, "Links": None, "Aliases": None, "DriverOpts": None, "NetworkID": "", "EndpointID": "", "Gateway": "",
            "IPAddress": "", "IPPrefixLen": 0, "IPv6Gateway": "", "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0, "MacAddress": "", **more}}


@endpoint("Links")
def links(box, network):
    name, _ = network
    other = box.inspect(box.started({"NetworkMode": name}))
    address = other["NetworkSettings"]["Networks"][name]["IPAddress"]
    said = box.run("nslookup nick", {"NetworkMode": name}, networking={name: {"Links": [f"{other['Name'][1:]}:nick"]}})
    assert address in said


@endpoint("GwPriority")
def gateway_priority(box, network):
    name, base = network
    first = box.run("ip route | grep default", networking={"bridge": {}, name: {}})
    assert f"via {base}." not in first
    assert f"via {base}." in box.run("ip route | grep default", networking={"bridge": {}, name: {"GwPriority": 5}})


@endpoint("DriverOpts")
def driver_options(box, network):
    name, base = network
    prefix = "com.docker.network.endpoint."

    def options(**given):
        return {name: {"DriverOpts": {prefix + key: value for key, value in given.items()}}}
    # The other network's interface has the first number as before.
    both = {**options(ifname="uplink7"), "bridge": {}}
    said = box.run("ip -o -4 addr; ls /sys/class/net", networking=both).split()
    assert {"uplink7", "eth0"} <= set(said) and "eth1" not in said and any(word.startswith(base) for word in said)
    sysctls = "net.ipv4.conf.IFNAME.log_martians=1,net.ipv4.neigh.ifname.gc_stale_time=77"
    paths = "cat /proc/sys/net/ipv4/conf/eth0/log_martians /proc/sys/net/ipv4/neigh/eth0/gc_stale_time /proc/sys/net/ipv4/conf/lo/log_martians"
    assert box.run(paths, {"NetworkMode": name}, networking=options(sysctls=sysctls)).split() == ["1", "77", "0"]
    six = "cat /proc/sys/net/ipv6/conf/eth0/disable_ipv6"
    assert box.run(six, {"NetworkMode": name}, networking=options(sysctls="net.ipv6.conf.IFNAME.disable_ipv6=0")).split() == ["0"]
    for wrong in ["net.ipv4.conf.eth0.log_martians=1", "net.ipv4.IFNAME=1", "kernel.ipv4.conf.IFNAME.x=1", "net.core.conf.IFNAME.x=1", "",
                  "net.ipv4.conf.IFNAME.log_martians", "net.ipv4.conf.IFNAME.a/b=1"]:
        box.refused(400, f"unrecognised network interface sysctl '{wrong}'", networking=options(sysctls=wrong))
    box.refused(400, "no/such", networking=options(ifname="no/such"))
    box.refused(501, "EndpointSettings.DriverOpts.a", networking={name: {"DriverOpts": {"a": "b"}}})


@endpoint("IPAMConfig.LinkLocalIPs")
def link_local(box, network):
    name, base = network
    given = {name: {"IPAMConfig": {"LinkLocalIPs": ["169.254.3.4", "fe80::77"]}}}
    said = box.run("ip -o addr show eth0", {"NetworkMode": name}, networking=given)
    assert "169.254.3.4/16" in said and "fe80::77/64" in said and f"{base}." in said
    shown = box.inspect(box.started({"NetworkMode": name}, networking=given))["NetworkSettings"]["Networks"][name]
    assert shown["IPAMConfig"]["LinkLocalIPs"] == ["169.254.3.4", "fe80::77"] and shown["IPAddress"].startswith(base)
    box.refused(400, "invalid link-local IP address: 0.0.0.0", networking={name: {"IPAMConfig": {"LinkLocalIPs": ["0.0.0.0"]}}})
    box.refused(400, "invalid link-local IP address: x", networking={name: {"IPAMConfig": {"LinkLocalIPs": ["x"]}}})


def test_the_tables_have_every_member():
    options = [f"{kind}.{name}" for kind in ("BindOptions", "VolumeOptions", "ImageOptions", "TmpfsOptions")
               for name in members(f"Mount/{kind}")]
    assert set(members("ContainerConfig")) - config.names == set()
    assert set(members("HealthConfig")) - health.names == set()
    assert set(members("Mount")) | set(options) == mount.names
    assert set(members("EndpointSettings")) | {f"IPAMConfig.{name}" for name in members("EndpointIPAMConfig")} == endpoint.names | ANSWERS_ONLY
    assert members("NetworkingConfig") == ["EndpointsConfig"]


def rows(table):
    return pytest.mark.parametrize("proves", [pytest.param(function, id=name) for name, function in table.cases])


@rows(config)
def test_config(box, proves):
    proves(box)


@rows(health)
def test_health(box, proves):
    proves(box)


@rows(mount)
def test_mount(box, tmp_path, proves):
    proves(box, tmp_path)


@rows(endpoint)
def test_endpoint(box, network, proves):
    proves(box, network)


def test_the_platform_is_checked(box):
    assert json.dumps(box.inspect(box.made(query="&platform=linux"))["Platform"]) == '"linux"'
    status, answer = box.create(query="&platform=linux/s390x")
    assert status == 404 and "does not provide the specified platform" in answer["message"]
    status, answer = box.create(query="&platform=nonsense/a/b/c/d")
    assert status == 400
