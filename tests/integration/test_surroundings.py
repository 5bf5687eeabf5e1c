"""What the daemon was started with does not reach a container: signals that are ignored or blocked, capabilities that are missing."""

import os
import shutil
import subprocess

import pytest

from conftest import PROGRAMS, serving
from harness import IMAGE, Client, Daemon

# As nohup, a shell without job control or a service manager may leave them behind, and the threads of a careless parent.
SIGNALS = ["env", "--ignore-signal=HUP,INT,QUIT,PIPE,USR1,TTOU,CHLD", "--block-signal=USR2,WINCH,ALRM"]
# A host that lacks capabilities: the daemon cannot give what it has not got.
POOR = ["setpriv", "--bounding-set", "-sys_time,-sys_resource,-syslog", "--inh-caps", "-sys_time,-sys_resource,-syslog"]
MISSING = 1 << 25 | 1 << 24 | 1 << 34


@pytest.fixture(scope="module")
def engine():
    daemon = Daemon(f"clptsur{os.getpid()}", ["--add-runtime", f"runc={shutil.which('runc')}"], SIGNALS + POOR)
    with serving(daemon):
        yield daemon


@pytest.fixture(params=sorted(PROGRAMS))
def cli(request, engine):
    client = Client(request.param, PROGRAMS[request.param], engine)
    yield client
    for container in client("ps", "-aq").split():
        client("rm", "-fv", container)


@pytest.fixture(params=["clipper", "runc"])
def runtime(request):
    return request.param


def signals(text):
    return {line.split()[0]: int(line.split()[1], 16) for line in text.splitlines() if line.startswith(("SigBlk", "SigIgn"))}


CLEAN = {"SigBlk:": 0, "SigIgn:": 0}
QUESTION = ["grep", "-E", "^Sig(Blk|Ign):", "/proc/self/status"]


def test_the_daemon_itself_has_them(engine):
    """Or the tests below would prove nothing."""
    seen = signals(open(f"/proc/{engine.pid}/status").read())
    assert seen["SigIgn:"] & 1 << 9  # SIGUSR1


@pytest.mark.parametrize("flags", [[], ["--init"], ["-t"]])
def test_signals_of_a_container(cli, runtime, flags):
    assert signals(cli("run", "--rm", "--runtime", runtime, *flags, IMAGE, *QUESTION)) == CLEAN


def test_signals_of_an_exec_and_a_health_check(cli, runtime, name):
    # A shell runs it, and busybox's ignores SIGQUIT itself.
    check = "grep -E '^Sig(Blk|Ign):' /proc/self/status | sed 's/SigIgn:.*0004$/SigIgn: 0/' >/status"
    cli("run", "-d", "--runtime", runtime, "--name", name, "--health-cmd", check, "--health-interval", "100ms", IMAGE, "sleep", "1000")
    assert signals(cli("exec", name, *QUESTION)) == CLEAN
    seen = cli("exec", name, "sh", "-c", "until [ -s /status ]; do sleep 0.1; done; cat /status")
    assert signals(seen) == CLEAN


def test_signals_of_a_build(cli, tmp_path):
    (tmp_path / "Dockerfile").write_text(f"FROM {IMAGE}\nRUN [\"grep\", \"-E\", \"^Sig(Blk|Ign):\", \"/proc/self/status\"]\n")
    result = cli.run("build", "--no-cache", tmp_path)
    assert result.code == 0 and signals(result.out) == CLEAN, result


@pytest.mark.parametrize("flags", [["--privileged"], ["--cap-add", "ALL"]])
def test_everything_is_what_the_host_has(cli, runtime, flags):
    mask = int(cli("run", "--rm", "--runtime", runtime, *flags, IMAGE, "grep", "CapEff", "/proc/self/status").split()[1], 16)
    own = int(subprocess.run(["grep", "CapEff", "/proc/self/status"], capture_output=True, text=True, check=True).stdout.split()[1], 16)
    assert mask == own & ~MISSING


def test_what_is_asked_for_by_name_and_missing_is_told(cli, runtime):
    result = cli.run("run", "--rm", "--runtime", runtime, "--cap-add", "SYS_TIME", "--cap-add", "NET_ADMIN", IMAGE, "grep", "CapEff", "/proc/self/status")
    assert result.code == 0 and "The host lacks CAP_SYS_TIME: the container will be without." in result.err, result
    mask = int(result.out.split()[1], 16)
    assert mask & 1 << 12 and not mask & MISSING


def test_privileged_exec(cli, runtime, name):
    cli("run", "-d", "--runtime", runtime, "--name", name, IMAGE, "sleep", "1000")
    mask = int(cli("exec", "--privileged", name, "grep", "CapEff", "/proc/self/status").split()[1], 16)
    assert mask & 1 << 21 and not mask & MISSING
    assert int(cli("exec", name, "grep", "CapEff", "/proc/self/status").split()[1], 16) == 0xA80425FB
