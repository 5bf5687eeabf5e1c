"""Ports that are published on the host's IPv6 addresses."""

import http.client
import json
import os
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from harness import IMAGE, Daemon, clear, free_port, wait_until
from conftest import PROGRAMS, Client, import_base
from test_networks import SERVE

# Any bytes, back as they come; the end of the one side is the end of the other. Both families, on the port of the first argument.
ECHO_SERVER = """
import socket as s, sys, threading
k = s.create_server(("::", int(sys.argv[1])), family=s.AF_INET6, dualstack_ipv6=True) if s.has_dualstack_ipv6() and len(sys.argv) > 2 \
    else s.create_server(("0.0.0.0", int(sys.argv[1])))
def serve(c):
    while b := c.recv(65536): c.sendall(b)
    c.sendall(b"|end"); c.close()
while 1: threading.Thread(target=serve, args=(k.accept()[0],)).start()
"""
DATAGRAMS = "import socket as s; k = s.socket(s.AF_INET, s.SOCK_DGRAM); k.bind(('', 9))\nwhile 1: k.sendto(*k.recvfrom(65000))"
PYTHON = ["-v", "/:/host:ro", IMAGE, "chroot", "/host", sys.executable, "-c"]


def fetch(host, port):
    connection = http.client.HTTPConnection(host, port, timeout=3)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read().decode()
    except OSError:
        return None
    except http.client.HTTPException:
        return None
    finally:
        connection.close()


def ticks(pid):
    """What a process has had of the processor, in hundredths of a second."""
    return sum(map(int, open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[11:13]))


@pytest.fixture
def address():
    """A global IPv6 address of this host, on an interface of its own."""
    subprocess.run(["ip", "link", "add", "clpt6", "type", "bridge"], check=True)
    subprocess.run(["ip", "link", "set", "clpt6", "up"], check=True)
    subprocess.run(["ip", "addr", "add", "fd00:c11b::1/64", "dev", "clpt6", "nodad"], check=True)
    yield "fd00:c11b::1"
    subprocess.run(["ip", "link", "delete", "clpt6"], check=True)


@pytest.fixture
def dual(clipper, name):
    """A network with both families."""
    clipper("network", "create", "--ipv6", "--subnet", "fd00:c11c::/64", name + "-net")
    yield name + "-net"
    clipper.run("network", "rm", "-f", name + "-net")


def test_every_address_of_both_families(cli, name, address):
    port = free_port()
    cli("run", "-d", "--name", name, "-p", f"{port}:80", "-h", "web", IMAGE, *SERVE)
    for host in ["::1", address, "127.0.0.1"]:
        assert wait_until(lambda: fetch(host, port)) == "web\n", host
    assert cli.inspect(name)["NetworkSettings"]["Ports"] == {
        "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": str(port)}, {"HostIp": "::", "HostPort": str(port)}]}
    # docker 20.10 has no brackets.
    every = "::" if cli.name == "docker-20.10" else "[::]"
    assert cli("port", name).splitlines() == [f"80/tcp -> 0.0.0.0:{port}", f"80/tcp -> {every}:{port}"]
    assert cli("ps", "--filter", f"name={name}", "--format", "{{.Ports}}") == f"0.0.0.0:{port}->80/tcp, {every}:{port}->80/tcp"
    cli("stop", "-t", "0", name)
    assert fetch("::1", port) is None
    with socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True):
        pass


@pytest.mark.parametrize("host", ["::1", "::"])
def test_named_address(clipper, name, address, host):
    port = free_port()
    clipper("run", "-d", "--name", name, "-p", f"[{host}]:{port}:80", "-h", "web", IMAGE, *SERVE)
    assert wait_until(lambda: fetch("::1", port)) == "web\n"
    assert clipper.inspect(name)["NetworkSettings"]["Ports"] == {"80/tcp": [{"HostIp": host, "HostPort": str(port)}]}
    assert clipper("port", name, "80") == f"[{host}]:{port}"
    assert fetch(address, port) == ("web\n" if host == "::" else None)
    assert fetch("127.0.0.1", port) is None
    with socket.create_server(("127.0.0.1", port)):  # The other family's port is free.
        pass


