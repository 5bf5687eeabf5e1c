"""Networks, addresses and published ports."""

import json
import os
import socket
import sqlite3
import sys
import time
import urllib.parse
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


def test_networks_of_a_container_that_has_ended(daemon, clipper, name):
    """It has left them; which they were is still there, and no request can tell otherwise."""
    clipper("network", "create", name)
    identifier = clipper("network", "inspect", "-f", "{{.Id}}", name)
    settings = {name: {"NetworkID": "nonsense", "Aliases": ["nick"]}}
    body = {"Image": IMAGE, "Cmd": ["true"], "HostConfig": {"NetworkMode": name}, "NetworkingConfig": {"EndpointsConfig": settings}}
    status, answer = daemon.request("POST", f"/containers/create?name={name}", body)
    assert status == 201, answer
    assert clipper.inspect(name)["NetworkSettings"]["Networks"][name]["NetworkID"] == ""
    clipper("start", "-a", name)
    daemon.crash()
    place = clipper.inspect(name)["NetworkSettings"]["Networks"][name]
    assert (place["NetworkID"], place["EndpointID"], place["IPAddress"], place["Aliases"]) == (identifier, "", "", ["nick"])
    listed = daemon.request("GET", "/containers/json?all=1&filters=" + urllib.parse.quote(json.dumps({"name": [name]})))[1]
    assert listed[0]["NetworkSettings"]["Networks"][name]["NetworkID"] == identifier


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
    # After "bridge" in the order of names: the default network keeps the gateway.
    network = f"second-{name[-50:]}".lower()
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


@pytest.fixture
def choice(clipper, name):
    """Two networks and an internal one: the first has the gateway by its name where a container is on both."""
    base = f"{name}-net".lower()[-50:].lstrip("-")
    names = [f"{base}-1", f"{base}-2", f"{base}-inside"]
    for network in names:
        clipper("network", "create", *(["--internal"] if network.endswith("inside") else []), network)
    yield names
    clipper.run("rm", "-f", name)
    clipper("network", "rm", *names)


def published_on(client, name, port):
    """What answers at a published port on both of the host's families, and the gateway that the container has."""
    gateway = client("exec", name, "sh", "-c", "ip route | sed -n 's/^default via \\([^ ]*\\).*/\\1/p'")
    return {page(port), page(port, "[::1]")}, gateway


def gateway_of(client, name, network):
    return client.inspect(name)["NetworkSettings"]["Networks"][network]["Gateway"]


def test_ports_follow_the_gateway(cli, name, choice):
    first, second, inside = choice
    port = free_port()
    cli("run", "-d", "--name", name, "--network", second, "-p", f"{port}:80", "-p", "9000", "-h", "web", IMAGE, *SERVE)
    wait_until(lambda: page(port))
    ports = {"80/tcp", "9000/tcp"}

    def check(network):
        if network is None:
            assert published_on(cli, name, port) == ({None}, "")
            assert cli("port", name) == "" and not cli.inspect(name)["NetworkSettings"]["Ports"].get("80/tcp")
            with socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True):
                return
        assert published_on(cli, name, port) == ({"web\n"}, gateway_of(cli, name, network))
        shown = cli.inspect(name)["NetworkSettings"]["Ports"]
        assert {key for key, bound in shown.items() if bound} == ports
        assert {(b["HostIp"], b["HostPort"]) for b in shown["80/tcp"]} == {("0.0.0.0", str(port)), ("::", str(port))}
        with pytest.raises(OSError):
            socket.create_server(("", port))

    check(second)
    cli("network", "connect", first, name)
    check(first)
    cli("network", "disconnect", first, name)
    check(second)
    cli("network", "disconnect", second, name)
    check(None)
    cli("network", "connect", inside, name)
    check(None)
    cli("network", "connect", second, name)
    check(second)
    cli("network", "connect", first, name)
    check(first)
    cli("network", "disconnect", second, name)
    check(first)
    cli("restart", "-t", "0", name)
    wait_until(lambda: page(port))
    check(first)


def test_gateway_of_several_networks_is_the_first_by_name(cli, name, choice):
    first, second, inside = choice
    cli("create", "--name", name, "--network", second, IMAGE, "sleep", "1000")
    cli("network", "connect", first, name)
    cli("network", "connect", inside, name)
    cli("start", name)
    assert interfaces(cli, name)[1] == [gateway_of(cli, name, first)]
    cli("network", "disconnect", first, name)
    assert interfaces(cli, name)[1] == [gateway_of(cli, name, second)]


