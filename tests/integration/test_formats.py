"""`--format`: every field that Docker's client knows, beside that client on the same daemon."""

import json
import time

import pytest

from conftest import PROGRAMS
from harness import IMAGE, Client, free_port, wait_until

# The newest client there is; older ones lack fields.
PEER = max((name for name in PROGRAMS if name.startswith("docker-")), key=lambda n: [int(p) for p in n[7:].split(".")], default=None)
pytestmark = pytest.mark.skipif(PEER is None or PEER < "docker-28", reason="no docker client of version 28 or later")

LISTS = {
    "ps -a": "ID Names Image Command CreatedAt RunningFor Ports State Status Size Labels Mounts LocalVolumes Networks Platform",
    "ps -a --no-trunc": "ID Names Image Command Mounts Networks",
    "images -a": "ID Repository Tag Digest CreatedSince CreatedAt Size Containers VirtualSize SharedSize UniqueSize",
    "images --digests --no-trunc": "ID Repository Tag Digest",
    "network ls": "ID Name Driver Scope IPv4 IPv6 Internal Labels CreatedAt",
    "volume ls": "Name Driver Scope Mountpoint Labels Links Size Availability Group Status",
    "system df": "Type TotalCount Active Size Reclaimable",
    f"history {IMAGE}": "ID CreatedSince CreatedAt CreatedBy Size Comment",
    f"history --no-trunc -H=false {IMAGE}": "ID CreatedAt CreatedBy Size Comment",
    "context ls": "Name Description DockerEndpoint Current Error",
}
OBJECTS = {
    "version": ".Client.APIVersion .Client.DefaultAPIVersion .Client.Os .Client.Arch .Client.Context .Server.Platform.Name .Server.Version "
               ".Server.APIVersion .Server.MinAPIVersion .Server.GitCommit .Server.GoVersion .Server.Os .Server.Arch .Server.KernelVersion "
               ".Server.BuildTime .Server.Experimental .Server.Components",
    "info": ".ID .Containers .ContainersRunning .ContainersPaused .ContainersStopped .Images .Driver .DriverStatus .Plugins.Volume "
            ".Plugins.Network .Plugins.Log .MemoryLimit .SwapLimit .CPUCfsPeriod .CPUCfsQuota .CPUShares .CPUSet .PidsLimit .IPv4Forwarding "
            ".Debug .OomKillDisable .LoggingDriver .CgroupDriver .CgroupVersion .KernelVersion .OperatingSystem .OSVersion .OSType "
            ".Architecture .IndexServerAddress .NCPU .MemTotal .GenericResources .DockerRootDir .HTTPProxy .HTTPSProxy .NoProxy .Name "
            ".Labels .ExperimentalBuild .ServerVersion .Runtimes .DefaultRuntime .Swarm.NodeID .Swarm.LocalNodeState .LiveRestoreEnabled "
            ".Isolation .InitBinary .ContainerdCommit.ID .RuncCommit.ID .InitCommit.ID .SecurityOptions .ProductLicense "
            ".DefaultAddressPools .CDISpecDirs .Warnings .ClientInfo.Debug .ClientInfo.Context .ClientInfo.Plugins .ClientInfo.Warnings "
            ".ClientErrors .ServerErrors .Containerd .FirewallBackend .DiscoveredDevices",
}


@pytest.fixture
def same(clipper, daemon):
    """Both clients say the same, whatever moment the clock has reached: asked again when a second has gone by in between."""
    peer = Client(PEER, PROGRAMS[PEER], daemon)

    def same(*arguments, order=True):
        for _ in range(4):
            ours, theirs = clipper.run(*arguments), peer.run(*arguments)
            result = [(r.code, r.out if order else sorted(r.out.splitlines())) for r in (ours, theirs)]
            if result[0] == result[1]:
                assert ours.code == 0, ours
                return
        assert result[0] == result[1], arguments
    return same


