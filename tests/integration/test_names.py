"""Containers find each other by name on networks that users define."""

import subprocess

import pytest

from harness import IMAGE


@pytest.fixture
def network(clipper, name):
    network = f"net{name}".lower()[-50:]
    clipper("network", "create", network)
    yield network
    clipper.run("network", "rm", "-f", network)


def lookup(client, container, wanted, *arguments):
    return client.run("exec", container, "nslookup", *arguments, wanted)


def addresses(result):
    """What busybox's nslookup found, without the server's own address."""
    found = [line.split()[-1] for line in result.out.splitlines() if line.startswith("Address")]
    return [a for a in found if not a.startswith("127.0.0.11")]


def address_of(client, container, network):
    return client.inspect(container)["NetworkSettings"]["Networks"][network]["IPAddress"]


def test_by_name_alias_and_short_id(cli, name, network):
    cli("run", "-d", "--name", f"{name}-a", "--network", network, IMAGE, "sleep", "1000")
    cli("run", "-d", "--name", f"{name}-b", "--hostname", "bee", "--network", network, "--network-alias", "db", IMAGE, "sleep", "1000")
    resolv = cli("exec", f"{name}-a", "cat", "/etc/resolv.conf").splitlines()
    assert "nameserver 127.0.0.11" in resolv and any("ndots:0" in line for line in resolv)
    address = address_of(cli, f"{name}-b", network)
    short = cli.inspect(f"{name}-b")["Id"][:12]
    for wanted in [f"{name}-b", "db", "DB", "bee", short, f"db.{network}"]:
        assert addresses(lookup(cli, f"{name}-a", wanted)) == [address], wanted
    assert "1 packets received" in cli("exec", f"{name}-a", "ping", "-c", "1", "-W", "5", "db")
    assert f"{name}-b.{network}" in lookup(cli, f"{name}-a", address).out


def test_names_come_and_go(cli, name, network):
    cli("run", "-d", "--name", f"{name}-a", "--network", network, IMAGE, "sleep", "1000")
    cli("run", "-d", "--name", f"{name}-b", "--network", network, IMAGE, "sleep", "1000")
    cli("rename", f"{name}-b", f"{name}-c")
    assert addresses(lookup(cli, f"{name}-a", f"{name}-c")) == [address_of(cli, f"{name}-c", network)]
    assert addresses(lookup(cli, f"{name}-a", f"{name}-b")) == []
    cli("network", "disconnect", network, f"{name}-c")
    assert addresses(lookup(cli, f"{name}-a", f"{name}-c")) == []
    cli("network", "connect", "--alias", "back", network, f"{name}-c")
    assert addresses(lookup(cli, f"{name}-a", "back")) == [address_of(cli, f"{name}-c", network)]


def test_one_alias_of_several(clipper, name, network):
    clipper("run", "-d", "--name", f"{name}-q", "--network", network, IMAGE, "sleep", "1000")
    for number in range(3):
        clipper("run", "-d", "--name", f"{name}-{number}", "--network", network, "--network-alias", "workers", IMAGE, "sleep", "1000")
    expected = {address_of(clipper, f"{name}-{number}", network) for number in range(3)}
    assert set(addresses(lookup(clipper, f"{name}-q", "workers"))) == expected


def test_other_networks_and_the_default_one_do_not_know_it(cli, name, network):
    cli("run", "-d", "--name", f"{name}-a", "--network", network, IMAGE, "sleep", "1000")
    cli("run", "-d", "--name", f"{name}-x", IMAGE, "sleep", "1000")
    assert "127.0.0.11" not in cli("exec", f"{name}-x", "cat", "/etc/resolv.conf")
    assert addresses(lookup(cli, f"{name}-a", f"{name}-x")) == []


def test_names_survive_the_daemon(clipper, daemon, name, network):
    for letter in "ab":
        clipper("run", "-d", "--name", f"{name}-{letter}", "--network", network, IMAGE, "sleep", "1000")
    daemon.crash()
    assert addresses(lookup(clipper, f"{name}-a", f"{name}-b")) == [address_of(clipper, f"{name}-b", network)]


def test_a_name_server_of_the_containers_own(clipper, name, network):
    """Port 53 is the container's: only 127.0.0.11 leads to ours."""
    clipper("run", "-d", "--name", f"{name}-a", "--network", network, IMAGE, "sleep", "1000")
    listen = "nc -l -p 53 >/dev/null & sleep 0.2; netstat -lnt | grep -c ':53 '"
    assert clipper("exec", f"{name}-a", "sh", "-c", listen) == "1"
    assert addresses(lookup(clipper, f"{name}-a", f"{name}-a")) != []


ANSWER = """
import socket, sys
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("127.0.0.1", int(sys.argv[1])))
print("ready", flush=True)
while True:
    packet, peer = udp.recvfrom(4096)
    end = packet.index(0, 12) + 5
    if packet[end - 3] != 1:
        udp.sendto(packet[:2] + b"\\x81\\x80" + packet[4:6] + b"\\0\\0\\0\\0\\0\\0" + packet[12:end], peer)
        continue
    udp.sendto(packet[:2] + b"\\x81\\x80" + packet[4:6] + b"\\0\\1\\0\\0\\0\\0" + packet[12:end]
               + b"\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\x05\\0\\4" + bytes([192, 0, 2, 77]), peer)
"""


def test_all_other_names_go_to_the_given_servers(clipper, name, network):
    """--dns names a server in the daemon's network namespace; port 53 of a loopback address of the test's own."""
    server = subprocess.Popen(["python3", "-c", ANSWER.replace('("127.0.0.1", int(sys.argv[1]))', '("127.53.7.53", 53)')], stdout=subprocess.PIPE)
    try:
        assert server.stdout.readline() == b"ready\n"
        clipper("run", "-d", "--name", name, "--network", network, "--dns", "127.53.7.53", IMAGE, "sleep", "1000")
        assert addresses(lookup(clipper, name, "www.example.com")) == ["192.0.2.77"]
    finally:
        server.kill()
        server.wait()


def test_internal_networks_ask_nobody_outside(clipper, name):
    network = f"int{name}".lower()[-50:]
    clipper("network", "create", "--internal", network)
    try:
        clipper("run", "-d", "--name", name, "--network", network, IMAGE, "sleep", "1000")
        result = lookup(clipper, name, "www.example.com")
        assert result.code != 0 and addresses(result) == []
    finally:
        clipper("rm", "-f", name)
        clipper("network", "rm", network)


def test_links_are_names_for_one_container(cli, name, network):
    cli("run", "-d", "--name", f"{name}-a", "--network", network, IMAGE, "sleep", "1000")
    cli("run", "-d", "--name", f"{name}-b", "--network", network, "--link", f"{name}-a:store", IMAGE, "sleep", "1000")
    assert addresses(lookup(cli, f"{name}-b", "store")) == [address_of(cli, f"{name}-a", network)]
    assert addresses(lookup(cli, f"{name}-a", "store")) == []
    result = cli.run("run", "--rm", "--link", f"{name}-a:store", IMAGE, "true")
    assert result.code == 125 and f"Cannot link to /{name}-a, as it does not belong to the default network" in result.err
