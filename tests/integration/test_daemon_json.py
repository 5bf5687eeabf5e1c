"""dockerd's keys of daemon.json: that each does what it says."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys

import pytest

from conftest import serving
from harness import BIN, IMAGE, Client, Daemon, free_port, wait_until
from test_daemon import check
from test_networks import ECHO, page


@pytest.fixture
def configured(request):
    """Makes daemons of this test's own, one at a time, each with a daemon.json; a client is given."""
    @contextlib.contextmanager
    def make(document, *flags):
        daemon = Daemon(f"clpj{os.getpid()}{len(request.node.name)}")
        path = daemon.scratch / "daemon.json"
        path.write_text(json.dumps(document))
        daemon.options += ["--config-file", str(path), *flags]
        with serving(daemon):
            yield Client("clipper", BIN / "clipper", daemon)

    return make


@pytest.mark.parametrize("document, flags, reason", [
    ({"bridge": "br0", "bip": "10.9.0.1/24"}, [], "You specified -b & --bip, mutually exclusive options. Please specify only one"),
    ({"bridge": "br0", "bip6": "fd00:9::1/64"}, [], "You specified -b & --bip6, mutually exclusive options. Please specify only one"),
    ({"iptables": False, "icc": False}, [],
     "You specified --iptables=false with --icc=false. ICC=false uses iptables to function. Please set --icc or --iptables to true"),
    ({"ip6tables": False, "icc": False, "ipv6": True}, [], "You specified --ip6tables=false with --icc=false."),
    ({"default-address-pools": [{"base": "foo", "size": 24}]}, [], 'invalid base pool "foo": invalid CIDR address: foo'),
    ({"default-address-pools": [{"base": "10.10.0.0/16", "size": 8}]}, [], "invalid pools size: 8"),
    ({"default-address-pools": [{"base": "10.10.0.0/16"}]}, [], "invalid pools size: 0"),
    ({"default-address-pools": [{"base": "10.10.0.0/16", "bits": 24}]}, [], "default-address-pools: unexpected key 'bits'"),
    ({}, ["--default-address-pool", "foo"],
     'invalid argument "foo" for "--default-address-pool" flag: invalid field \'foo\' must be a key=value pair'),
    ({}, ["--default-address-pool", "base=10.0.0.0/8,size=x"], 'invalid size value: "x" (must be integer)'),
    ({"default-gateway": "foo"}, [], "invalid IP address: foo"),
    ({"fixed-cidr": "foo"}, [], "invalid CIDR address: foo"),
    ({"fixed-cidr-v6": "10.0.0.0/8"}, [], "fixed-cidr-v6: invalid CIDR address: 10.0.0.0/8"),
    ({"default-network-opts": {"bridge": {"no.such": "1"}}}, [], "default-network-opts: not implemented: network option no.such"),
    ({"default-network-opts": {"bridge": {"com.docker.network.driver.mtu": 1400}}}, [],
     "default-network-opts.bridge.com.docker.network.driver.mtu: expected a string, found number"),
    ({"exec-opts": ["foo"]}, [], "invalid exec-opt (foo): must be formatted 'opt=value'"),
    ({"exec-opts": ["foo=bar"]}, [], "invalid exec-opt (foo=bar): unknown option: 'foo'"),
    ({"exec-opts": ["native.cgroupdriver=foo"]}, [], "native.cgroupdriver option foo not supported"),
    ({}, ["--exec-opt", "native.cgroupdriver=none"],
     "native.cgroupdriver option none is internally used and cannot be specified manually"),
    ({"exec-opts": ["native.cgroupdriver=systemd"], "cgroup-parent": "/x"}, [],
     'cgroup-parent for systemd cgroup should be a valid slice named as "xxx.slice"'),
    ({"features": {"buildkit": True}}, [], "features.buildkit: true is not possible: builds go without BuildKit's sessions"),
    ({"features": {"containerd-snapshotter": True}}, [], "features.containerd-snapshotter: true is not possible"),
    ({"features": {"foo": True}}, [], "features.foo: true is not possible: there is no such feature"),
    ({"features": {"buildkit": "x"}}, [], "features.buildkit: expected true or false, found string"),
    ({"runtimes": {"x": {"path": "/bin/true", "runtimeArgs": "a"}}}, [], "runtimes.x.runtimeArgs: expected an array of strings"),
    ({"runtimes": {"x": {"path": "/bin/true", "runtimeType": "y"}}}, [], "not implemented: runtimes.x.runtimeType"),
    ({"selinux-enabled": True}, [], "selinux-enabled: true is not possible: containers get no SELinux labels"),
    ({"allow-nondistributable-artifacts": ["http://x"]}, [],
     "allow-nondistributable-artifacts registry http://x should not contain '://'"),
    ({"api-cors-header": "*"}, [], 'DEPRECATED: The "api-cors-header" config parameter and the dockerd "--api-cors-header" option have'),
    ({"authorization-plugins": ["foo"]}, [], "authorization-plugins: [foo] is not possible: there are no plugins"),
    ({"containerd": "/run/c.sock"}, [], "containerd: /run/c.sock is not possible: containers run without containerd"),
    ({"node-generic-resources": ["GPU=1"]}, [], "node-generic-resources: [GPU=1] is not possible: there is no Swarm"),
    ({"swarm-default-advertise-addr": "192.0.2.1"}, [], "swarm-default-advertise-addr: 192.0.2.1 is not possible"),
    ({"cluster-store": "etcd://x"}, [], "cluster-store: etcd://x is not possible"),
    ({"init-path": "/x"}, [], "init-path: /x is not possible: the init of containers is a part of clipper-runtime"),
    ({"userland-proxy-path": "/x"}, [], "userland-proxy-path: /x is not possible"),
    ({"cpu-rt-period": 1000}, [], "cpu-rt-period: 1000 is not possible"),
    ({"log-format": "xml"}, [], "invalid log format: xml"),
    ({"min-api-version": "1.21"}, [], "min-api-version: minimum supported API version is 1.22: 1.21"),
    ({}, ["--min-api-version", "1.99"], "min-api-version: maximum supported API version is 1.50: 1.99"),
    ({"min-api-version": "new"}, [], "min-api-version: invalid minimum API version: new"),
    ({"host-gateway-ips": ["192.0.2.1", "192.0.2.2"]}, [], "host-gateway-ips: only one IPv4 address can be given"),
    ({"host-gateway-ips": ["x"]}, [], "host-gateway-ips: x is not an IP address"),
    ({"host-gateway-ip": "192.0.2.1"}, ["--host-gateway-ip", "192.0.2.2"], "host-gateway-ip is given already"),
    ({"firewall-backend": "iptables"}, [], "firewall-backend: iptables is not possible: rules are made with nftables"),
    ({"ip-forward-no-drop": False}, [], "ip-forward-no-drop: false is not possible"),
    ({"bridge-accept-fwmark": "one"}, [], 'invalid firewall mark "one"'),
    ({}, ["--bridge-accept-fwmark", "1/0x100000000"], 'invalid firewall mask "1/0x100000000"'),
    ({"icc": True}, ["--icc=false"], "icc: (from flag: false, from file: true)"),
])
def test_settings_that_cannot_be(tmp_path, document, flags, reason):
    code, out, err = check(tmp_path, document, *flags)
    assert code == 1 and out == ""
    assert reason in err