@pytest.fixture
def things(clipper, daemon, name):
    """Containers in every state, with ports, volumes, labels and networks; the first one's name."""
    volume, network = name[-40:].strip("-") + "-v", name[-40:].strip("-") + "-n"
    clipper("volume", "create", "--label", "a=b", volume)
    clipper("network", "create", "--ipv6", "--label", "x=y,z", network)
    clipper("run", "-d", "--name", name, "--label", "tier=front", "--label", "b=c", "-p", f"{free_port()}:80", "-p", "29000-29002:29000-29002/udp",
            "-p", f"127.0.0.1:{free_port()}:81", "-p", "[::1]:29010:29010", "--expose", "99", "--expose", "70-72/udp", "-v", f"{volume}:/data",
            "-v", "/tmp:/t", "--health-cmd", "true", "--health-interval", "1s", "--network", network, IMAGE, "sleep", "1000")
    clipper("run", "-d", "--name", name + "-ill", "--health-cmd", "false", "--health-interval", "1s", "--health-retries", "1", IMAGE, "sleep", "1000")
    clipper("run", "-d", "--name", name + "-new", "--health-cmd", "true", "--health-interval", "1h", IMAGE, "sleep", "1000")
    clipper("create", "--name", name + "-made", IMAGE, "echo", "a b", "c'd")
    clipper.run("run", "--name", name + "-gone", IMAGE, "sh", "-c", "exit 3")
    clipper("run", "-d", "--name", name + "-still", IMAGE, "sleep", "1000")
    clipper("pause", name + "-still")
    states = {name: "healthy", name + "-ill": "unhealthy"}
    wait_until(lambda: all(clipper.inspect(n)["State"]["Health"]["Status"] == s for n, s in states.items()))
    yield name
    clipper("unpause", name + "-still")
    clipper.run("network", "rm", "-f", network)


def test_every_field_of_every_list(same, things):
    for command, fields in LISTS.items():
        names = fields.split()
        for field in names:
            same(*command.split(), "--format", "{{." + field + "}}")
        same(*command.split(), "--format", "{{json .}}", order=False)
        same(*command.split(), "--format", "json", order=False)
        if command != "context ls":  # docker has no heading for Current.
            same(*command.split(), "--format", "table {{" + "}}\t{{".join("." + field for field in names) + "}}")
        same(*command.split())


def test_every_field_of_objects(same, things):
    for command, fields in OBJECTS.items():
        for field in fields.split():
            same(*command.split(), "--format", "{{json " + field + "}}")


def test_functions_and_labels(same, things):
    same("ps", "-a", "--format", '{{.Label "tier"}}|{{upper .Names}}|{{join (split .Image "/") "-"}}|{{title .State}}{{truncate .ID 4}}{{pad .Names 2 3}}')
    same("network", "ls", "--format", '{{.Name}} {{.Label "x"}}')
    same("volume", "ls", "--format", '{{.Name}} {{.Label "a"}}')


def test_statistics(same, things):
    """What does not change from one look to the next."""
    for field in "Container Name ID PIDs".split():
        same("stats", "--no-stream", "--format", "{{." + field + "}}")
    same("stats", "--no-stream", "--no-trunc", "--format", "table {{.ID}}\t{{.Name}}\t{{.PIDs}}")


def test_events(same, things):
    begin, end = "1", str(int(time.time()) + 1)
    time.sleep(1.1)
    for field in "Status ID From Type Action Actor.ID Actor.Attributes.name Scope Time TimeNano".split():
        same("events", "--since", begin, "--until", end, "--filter", f"container={things}-gone", "--format", "{{." + field + "}}")
    same("events", "--since", begin, "--until", end, "--filter", f"container={things}-gone")


def test_details_of_what_takes_space(same, things):
    same("system", "df", "-v", "--format", "{{range .Containers}}{{.Names}} {{.Size}} {{.Status}} {{end}}")
    same("system", "df", "-v", "--format", "{{range .Volumes}}{{.Name}} {{.Size}} {{.Links}} {{end}}")
    same("system", "df", "-v", "--format", "{{range .Images}}{{.Repository}} {{.Tag}} {{.Size}} {{.UniqueSize}} {{.SharedSize}} {{end}}")


def test_own_fields(clipper, things):
    """Why a container stopped is Clipper's own; JSON has Docker's members alone."""
    clipper.run("run", "--name", things + "-killed", IMAGE, "sh", "-c", "kill -9 $$")
    rows = clipper("ps", "-a", "--filter", f"name={things}-killed", "--format", "{{.Names}} {{.Reason}}")
    assert rows.startswith(things + "-killed")
    assert "Reason" not in json.loads(clipper("ps", "-a", "--filter", f"name={things}-killed", "--format", "json"))