def test_ipv4_address_is_that_alone(clipper, name):
    port = free_port()
    clipper("run", "-d", "--name", name, "-p", f"0.0.0.0:{port}:80", IMAGE, *SERVE)
    wait_until(lambda: fetch("127.0.0.1", port))
    assert fetch("::1", port) is None
    assert [b["HostIp"] for b in clipper.inspect(name)["NetworkSettings"]["Ports"]["80/tcp"]] == ["0.0.0.0"]


def test_port_taken_on_ipv6_alone(cli, name):
    port = free_port()
    with socket.create_server(("::1", port), family=socket.AF_INET6):
        result = cli.run("run", "-d", "--name", name, "-p", f"{port}:80", IMAGE, *SERVE)
    assert result.code == 125 and f"failed to bind host port for [::]:{port}:" in result.err and "address already in use" in result.err
    cli("start", name)


def test_port_of_another_container(clipper, name):
    port = free_port()
    clipper("run", "-d", "--name", name, "-p", f"[::1]:{port}:80", IMAGE, *SERVE)
    refused = clipper.run("run", "-d", "--name", name + "-2", "-p", f"{port}:80", IMAGE, *SERVE)
    assert f"Bind for [::]:{port} failed: port is already allocated" in refused.err
    clipper("run", "-d", "-p", f"0.0.0.0:{port}:80", IMAGE, *SERVE)


def test_sdk_without_a_host_address(sdk, name):
    port = free_port()
    container = sdk.containers.run(IMAGE, SERVE, name=name, detach=True, ports={"80/tcp": port})
    container.reload()
    assert [b["HostIp"] for b in container.ports["80/tcp"]] == ["0.0.0.0", "::"]
    assert wait_until(lambda: fetch("::1", port))


def test_chosen_port_is_the_same_in_both_families(clipper, name):
    clipper("run", "-d", "--name", name, "-P", "--expose", "80", IMAGE, *SERVE)
    ports = clipper.inspect(name)["NetworkSettings"]["Ports"]["80/tcp"]
    assert [p["HostIp"] for p in ports] == ["0.0.0.0", "::"] and ports[0]["HostPort"] == ports[1]["HostPort"]
    assert wait_until(lambda: fetch("::1", int(ports[1]["HostPort"])))


def test_many_bytes_both_ways(clipper, name):
    """Two megabytes each way at once, more than any pipe or buffer holds; then one side ends and the other answers."""
    port = free_port()
    clipper("run", "-d", "--name", name, "-p", f"[::1]:{port}:7", *PYTHON, ECHO_SERVER, "7")

    def speaks():
        try:
            with socket.create_connection(("::1", port), 2) as sock:
                sock.sendall(b"x")
                return sock.recv(1) == b"x"
        except OSError:
            return False
    wait_until(speaks)
    data = os.urandom(1 << 21)
    with socket.create_connection(("::1", port), 10) as sock:
        sender = threading.Thread(target=lambda: (sock.sendall(data), sock.shutdown(socket.SHUT_WR)))
        sender.start()
        received = b""
        while chunk := sock.recv(65536):
            received += chunk
        sender.join()
    assert received == data + b"|end"


def test_a_client_that_does_not_read_holds_nobody_up(clipper, daemon, name):
    port = free_port()
    clipper("run", "-d", "--name", name, "-p", f"[::1]:{port}:7", *PYTHON, ECHO_SERVER, "7")
    shim = daemon.shims()[0]

    def connect():
        try:
            sock = socket.create_connection(("::1", port), 2)
            sock.sendall(b"x")
            return sock if sock.recv(1) == b"x" else None
        except OSError:
            return None
    stuck, other = wait_until(connect), wait_until(connect)
    stuck.setblocking(False)
    quiet = 0
    while quiet < 5:
        try:
            stuck.send(bytes(65536))
            quiet = 0
        except BlockingIOError:
            quiet += 1
            time.sleep(0.02)
    other.sendall(b"still there")
    assert other.recv(100) == b"still there"

    # Nor does it cost anything: no bytes in the supervisor, and no turning round (a hundred ticks are a second of the processor).
    start = ticks(shim)
    time.sleep(0.5)
    assert ticks(shim) - start <= 5
    assert int(open(f"/proc/{shim}/status").read().split("VmRSS:")[1].split()[0]) < 20_000
    descriptors = len(os.listdir(f"/proc/{shim}/fd"))
    stuck.close()
    other.close()
    wait_until(lambda: len(os.listdir(f"/proc/{shim}/fd")) == descriptors - 12)