def test_what_means_what_is_done_anyway(tmp_path):
    document = {"exec-opts": ["native.cgroupdriver=cgroupfs"], "features": {"buildkit": False, "cdi": True}, "raw-logs": True,
                "selinux-enabled": False, "allow-nondistributable-artifacts": ["registry.example:5000"], "api-cors-header": "",
                "authorization-plugins": [], "containerd": "", "containerd-namespace": "moby",
                "containerd-plugin-namespace": "plugins.moby", "node-generic-resources": [], "swarm-default-advertise-addr": "",
                "init-path": "", "userland-proxy-path": "", "cpu-rt-period": 0, "cpu-rt-runtime": 0, "network-control-plane-mtu": 1500,
                "cluster-store": "", "cluster-advertise": "", "cluster-store-opts": {}, "firewall-backend": "nftables",
                "ip-forward-no-drop": True, "log-format": "", "bridge-accept-fwmark": ""}
    assert check(tmp_path, document) == (0, "configuration OK\n", "")


def test_systemd_is_the_cgroup_driver_only_where_it_runs(tmp_path):
    document = {"exec-opts": ["native.cgroupdriver=systemd"], "cgroup-parent": "mine-test.slice"}
    assert check(tmp_path, document) == (0, "configuration OK\n", "")
    options = ["--exec-opt", "native.cgroupdriver=systemd", "--data-root", tmp_path / "data", "--exec-root", tmp_path / "run",
               "-H", f"unix://{tmp_path}/sock", "--config-file", tmp_path / "daemon.json", "--pidfile", tmp_path / "pid"]
    (tmp_path / "daemon.json").write_text("{}")
    environment = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={tmp_path}/no-bus"}
    done = subprocess.run([BIN / "clipperd", *options], capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 1
    assert "native.cgroupdriver=systemd: systemd support for managing cgroups is not available" in done.stderr
    assert "no-bus" in done.stderr and not (tmp_path / "data").exists()


def test_pools_gateway_and_options_of_networks(configured):
    document = {"default-address-pools": [{"base": "10.213.0.0/16", "size": 24}], "fixed-cidr": "10.213.0.128/25",
                "bip": "10.213.0.1/24", "default-gateway": "10.213.0.9", "icc": False, "ip-masq": False,
                "default-network-opts": {"bridge": {"com.docker.network.driver.mtu": "1400"}}}
    with configured(document, "--ipv6", "--fixed-cidr-v6", "fd00:213::/64") as client:
        info = client.daemon.request("GET", "/info")[1]
        assert info["DefaultAddressPools"] == [{"Base": "10.213.0.0/16", "Size": 24}]
        said = client("run", "--rm", IMAGE, "sh", "-c", "ip addr show eth0; ip route; ip -6 route")
        assert "inet 10.213.0.128/24" in said and "default via 10.213.0.9" in said and "default via fd00:213::1" in said
        [bridge] = json.loads(client("network", "inspect", "bridge"))
        assert bridge["EnableIPv6"] and bridge["IPAM"]["Config"] == [
            {"Subnet": "10.213.0.0/24", "IPRange": "10.213.0.128/25", "Gateway": "10.213.0.1",
             "AuxiliaryAddresses": {"DefaultGatewayIPv4": "10.213.0.9"}},
            {"Subnet": "fd00:213::/64", "Gateway": "fd00:213::1"}]
        assert bridge["Options"]["com.docker.network.bridge.enable_icc"] == "false"
        assert bridge["Options"]["com.docker.network.bridge.enable_ip_masquerade"] == "false"
        client("network", "create", f"{client.daemon.prefix}-n")
        [made] = json.loads(client("network", "inspect", f"{client.daemon.prefix}-n"))
        assert made["IPAM"]["Config"] == [{"Subnet": "10.213.1.0/24", "Gateway": "10.213.1.1"}]
        assert made["Options"] == {"com.docker.network.driver.mtu": "1400"}
        client("network", "rm", f"{client.daemon.prefix}-n")


def test_log_in_json_and_the_oldest_version_of_the_api(configured):
    with configured({"log-format": "json", "min-api-version": "1.41"}, "--debug") as client:
        lines = [json.loads(line) for line in client.daemon.log.read_text().splitlines()]
        assert lines and all({"level", "msg", "time"} <= set(line) and all(isinstance(v, str) for v in line.values()) for line in lines)
        assert any(line["msg"] == "clipperd is ready" and line["level"] == "info" and line["version"] for line in lines)
        status, answer = client.daemon.request("GET", "/v1.40/info")
        assert status == 400 and answer["message"] == \
            "client version 1.40 is too old. Minimum supported API version is 1.41, please upgrade your client to a newer version"
        assert client.daemon.request("GET", "/v1.41/info")[0] == 200
        version = client.daemon.request("GET", "/version")[1]
        assert version["MinAPIVersion"] == "1.41" == version["Components"][0]["Details"]["MinAPIVersion"]


def test_gateways_of_the_host(configured):
    """What `host-gateway` is: the addresses that the daemon was told; without them the way out of the container's own network, and
    where that has none the default bridge, as in Docker."""
    def hosts(client, *options):
        said = client("run", "--rm", *options, "--add-host", "me:host-gateway", IMAGE, "grep", "-w", "me", "/etc/hosts")
        return [line.split()[0] for line in said.splitlines()]

    document = {"ipv6": True, "bip": "10.216.0.1/24", "bip6": "fd00:216::9/64", "default-address-pools": [
        {"base": "10.217.0.0/16", "size": 24}]}
    with configured(document) as client:
        assert hosts(client) == ["10.216.0.1", "fd00:216::9"]
        assert "default via fd00:216::9" in client("run", "--rm", IMAGE, "ip", "-6", "route")
        assert hosts(client, "--network", "host") == ["10.216.0.1", "fd00:216::9"]
        name = f"{client.daemon.prefix}-n"
        client("network", "create", name)
        assert hosts(client, "--network", name) == ["10.217.0.1"]
        client("network", "rm", name)
    with configured({"host-gateway-ips": ["fd00::77", "192.0.2.77"]}) as client:
        assert hosts(client) == ["192.0.2.77", "fd00::77"]


def test_without_a_default_bridge(configured):
    with configured({"bridge": "none"}) as client:
        names = client("network", "ls", "--format", "{{.Name}}").split()
        assert sorted(names) == ["host", "none"]
        assert client("run", "--rm", IMAGE, "ls", "/sys/class/net") == "lo"
        client("run", "-d", "--name", "lone", "-p", "80", IMAGE, "sleep", "99")
        shown = client.inspect("lone")
        assert shown["HostConfig"]["NetworkMode"] == "default" and not any(shown["NetworkSettings"]["Ports"].values())
        assert shown["NetworkSettings"]["Networks"]["bridge"]["IPAddress"] == ""
        built = client.run("build", "-q", "-", input=f"FROM {IMAGE}\nRUN ls /sys/class/net > /nets\n".encode())
        assert client("run", "--rm", built.out.strip(), "cat", "/nets") == "lo"


def test_a_bridge_of_the_host(configured):
    name = f"cj{os.getpid()}"[:15]
    subprocess.run(["ip", "link", "add", name, "type", "bridge"], check=True)
    try:
        subprocess.run(["ip", "addr", "add", "10.214.0.1/24", "dev", name], check=True)
        with configured({}, "-b", name) as client:
            assert "inet 10.214.0.2/24" in client("run", "--rm", IMAGE, "ip", "addr", "show", "eth0")
            [bridge] = json.loads(client("network", "inspect", "bridge"))
            assert bridge["Options"]["com.docker.network.bridge.name"] == name
        assert b"10.214.0.1/24" in subprocess.run(["ip", "addr", "show", name], check=True, capture_output=True).stdout
    finally:
        subprocess.run(["ip", "link", "delete", name], check=True)


def test_without_a_firewall_ports_are_passed_on(configured):
    """As dockerd's userland proxy: what comes to the host's port reaches the container, from the bridge's address."""
    port, datagrams = free_port(), free_port(socket.SOCK_DGRAM)
    def tables():
        return set(subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout.splitlines())
    before = tables()
    with configured({"iptables": False, "ip6tables": False}) as client:
        assert tables() <= before
        client("run", "-d", "--name", "web", "-p", f"{port}:80", IMAGE, "sh", "-c", "echo hello > /index.html; httpd -f -h /")
        wait_until(lambda: page(port) == "hello\n", 10, "the page")
        client("run", "-d", "--name", "udp", "-p", f"{datagrams}:9/udp", "-v", "/:/host:ro", IMAGE,
               "chroot", "/host", sys.executable, "-c", ECHO)

        def echoed():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.settimeout(0.5)
                sock.sendto(b"ping", ("127.0.0.1", datagrams))
                try:
                    return sock.recv(10) == b"ping"
                except OSError:
                    return False

        wait_until(echoed, 10, "the echo")
        [bridge] = json.loads(client("network", "inspect", "bridge"))
        assert bridge["Options"]["com.docker.network.bridge.enable_ip_masquerade"] == "false"


PROFILE = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}


