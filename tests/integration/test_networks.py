"""Networks, addresses and published ports."""

import json
import os
import socket
import sys
import time
import urllib.request

import docker.types
import pytest

from harness import IMAGE, free_port, wait_until

SERVE = ["sh", "-c", "mkdir -p /www; hostname >/www/index.html; exec httpd -f -p 80 -h /www"]


# Busybox has no server for UDP: the host's Python serves as one.
ECHO = "import socket as s; k = s.socket(s.AF_INET, s.SOCK_DGRAM); k.bind(('', 9))\nwhile 1: k.sendto(*k.recvfrom(99))"

# Not wget: Debian's static busybox crashes in it when the connection fails.
FETCH = "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 2 {} {} | tail -n 1"


def page(port, host="127.0.0.1"):
    try:
        return urllib.request.urlopen(f"http://{host}:{port}/", timeout=2).read().decode()
    except OSError:
        return None


def test_container_reaches_container(cli, name):
    cli("run", "-d", "--name", name, IMAGE, *SERVE)
    settings = cli.inspect(name)["NetworkSettings"]
    address = settings["IPAddress"]
    assert settings["Networks"]["bridge"]["IPAddress"] == address and settings["Gateway"] and settings["MacAddress"]
    fetch = ["sh", "-c", f"for i in 1 2 3 4 5 6 7 8 9 10; do wget -q -O - http://{address}/ && exit; usleep 50000; done; exit 1"]
    assert cli("run", "--rm", IMAGE, *fetch) == cli.inspect(name)["Config"]["Hostname"]


def test_published_tcp_port(cli, name):
    port = free_port()
    cli("run", "-d", "--name", name, "-p", f"{port}:80", "-h", "web", IMAGE, *SERVE)
    assert wait_until(lambda: page(port)) == "web\n"
    own = next(iter(socket.gethostbyname_ex(socket.gethostname())[2]), "127.0.0.1")
    assert page(port, own) == "web\n"
    assert cli("port", name).splitlines()[0] == f"80/tcp -> 0.0.0.0:{port}"
    assert f"0.0.0.0:{port}->80/tcp" in cli("ps", "--format", "{{.Ports}}")
    cli("stop", "-t", "0", name)
    assert page(port) is None
    cli("start", name)
    assert wait_until(lambda: page(port)) == "web\n"


def test_port_on_one_address(cli, name):
    port = free_port()
    cli("run", "-d", "--name", name, "-p", f"127.0.0.1:{port}:80", IMAGE, *SERVE)
    assert wait_until(lambda: page(port))
    others = [a for a in socket.gethostbyname_ex(socket.gethostname())[2] if not a.startswith("127.")]
    for address in others:
        assert page(port, address) is None


def test_chosen_port_and_all_exposed(cli, name):
    cli("run", "-d", "--name", name, "-P", "--expose", "80", IMAGE, *SERVE)
    ports = cli.inspect(name)["NetworkSettings"]["Ports"]["80/tcp"]
    port = int(ports[0]["HostPort"])
    assert port > 1024 and wait_until(lambda: page(port))


def test_published_udp_port(cli, name):
    port = free_port(socket.SOCK_DGRAM)
    cli("run", "-d", "--name", name, "-p", f"{port}:9/udp", "-v", "/:/host:ro", IMAGE, "chroot", "/host", sys.executable, "-c", ECHO)

    def echo():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(0.5)
            sock.sendto(b"ping", ("127.0.0.1", port))
            try:
                return sock.recv(10) == b"ping"
            except OSError:
                return False
    time.sleep(0.2)
    wait_until(echo, 5)


def test_container_reaches_a_published_port_of_another(clipper, name):
    port = free_port()
    clipper("run", "-d", "--name", name, "-p", f"{port}:80", "-h", "web", IMAGE, *SERVE)
    wait_until(lambda: page(port))
    gateway = clipper.inspect(name)["NetworkSettings"]["Gateway"]
    assert clipper("run", "--rm", IMAGE, "sh", "-c", FETCH.format(gateway, port)) == "web"
    # And its own, through the host.
    assert clipper("exec", name, "sh", "-c", FETCH.format(gateway, port)) == "web"