def test_priority_of_a_gateway_while_running(clipper, daemon, name, choice):
    first, second, _ = choice
    port = free_port()
    clipper("run", "-d", "--name", name, "--network", first, "-p", f"{port}:80", "-h", "web", IMAGE, *SERVE)
    wait_until(lambda: page(port))
    clipper("network", "connect", "--gw-priority", "1", second, name)
    assert published_on(clipper, name, port) == ({"web\n"}, gateway_of(clipper, name, second))
    daemon.crash()
    clipper("network", "disconnect", second, name)
    assert published_on(clipper, name, port) == ({"web\n"}, gateway_of(clipper, name, first))


def test_container_on_no_network_joins_one(cli, name, choice):
    first, second, _ = choice
    port = free_port()
    cli("run", "-d", "--name", name, "--network", "none", "-p", f"{port}:80", "-h", "web", IMAGE, *SERVE)
    result = cli.run("network", "connect", first, name)
    assert result.code == 1 and "private (none) mode" in result.err
    cli("network", "disconnect", "none", name)
    cli("network", "connect", first, name)
    assert wait_until(lambda: page(port)) == "web\n"
    result = cli.run("network", "connect", "none", name)
    assert result.code == 1 and "private (none) mode" in result.err
    cli("restart", "-t", "0", name)
    assert wait_until(lambda: page(port)) == "web\n"
    assert published_on(cli, name, port)[1] == gateway_of(cli, name, first)


def test_ports_that_moved_outlive_the_daemon(clipper, daemon, name, choice):
    """Many, on two networks in turn; their sockets are the supervisor's, whoever died when."""
    first, second, _ = choice
    port = free_port()
    many = [arg for key in range(1000, 1270) for arg in ("-p", str(key))]
    clipper("run", "-d", "--name", name, "--network", first, "-p", f"{port}:80", *many, "-h", "web", IMAGE, *SERVE)
    clipper("network", "connect", second, name)
    clipper("network", "disconnect", first, name)
    daemon.kill()
    assert published_on_host(port) == {"web\n"}
    with pytest.raises(OSError):
        socket.create_server(("", port))
    daemon.start()
    assert published_on(clipper, name, port) == ({"web\n"}, gateway_of(clipper, name, second))
    shown = clipper.inspect(name)["NetworkSettings"]["Ports"]
    assert all(shown[f"{key}/tcp"] for key in range(1000, 1270))
    taken = int(shown["1269/tcp"][0]["HostPort"])
    clipper("network", "connect", first, name)
    assert published_on(clipper, name, port) == ({"web\n"}, gateway_of(clipper, name, first))
    with socket.create_server(("", taken)):
        pass
    clipper("rm", "-f", name)
    with socket.create_server(("", port)):
        pass


def published_on_host(port):
    return {page(port), page(port, "[::1]")}


def test_network_whose_ports_are_taken_is_not_joined(cli, name, choice):
    first, second, inside = choice
    port = free_port()
    cli("run", "-d", "--name", name, "--network", inside, "-p", f"{port}:80", "-h", "web", IMAGE, *SERVE)
    with socket.create_server(("", port)):
        result = cli.run("network", "connect", second, name)
        assert result.code == 1 and "driver failed programming external connectivity" in result.err and "in use" in result.err
        assert set(cli.inspect(name)["NetworkSettings"]["Networks"]) == {inside}
        assert json.loads(cli("network", "inspect", second))[0]["Containers"] == {}
        assert interfaces(cli, name) == (["eth0"], [])
    cli("network", "connect", second, name)
    assert wait_until(lambda: page(port)) == "web\n"


def test_change_that_the_daemon_died_in_is_brought_to_its_end(clipper, daemon, name, choice):
    """The record says that a change has begun and nothing of what follows it was done."""
    first, second, _ = choice
    port = free_port()
    clipper("run", "-d", "--name", name, "--network", first, "-p", f"{port}:80", "-h", "web", IMAGE, *SERVE)
    wait_until(lambda: page(port))
    clipper("network", "connect", second, name)
    left = clipper.inspect(name)["NetworkSettings"]["Networks"][first]
    daemon.kill()
    database = sqlite3.connect(daemon.scratch / "data/clipper.db")
    (key, text), = [row for row in database.execute("select key, document from containers") if f'"name":"{name}"' in str(row[1])]
    record = json.loads(text)
    record["isRewiring"] = True
    del record["networks"][first]
    record["attachments"] = [place for place in record["attachments"] if place["networkName"] != first]
    database.execute("update containers set document = ? where key = ?", (json.dumps(record).encode(), key))
    database.commit()
    database.close()
    daemon.start()
    assert set(clipper.inspect(name)["NetworkSettings"]["Networks"]) == {second}
    wait_until(lambda: interfaces(clipper, name)[0] == ["eth1"], what="the first network's interface is gone")
    assert published_on(clipper, name, port) == ({"web\n"}, gateway_of(clipper, name, second))
    assert left["IPAddress"] not in clipper("exec", name, "cat", "/etc/hosts")
    clipper("network", "disconnect", second, name)
    assert published_on_host(port) == {None}