def test_nobody_listens_in_the_container(clipper, name):
    port = free_port()
    clipper("run", "-d", "--name", name, "-p", f"[::1]:{port}:80", IMAGE, "sleep", "1000")
    with socket.create_connection(("::1", port), 5) as sock:
        assert sock.recv(1) == b""
    clipper("exec", "-d", name, *SERVE)
    assert wait_until(lambda: fetch("::1", port))


def test_datagrams(clipper, name, address):
    port = free_port(socket.SOCK_DGRAM)
    clipper("run", "-d", "--name", name, "-p", f"{port}:9/udp", *PYTHON, DATAGRAMS)

    def echo(host, text):
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.settimeout(0.5)
            sock.connect((host, port))  # An answer from elsewhere does not reach it.
            try:
                sock.send(text)
                return sock.recv(65000) == text
            except OSError:
                return False
    wait_until(lambda: echo("::1", b"ping"))
    assert echo(address, os.urandom(30000)) and echo(address, b"")
    assert [b["HostIp"] for b in clipper.inspect(name)["NetworkSettings"]["Ports"]["9/udp"]] == ["0.0.0.0", "::"]


def test_ports_answer_while_the_daemon_is_dead(clipper, daemon, name, dual):
    alone, both, udp = free_port(), free_port(), free_port(socket.SOCK_DGRAM)
    clipper("run", "-d", "--name", name, "-p", f"{alone}:80", "-p", f"{udp}:9/udp", "-h", "web", IMAGE, *SERVE)
    clipper("run", "-d", "--name", name + "-6", "--network", dual, "-p", f"{both}:80", "-h", "six", IMAGE, *SERVE)
    wait_until(lambda: fetch("::1", alone))
    wait_until(lambda: fetch("::1", both))
    for host in ["::1", "127.0.0.1"]:
        daemon.kill()
        try:
            assert fetch(host, alone) == "web\n" and fetch(host, both) == "six\n"
            with pytest.raises(OSError):
                socket.create_server(("::1", alone), family=socket.AF_INET6)
        finally:
            daemon.start()
        assert fetch(host, alone) == "web\n" and fetch(host, both) == "six\n"
    assert [b["HostIp"] for b in clipper.inspect(name)["NetworkSettings"]["Ports"]["80/tcp"]] == ["0.0.0.0", "::"]
    refused = clipper.run("run", "--rm", "-p", f"[::]:{alone}:80", IMAGE, "true")
    assert f"Bind for [::]:{alone} failed: port is already allocated" in refused.err


def test_container_with_an_address_of_its_own(clipper, name, dual, address):
    port = free_port()
    clipper("run", "-d", "--name", name, "--network", dual, "-p", f"{port}:7", *PYTHON, ECHO_SERVER, "7", "both")
    own = clipper.inspect(name)["NetworkSettings"]["Networks"][dual]["GlobalIPv6Address"]
    table = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True).stdout
    assert f"tcp . {port} : {own} . 7" in table.replace("\n", " ")

    def speaks(host):
        try:
            with socket.create_connection((host, port), 2) as sock:
                sock.sendall(b"x")
                return sock.recv(1) == b"x"
        except OSError:
            return False
    for host in [address, "::1", "127.0.0.1"]:
        wait_until(lambda: speaks(host))


def test_network_with_both_families_takes_the_ports_over(clipper, daemon, name, dual, address):
    """It is preferred to one with IPv4 alone, which gets them back."""
    port = free_port()
    server = "import http.server as h, socket; h.HTTPServer.address_family = socket.AF_INET6\n" \
        "h.test(h.SimpleHTTPRequestHandler, port=80, bind='::')"
    clipper("run", "-d", "--name", name, "-p", f"{port}:80", "-h", "web", "-w", "/", *PYTHON, f"import os; os.chdir('/proc/sys/kernel')\n{server}")

    def answers():
        return all("hostname" in (fetch(host, port) or "") for host in [address, "::1", "127.0.0.1"])

    def routes():
        return clipper("exec", name, "sh", "-c", "ip route; ip -6 route").count("default via")
    wait_until(answers)
    assert routes() == 1
    clipper("network", "connect", dual, name)
    own = clipper.inspect(name)["NetworkSettings"]["Networks"][dual]["GlobalIPv6Address"]
    table = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True).stdout
    assert f"tcp . {port} : {own} . 80" in table.replace("\n", " ")
    assert answers() and routes() == 2
    daemon.crash()
    assert answers() and routes() == 2
    clipper("network", "disconnect", dual, name)
    assert answers() and routes() == 1 and own not in subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True).stdout
    # Its process 1 is deaf.
    clipper("rm", "-f", name)