def test_many_ports(clipper, name):
    base = 21000
    clipper("run", "-d", "--name", name, "-p", f"{base}-{base + 99}:8000-8099", IMAGE, "httpd", "-f", "-p", "8042", "-h", "/etc")
    wait_until(lambda: page(base + 42) is not None or urllib_status(base + 42))
    assert len(clipper.inspect(name)["NetworkSettings"]["Ports"]) == 100


def urllib_status(port):
    """Whether anything that speaks HTTP answers."""
    with socket.socket() as sock:
        sock.settimeout(1)
        try:
            sock.connect(("127.0.0.1", port))
            sock.sendall(b"GET /passwd HTTP/1.0\r\n\r\n")
            return sock.recv(100).startswith(b"HTTP")
        except OSError:
            return False


def test_none(cli):
    assert cli("run", "--rm", "--network", "none", IMAGE, "ls", "/sys/class/net") == "lo"


def test_host(cli):
    assert set(os.listdir("/sys/class/net")) <= set(cli("run", "--rm", "--network", "host", IMAGE, "ls", "/sys/class/net").split())
    assert cli("run", "--rm", "--network", "host", IMAGE, "hostname") == socket.gethostname()


def test_sharing_another_containers_network(cli, name):
    cli("run", "-d", "--name", name, IMAGE, *SERVE)
    time.sleep(0.2)
    assert cli("run", "--rm", "--network", f"container:{name}", IMAGE, "wget", "-q", "-O", "-", "http://127.0.0.1/")


def test_life_of_a_network(cli, name):
    identifier = cli("network", "create", "--subnet", "10.213.7.0/24", "--gateway", "10.213.7.1", "--label", "a=b", name)
    shown = cli.inspect(name)
    assert (shown["Id"], shown["Driver"], shown["Labels"]) == (identifier, "bridge", {"a": "b"})
    assert shown["IPAM"]["Config"] == [{"Subnet": "10.213.7.0/24", "Gateway": "10.213.7.1"}]
    cli("run", "-d", "--name", name, "--network", name, "--ip", "10.213.7.77", IMAGE, "sleep", "1000")
    assert cli.inspect(name)["NetworkSettings"]["Networks"][name]["IPAddress"] == "10.213.7.77"
    members = cli("network", "inspect", "-f", "{{range .Containers}}{{.Name}} {{.IPv4Address}}{{end}}", name)
    assert members == f"{name} 10.213.7.77/24"
    result = cli.run("network", "rm", name)
    assert result.code == 1 and "active endpoints" in result.err
    cli("rm", "-f", name)
    assert cli("network", "rm", name) == name
    assert name not in cli("network", "ls", "--format", "{{.Name}}").split()


def test_networks_that_are_always_there(cli):
    rows = cli("network", "ls", "--format", "{{.Name}} {{.Driver}} {{.Scope}}").splitlines()
    assert sorted(rows) == ["bridge bridge local", "host host local", "none null local"]
    assert cli.run("network", "rm", "bridge").code == 1


def test_networks_are_apart(clipper, name):
    clipper("network", "create", name)
    clipper("run", "-d", "--name", name + "-web", "--network", name, IMAGE, *SERVE)
    address = clipper.inspect(name + "-web")["NetworkSettings"]["Networks"][name]["IPAddress"]
    assert clipper("run", "--rm", IMAGE, "sh", "-c", FETCH.format(address, 80)) == ""
    host = clipper.inspect(name + "-web")["Config"]["Hostname"]
    assert clipper("run", "--rm", "--network", name, IMAGE, "sh", "-c", FETCH.format(address, 80)) == host


