"""Fixtures: one daemon for the session, and the clients. See harness.py."""

import contextlib
import os
import pathlib
import shutil
import subprocess
import tempfile

import docker
import pytest

from harness import BIN, IMAGE, REPOSITORY, Client, Daemon, Terminal, clear, named_namespaces


def docker_programs():
    """Every different `docker` on this machine, by a short name."""
    found = {}
    for path in ["/usr/bin/docker", shutil.which("docker"), "/usr/local/bin/docker"]:
        if path and os.access(path, os.X_OK):
            real = os.path.realpath(path)
            if real not in found:
                version = subprocess.run([real, "--version"], capture_output=True, text=True).stdout.split()[2].rstrip(",")
                found[real] = "docker-" + ".".join(version.split(".")[:2])
    return {name: path for path, name in found.items()}


PROGRAMS = {"clipper": str(BIN / "clipper"), **docker_programs()}


def import_base(daemon):
    base = subprocess.Popen([str(REPOSITORY / "scripts/make-base-image")], stdout=subprocess.PIPE)
    subprocess.run([PROGRAMS["clipper"], "-H", daemon.host, "import", "-", IMAGE], stdin=base.stdout, check=True, capture_output=True)
    assert base.wait() == 0


@contextlib.contextmanager
def serving(daemon):
    """`daemon`, started and with the base image. Whatever happens, all that it made is gone after, and so is it."""
    try:
        daemon.start()
        import_base(daemon)
        yield daemon
    finally:
        try:
            clear(daemon)
        finally:
            if daemon.running():
                daemon.kill()
            daemon.remove()


def pytest_configure(config):
    """Every answer of the session's daemons is written down, for test_zz_contract.py."""
    if not os.environ.get("CLIPPER_RECORDS"):
        directory = tempfile.mkdtemp(prefix="clprec")
        os.environ["CLIPPER_RECORDS"] = directory
        config.add_cleanup(lambda: (os.environ.pop("CLIPPER_RECORDS"), shutil.rmtree(directory)))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logstart(nodeid):
    pathlib.Path(os.environ["CLIPPER_RECORDS"], "test").write_text(nodeid)


def pytest_terminal_summary(terminalreporter, config):
    """What of the API reference the suite has not exercised."""
    if not hasattr(config, "contract_report"):
        return
    count, seen, unseen = config.contract_report
    listing = REPOSITORY / ".build-test" / "api-answers-never-seen"
    listing.parent.mkdir(exist_ok=True)
    lines = sorted(f"{path} {method.upper()}: {status}" for method, path, status in unseen)
    listing.write_text("\n".join(lines) + "\n")
    terminalreporter.write_line(
        f"API reference: {count} answers, {len(seen)} documented ones seen, {len(unseen)} never ({listing.relative_to(REPOSITORY)})"
    )


@pytest.fixture(scope="session")
def surroundings():
    """What was on the machine before the daemon: not ours to count or to remove."""
    return {
        "tables": subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout.splitlines(),
        "links": os.listdir("/sys/class/net"),
        "namespaces": named_namespaces(),
    }


@pytest.fixture(scope="session")
def session_daemon(surroundings):
    daemon = Daemon(f"clpt{os.getpid()}")
    try:
        daemon.start()
        import_base(daemon)
        yield daemon
    finally:
        if daemon.scratch.exists():  # The leak check, the last test, has done this already.
            try:
                clear(daemon)
            finally:
                if daemon.running():
                    daemon.kill()
                daemon.remove()


def stores(daemon):
    """The names of all that tests make and must not leave."""
    images = {i["Id"] for i in daemon.request("GET", "/images/json?all=1")[1]}
    tags = {t for i in daemon.request("GET", "/images/json")[1] for t in i["RepoTags"] or []}
    volumes = {v["Name"] for v in daemon.request("GET", "/volumes")[1]["Volumes"] or []}
    networks = {n["Id"] for n in daemon.request("GET", "/networks")[1]}
    return images, tags, volumes, networks


@pytest.fixture
def daemon(session_daemon):
    """The session's daemon; afterwards all that the test left in it is removed."""
    if not session_daemon.running():
        session_daemon.start()
    log_start = session_daemon.log.stat().st_size
    before = stores(session_daemon)
    yield session_daemon
    if not session_daemon.running():
        status = session_daemon.process.returncode
        tail = session_daemon.log_tail(log_start)
        session_daemon.start()
        if status != -9:
            pytest.fail(f"the daemon ended by itself with {status}:\n{tail}")
    for container in session_daemon.request("GET", "/containers/json?all=1")[1]:
        session_daemon.request("DELETE", f"/containers/{container['Id']}?force=1&v=1")
    images, tags, volumes, networks = stores(session_daemon)
    for tag in tags - before[1]:
        session_daemon.request("DELETE", f"/images/{tag}?force=1")
    for image in images - before[0]:
        session_daemon.request("DELETE", f"/images/{image}?force=1")
    for volume in volumes - before[2]:
        session_daemon.request("DELETE", f"/volumes/{volume}?force=1")
    for network in networks - before[3]:
        session_daemon.request("DELETE", f"/networks/{network}")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows the end of the daemon's log."""
    report = (yield).get_result()
    daemon = getattr(item, "funcargs", {}).get("session_daemon") or getattr(item, "funcargs", {}).get("daemon")
    if report.failed and daemon and daemon.log.exists():
        report.sections.append(("clipperd's log", daemon.log_tail()[-2500:]))


@pytest.fixture(params=sorted(PROGRAMS))
def cli(request, daemon):
    """Each command line client in turn: clipper, and every unmodified docker here."""
    return Client(request.param, PROGRAMS[request.param], daemon)


@pytest.fixture
def clipper(daemon):
    return Client("clipper", PROGRAMS["clipper"], daemon)


@pytest.fixture
def sdk(daemon):
    client = docker.DockerClient(base_url=daemon.host, version="auto", timeout=60)
    yield client
    client.close()


@pytest.fixture
def name(request, session_daemon):
    """A container name of this test's own."""
    safe = "".join(c if c.isalnum() else "-" for c in request.node.name)
    return f"{session_daemon.prefix}-{safe}"[:60].strip("-").lower()


@pytest.fixture
def terminal():
    """Makes clients on pseudo-terminals, and closes them."""
    made = []

    def make(*arguments, **options):
        made.append(Terminal(*arguments, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def sleeper(clipper, name):
    """A running container that does nothing."""
    clipper("run", "-d", "--name", name, IMAGE, "sleep", "1000")
    return name