def test_interface_that_shall_have_no_ipv6(clipper, name, dual):
    option = "driver-opt=com.docker.network.endpoint.sysctls=net.ipv6.conf.IFNAME.disable_ipv6=1"
    port = free_port()
    clipper("run", "-d", "--name", name, "--network", f"name={dual},{option}", "-p", f"{port}:80", "-h", "web", IMAGE, *SERVE)
    assert "inet6" not in clipper("exec", name, "ip", "addr", "show", "eth0")
    assert not clipper.inspect(name)["NetworkSettings"]["Networks"][dual]["GlobalIPv6Address"]
    assert wait_until(lambda: fetch("::1", port)) == "web\n"


def test_leaving_the_network_ends_the_port(clipper, name):
    """The address may be another container's before long."""
    port = free_port()
    clipper("run", "-d", "--name", name, "-p", f"{port}:80", "-h", "web", IMAGE, *SERVE)
    wait_until(lambda: fetch("::1", port))
    clipper("network", "disconnect", "bridge", name)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("::1", port), 2)
    with socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True):
        pass
    clipper("kill", name)


def test_leaving_a_network_is_done_though_a_file_cannot_be_written(clipper, daemon, name):
    """The address is given back by then: what came to the port would reach whoever has it next."""
    port = free_port()
    clipper("run", "-d", "--name", name, "-p", f"{port}:80", IMAGE, *SERVE)
    wait_until(lambda: fetch("::1", port))
    hosts = daemon.scratch / "data/containers" / clipper.inspect(name)["Id"] / "hosts"
    hosts.rename(hosts.with_name("aside"))
    hosts.mkdir()
    clipper("network", "disconnect", "bridge", name)
    assert "is a directory" in daemon.log_tail()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("::1", port), 2)
    assert not clipper.inspect(name)["NetworkSettings"]["Networks"]
    assert "eth0" not in clipper("exec", name, "ls", "/sys/class/net")
    # One that cannot be joined wholly is not joined.
    assert "is a directory" in clipper.run("network", "connect", "bridge", name).err
    assert not clipper.inspect(name)["NetworkSettings"]["Networks"]
    assert "eth0" not in clipper("exec", name, "ls", "/sys/class/net")
    hosts.rmdir()
    hosts.with_name("aside").rename(hosts)
    clipper("network", "connect", "bridge", name)
    assert wait_until(lambda: fetch("::1", port))


def test_last_bytes_of_a_container_that_ends(clipper, name):
    port = free_port()
    code = "import socket as s; c = s.create_server(('', 7)).accept()[0]; c.sendall(b'x' * 100000)"
    clipper("run", "-d", "--name", name, "-p", f"[::1]:{port}:7", *PYTHON, code)

    def read():
        try:
            with socket.create_connection(("::1", port), 2) as sock:
                received = b""
                while chunk := sock.recv(65536):
                    received += chunk
                return received
        except OSError:
            return None
    assert len(wait_until(read)) == 100000


def test_three_hundred_ports_and_as_many_connections(clipper, name):
    base = 23000
    clipper("run", "-d", "--name", name, "-p", f"[::]:{base}-{base + 299}:7000-7299", *PYTHON,
            ECHO_SERVER.replace("int(sys.argv[1])", "7007"), "7007")

    def connect():
        try:
            sock = socket.create_connection(("::1", base + 7), 2)
            sock.sendall(b"x")
            if sock.recv(1) == b"x":
                return sock
        except OSError:
            pass
        return None
    wait_until(connect).close()
    assert len(clipper.inspect(name)["NetworkSettings"]["Ports"]) == 300
    connections = [connect() for _ in range(300)]
    assert all(connections)
    for number, sock in enumerate(connections):
        sock.sendall(str(number).encode())
    for number, sock in enumerate(connections):
        assert sock.recv(10) == str(number).encode()
        sock.close()