def test_seccomp_experimental_and_scores(configured, tmp_path):
    """The daemon's own profile and score, and what containers make of both; the daemon says that it is experimental."""
    profile = tmp_path / "profile.json"
    profile.write_text(json.dumps(PROFILE))
    with configured({"seccomp-profile": str(profile), "experimental": True, "oom-score-adjust": 77}) as client:
        daemon = client.daemon
        info = daemon.request("GET", "/info")[1]
        assert f"name=seccomp,profile={profile}" in info["SecurityOptions"] and info["ExperimentalBuild"] is True
        assert "WARNING: daemon is not using the default seccomp profile" in info["Warnings"]
        version = daemon.request("GET", "/version")[1]
        assert version["Experimental"] is True and version["Components"][0]["Details"]["Experimental"] == "true"
        assert client("version", "--format", "{{.Server.Experimental}}") == "true"
        headers = subprocess.run(
            ["curl", "-sI", "--unix-socket", daemon.socket, "http://d/_ping"], check=True, capture_output=True, text=True).stdout
        assert "docker-experimental: true" in headers.lower() and "ostype: linux" in headers.lower()
        assert pathlib.Path(f"/proc/{daemon.pid}/oom_score_adj").read_text() == "77\n"

        def makes_directory(*options):
            return client("run", "--rm", *options, IMAGE, "sh", "-c", "mkdir /d 2>/dev/null && echo made || echo refused")

        assert makes_directory() == "refused"
        for options in [["--privileged"], ["--security-opt", "seccomp=unconfined"], ["--security-opt", "seccomp=builtin"]]:
            assert makes_directory(*options) == "made"
        assert client("run", "--rm", IMAGE, "cat", "/proc/self/oom_score_adj") == "0"
        built = client("build", "-q", "-",
                       input=f"FROM {IMAGE}\nRUN cat /proc/self/oom_score_adj > /score\n".encode())
        assert client("run", "--rm", built.split()[-1], "cat", "/score") == "0"