def test_overlapping_subnet(cli, name):
    cli("network", "create", "--subnet", "10.213.8.0/24", name)
    result = cli.run("network", "create", "--subnet", "10.213.8.128/25", name + "b")
    assert result.code == 1 and "overlap" in result.err.lower()
    result = cli.run("network", "create", "--subnet", "10.213.9.0/24", name)
    assert result.code == 1 and "already exists" in result.err


def test_files_of_the_container(cli, name):
    cli("run", "-d", "--name", name, "-h", "box", "--add-host", "other:10.1.2.3", "--dns", "10.9.9.9", "--dns-search", "example.test", IMAGE, "sleep", "1000")
    address = cli.inspect(name)["NetworkSettings"]["IPAddress"]
    hosts = [line.split() for line in cli("exec", name, "cat", "/etc/hosts").splitlines()]
    assert ["127.0.0.1", "localhost"] in hosts and ["10.1.2.3", "other"] in hosts and [address, "box"] in hosts
    resolv = cli("exec", name, "cat", "/etc/resolv.conf").splitlines()
    assert "nameserver 10.9.9.9" in resolv and "search example.test" in resolv
    assert cli("exec", name, "cat", "/etc/hostname") == "box" == cli("exec", name, "hostname")


def test_addresses_come_back(clipper):
    """The pool does not run dry: more short containers than half a dozen, one address after another is free again."""
    before = clipper.daemon.request("GET", "/networks/bridge")[1]["Containers"]
    assert before == {}
    for _ in range(5):
        clipper("run", "--rm", IMAGE, "true")
    assert clipper.daemon.request("GET", "/networks/bridge")[1]["Containers"] == {}


def test_sdk(sdk, name):
    pool = docker.types.IPAMConfig(pool_configs=[docker.types.IPAMPool(subnet="10.213.10.0/24")])
    network = sdk.networks.create(name, driver="bridge", ipam=pool)
    container = sdk.containers.run(IMAGE, "sleep 1000", detach=True, network=name, name=name)
    container.reload()
    assert container.attrs["NetworkSettings"]["Networks"][name]["IPAddress"].startswith("10.213.10.")
    network.reload()
    assert [c.id for c in network.containers] == [container.id]
    container.remove(force=True)
    network.remove()


@pytest.fixture
def second(clipper, name):
    network = f"{name}-second".lower()[-60:].lstrip("-")
    clipper("network", "create", network)
    yield network
    clipper.run("network", "rm", "-f", network)


def interfaces(client, name):
    out = client("exec", name, "sh", "-c", "ls /sys/class/net; ip route | sed -n 's/^default via \\([^ ]*\\).*/\\1/p'").split()
    return [word for word in out if word.startswith("eth")], [word for word in out if "." in word]


def test_connect_and_disconnect_while_running(cli, name, second):
    cli("run", "-d", "--name", name, IMAGE, "sleep", "1000")
    before = interfaces(cli, name)
    cli("network", "connect", "--alias", "other", second, name)
    settings = cli.inspect(name)["NetworkSettings"]["Networks"]
    assert set(settings) == {"bridge", second} and settings[second]["Aliases"][0] == "other"
    address = settings[second]["IPAddress"]
    found, routes = interfaces(cli, name)
    assert found == ["eth0", "eth1"] and routes == before[1]
    assert address in cli("exec", name, "cat", "/etc/hosts")
    assert cli.inspect(name)["Id"] in json.loads(cli("network", "inspect", second))[0]["Containers"]
    # Somebody else on the second network reaches it.
    assert "1 packets received" in cli("run", "--rm", "--network", second, IMAGE, "ping", "-c", "1", "-W", "5", address)
    result = cli.run("network", "connect", second, name)
    assert result.code == 1 and "already exists in network" in result.err
    # The default route goes with its network to the one that is left.
    cli("network", "disconnect", "bridge", name)
    found, routes = interfaces(cli, name)
    assert found == ["eth1"] and routes == [settings[second]["Gateway"]]
    assert set(cli.inspect(name)["NetworkSettings"]["Networks"]) == {second}
    cli("network", "disconnect", second, name)
    assert interfaces(cli, name)[0] == []
    assert address not in cli("exec", name, "cat", "/etc/hosts")
    result = cli.run("network", "disconnect", second, name)
    assert result.code == 1 and "is not connected to" in result.err