@pytest.fixture
def other_daemon(request):
    """A daemon with options of its own."""
    made = []

    def make(*options, before=()):
        daemon = Daemon(f"clpp{os.getpid()}x{len(made)}", options, before)
        made.append(daemon)
        daemon.start()
        import_base(daemon)
        return Client("clipper", PROGRAMS["clipper"], daemon)
    yield make
    for daemon in made:
        clear(daemon)
        daemon.remove()


def test_without_the_userland_proxy(other_daemon, name):
    clipper, port = other_daemon("--userland-proxy=false"), free_port()
    clipper("run", "-d", "--name", name, "-p", f"{port}:80", IMAGE, *SERVE)
    wait_until(lambda: fetch("127.0.0.1", port))
    assert fetch("::1", port) is None
    assert [b["HostIp"] for b in clipper.inspect(name)["NetworkSettings"]["Ports"]["80/tcp"]] == ["0.0.0.0"]
    refused = clipper.run("run", "--rm", "-p", f"[::1]:{port}:80", IMAGE, "true")
    assert refused.code == 125 and "::1" in refused.err


def test_host_without_ipv6(other_daemon, name):
    """As a kernel without it: ::1 is nobody's."""
    setting = "/proc/sys/net/ipv6/conf/lo/disable_ipv6"
    clipper = other_daemon()
    before = open(setting).read()
    try:
        with open(setting, "w") as file:
            file.write("1\n")
        clipper("run", "-d", "--name", name, "-p", "80", IMAGE, *SERVE)
        assert [b["HostIp"] for b in clipper.inspect(name)["NetworkSettings"]["Ports"]["80/tcp"]] == ["0.0.0.0"]
    finally:
        with open(setting, "w") as file:
            file.write(before)