def test_a_daemon_without_a_seccomp_profile(configured):
    with configured({"seccomp-profile": "unconfined"}) as client:
        assert "name=seccomp,profile=unconfined" in client.daemon.request("GET", "/info")[1]["SecurityOptions"]
        assert client("run", "--rm", IMAGE, "grep", "Seccomp:", "/proc/self/status").split() == ["Seccomp:", "0"]
        assert client.daemon.request("GET", "/version")[1].get("Experimental") is None


@pytest.mark.parametrize("document, reason", [
    ({"seccomp-profile": "/none.json"}, "opening seccomp profile (/none.json) failed: open /none.json: no such file or directory"),
    ({"oom-score-adjust": 2000}, "write 2000 to /proc/self/oom_score_adj: invalid argument"),
])
def test_a_daemon_that_does_not_start(tmp_path, document, reason):
    path = tmp_path / "daemon.json"
    path.write_text(json.dumps(document))
    done = subprocess.run(
        [BIN / "clipperd", "--config-file", path, "--data-root", tmp_path / "data", "--exec-root", tmp_path / "exec", "-H",
         f"unix://{tmp_path}/d.sock"], capture_output=True, text=True, timeout=20)
    assert done.returncode == 1
    assert reason in done.stderr


def test_arguments_of_runtimes(configured, tmp_path):
    """A runtime gets them before all else, whatever it is told to do."""
    said = tmp_path / "said"
    program = tmp_path / "runtime"
    program.write_text(f'#!/bin/sh\necho "$@" >> {said}\nshift 2\nexec runc "$@"\n')
    program.chmod(0o755)
    with configured({"runtimes": {"mine": {"path": str(program), "runtimeArgs": ["--my", "own"]}}}) as client:
        assert client.daemon.request("GET", "/info")[1]["Runtimes"]["mine"] == {"path": str(program), "runtimeArgs": ["--my", "own"]}
        client("run", "-d", "--name", "one", "--runtime", "mine", IMAGE, "sleep", "1000")
        assert client("exec", "one", "echo", "hi") == "hi"
        # Without its supervisor the container is ended by the daemon.
        client.daemon.kill()
        for pid in client.daemon.shims():
            os.kill(pid, signal.SIGKILL)
        client.daemon.start()
        assert client("ps", "-q") == ""
        client("rm", "one")
    lines = said.read_text().splitlines()
    assert {line.split()[0:2] == ["--my", "own"] for line in lines} == {True}
    for command in ["create", "start", "exec", "delete"]:
        assert any(f" {command} " in line for line in lines), (command, lines)