def test_connect_before_the_start_and_after_a_restart(cli, name, second):
    cli("create", "--name", name, IMAGE, "sleep", "1000")
    cli("network", "connect", second, name)
    cli("start", name)
    assert interfaces(cli, name)[0] == ["eth0", "eth1"]
    cli("restart", "-t", "0", name)
    assert interfaces(cli, name)[0] == ["eth0", "eth1"]
    cli("stop", "-t", "0", name)
    assert json.loads(cli("network", "inspect", second))[0]["Containers"] == {}
    cli("network", "disconnect", second, name)
    cli("start", name)
    assert interfaces(cli, name)[0] == ["eth0"]


def test_connect_refuses(cli, name, second):
    cli("run", "-d", "--name", name, "--network", "host", IMAGE, "sleep", "1000")
    result = cli.run("network", "connect", second, name)
    assert result.code == 1 and "host network" in result.err
    assert "No such container" in cli.run("network", "connect", second, "nobody").err
    assert "not found" in cli.run("network", "connect", "nowhere", name).err


def test_connected_networks_survive_the_daemon(clipper, daemon, name, second):
    clipper("run", "-d", "--name", name, IMAGE, "sleep", "1000")
    clipper("network", "connect", second, name)
    address = clipper.inspect(name)["NetworkSettings"]["Networks"][second]["IPAddress"]
    daemon.crash()
    assert clipper.inspect(name)["NetworkSettings"]["Networks"][second]["IPAddress"] == address
    assert interfaces(clipper, name)[0] == ["eth0", "eth1"]
    clipper("network", "disconnect", second, name)
    assert interfaces(clipper, name)[0] == ["eth0"]


def test_connect_with_options_while_running(cli, name, second):
    cli("run", "-d", "--name", name, IMAGE, "sleep", "1000")
    cli("network", "connect", "--link-local-ip", "169.254.9.9", "--driver-opt", "com.docker.network.endpoint.ifname=side0",
        "--driver-opt", "com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.log_martians=1", second, name)
    said = cli("exec", name, "sh", "-c", "ip -o addr show side0; cat /proc/sys/net/ipv4/conf/side0/log_martians")
    assert "169.254.9.9/16" in said and said.endswith("\n1")
    settings = cli.inspect(name)["NetworkSettings"]["Networks"][second]
    assert settings["IPAMConfig"]["LinkLocalIPs"] == ["169.254.9.9"]
    assert settings["DriverOpts"]["com.docker.network.endpoint.ifname"] == "side0"
    cli("network", "disconnect", second, name)
    result = cli.run("network", "connect", "--driver-opt", "com.docker.network.endpoint.ifname=eth0", second, name)
    assert result.code == 1 and 'interface name "eth0" is in use' in result.err
    result = cli.run("network", "connect", "--driver-opt", "com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.nonsense=1", second, name)
    assert result.code == 1 and "/proc/sys/net/ipv4/conf/eth1/nonsense" in result.err
    cli("restart", "-t", "0", name)


def test_networks_without_a_mode_are_all_there_are(daemon, clipper, name):
    """As dockerd 20.10 does: who names networks and no mode is not on the default one."""
    clipper("network", "create", name)
    body = {"Image": IMAGE, "Cmd": ["sleep", "1000"], "NetworkingConfig": {"EndpointsConfig": {name: {}}}}
    status, answer = daemon.request("POST", f"/containers/create?name={name}", body)
    assert status == 201, answer
    clipper("start", name)
    shown = clipper.inspect(name)
    assert list(shown["NetworkSettings"]["Networks"]) == [name] and shown["HostConfig"]["NetworkMode"] == "default"
    assert clipper("exec", name, "ls", "/sys/class/net").split() == ["eth0", "lo"]
    clipper("rm", "-f", name)
    clipper("network", "rm", name)