def test_clients_leave_the_supervisor_its_descriptors(other_daemon, name):
    """More connections and more senders of datagrams than there are descriptors for."""
    clipper = other_daemon(before=["prlimit", "--nofile=256:256"])
    port, udp = free_port(), free_port(socket.SOCK_DGRAM)
    both = f"import threading\ndef udp():\n exec({DATAGRAMS!r})\nthreading.Thread(target=udp).start()\n{ECHO_SERVER}"
    clipper("run", "-d", "--name", name, "-p", f"[::1]:{port}:7", "-p", f"[::1]:{udp}:9/udp", *PYTHON, both, "7")
    shim = clipper.daemon.shims()[0]

    def connect():
        sock = socket.create_connection(("::1", port), 2)
        sock.sendall(b"x")
        return sock

    def answered(socks):
        """Those that have an answer, once one has."""
        found = select.select(socks, [], [], 10)[0]
        assert found and {sock.recv(1) for sock in found} == {b"x"}
        return found

    def speaks():
        try:
            with connect() as sock:
                return sock.recv(1) == b"x"
        except OSError:
            return False
    wait_until(speaks)
    senders = []
    for _ in range(250):
        senders.append(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
        senders[-1].connect(("::1", udp))
        senders[-1].send(b"x")

    def last_hears():
        senders[-1].send(b"x")
        return select.select(senders[-1:], [], [], 0.1)[0]
    wait_until(last_hears)
    connections = [connect() for _ in range(60)]
    assert clipper("exec", name, "echo", "still there") == "still there"
    assert len(os.listdir(f"/proc/{shim}/fd")) <= 256 - 64
    # Nobody was turned away: who waits comes when another goes.
    served = answered(connections)
    assert len(served) < 60
    while True:
        for sock in served:
            sock.close()
            connections.remove(sock)
        if not connections:
            break
        served = answered(connections)
    for sock in senders:
        sock.close()


def test_a_supervisor_without_descriptors_waits(clipper, daemon, name):
    """It takes connections again when there are some, and does not turn round and round until then."""
    clipper("run", "-d", "--name", name, IMAGE, "sleep", "1000")
    shim = daemon.shims()[0]
    limit = resource.prlimit(shim, resource.RLIMIT_NOFILE)
    resource.prlimit(shim, resource.RLIMIT_NOFILE, (1 + max(map(int, os.listdir(f"/proc/{shim}/fd"))), limit[1]))
    path = str(daemon.scratch / "exec/containers" / clipper.inspect(name)["Id"] / "shim.sock")
    peers = [socket.socket(socket.AF_UNIX) for _ in range(40)]
    try:
        for peer in peers:
            peer.connect(path)
        start = ticks(shim)
        time.sleep(1)
        assert ticks(shim) - start <= 10
    finally:
        resource.prlimit(shim, resource.RLIMIT_NOFILE, limit)
        for peer in peers:
            peer.close()
    assert clipper("exec", name, "echo", "back") == "back"


def test_containers_keep_the_limit_of_the_daemon(other_daemon, name):
    """The daemon and its supervisors have as many descriptors as they may; containers what the daemon was started with."""
    clipper = other_daemon(before=["prlimit", "--nofile=300:2000"])
    clipper("run", "-d", "--name", name, IMAGE, "sleep", "1000")
    for pid in [clipper.daemon.pid, clipper.daemon.shims()[0]]:
        assert resource.prlimit(pid, resource.RLIMIT_NOFILE) == (2000, 2000)
    assert resource.prlimit(clipper.inspect(name)["State"]["Pid"], resource.RLIMIT_NOFILE) == (300, 2000)
    question = "ulimit -Sn; ulimit -Hn"
    assert clipper("exec", name, "sh", "-c", question).split() == ["300", "2000"]
    assert clipper("run", "--rm", "--ulimit", "nofile=70:80", IMAGE, "sh", "-c", question).split() == ["70", "80"]
    built = clipper("build", "--no-cache", "-", input=f"FROM {IMAGE}\nRUN {question}\n".encode())
    assert "\n300\n2000\n" in built


def test_hooks_and_other_runtimes_keep_the_limit_of_the_daemon(other_daemon, name, tmp_path):
    """They are nobody who would know what to do with many more descriptors than they were meant to have."""
    hook, runtime = tmp_path / "hook", tmp_path / "runtime"
    hook.write_text(f"#!/bin/sh\necho $1 $(ulimit -Sn) $(ulimit -Hn) >>{tmp_path}/limits\n")
    runtime.write_text(f"#!/bin/sh\necho runtime $(ulimit -Sn) $(ulimit -Hn) >>{tmp_path}/limits\nexec {shutil.which('runc')} \"$@\"\n")
    points = ["createRuntime", "createContainer", "startContainer", "poststart", "poststop"]
    # Those of the container's own are run with its root.
    hooks = [{"hookName": point, "path": str(hook) if point != "startContainer" else "/hook", "args": ["hook", point]} for point in points]
    spec = {"cdiVersion": "0.6.0", "kind": "acme.com/hook", "devices": [{"name": "all", "containerEdits": {"hooks": hooks, "mounts": [
        {"hostPath": str(path), "containerPath": place, "options": ["bind"]} for path, place in [(hook, "/hook"), (tmp_path, str(tmp_path))]]}}]}
    for path in (hook, runtime):
        path.chmod(0o755)
    (tmp_path / "cdi").mkdir()
    (tmp_path / "cdi/hook.json").write_text(json.dumps(spec))
    clipper = other_daemon("--cdi-spec-dir", tmp_path / "cdi", "--add-runtime", f"other={runtime}", before=["prlimit", "--nofile=300:2000"])
    clipper("run", "--rm", "--device", "acme.com/hook=all", IMAGE, "true")
    wait_until(lambda: (tmp_path / "limits").read_text().splitlines() == [f"{point} 300 2000" for point in points])
    (tmp_path / "limits").unlink()
    clipper("run", "--rm", "--runtime", "other", IMAGE, "true")
    assert set((tmp_path / "limits").read_text().splitlines()) == {"runtime 300 2000"}
    clipper("run", "-d", "--name", name, "--runtime", "other", IMAGE, "sleep", "1000")
    (tmp_path / "limits").unlink()
    os.kill(clipper.daemon.shims()[0], signal.SIGKILL)
    # The daemon itself tells the runtime of the end.
    assert clipper("wait", name) == "137"
    assert set((tmp_path / "limits").read_text().splitlines()) == {"runtime 300 2000"}
