"""The daemon's figures for Prometheus."""

import os
import re
import urllib.error
import urllib.request

import pytest

from conftest import PROGRAMS, clear, import_base
from harness import IMAGE, Client, Daemon, free_port, wait_until

SAMPLE = re.compile(r'([a-z_]+)(\{(?:[a-z_]+="(?:[^"\\\\\n]|\\\\.)*",?)+\})? (\S+)')


@pytest.fixture
def watched():
    """A daemon with metrics, a client of it, and a function that reads the figures."""
    port = free_port()
    daemon = Daemon(f"clpm{os.getpid()}", ["--metrics-addr", f"127.0.0.1:{port}"])
    daemon.start()
    import_base(daemon)

    def read():
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
            return parse(answer.read().decode())

    yield daemon, Client("clipper", PROGRAMS["clipper"], daemon), read, port
    clear(daemon)
    daemon.remove()


def parse(text):
    """Samples by name and labels; every family is told of before its samples, once."""
    kinds, samples = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert name not in kinds
            kinds[name] = kind
        elif not line.startswith("# HELP "):
            match = SAMPLE.fullmatch(line)
            assert match, line
            name = match[1]
            assert name in kinds or re.sub("_(bucket|sum|count)$", "", name) in kinds, line
            assert match[1] + (match[2] or "") not in samples
            samples[match[1] + (match[2] or "")] = float(match[3])
    return samples


def test_what_is_counted(watched):
    daemon, clipper, read, port = watched
    before = read()
    assert before['engine_daemon_container_states_containers{state="running"}'] == 0
    clipper("run", "-d", "--name", "m-a", "--health-cmd", "exit 1", "--health-interval", "100ms", IMAGE, "sleep", "1000")
    clipper("run", "-d", "--name", "m-b", IMAGE, "sleep", "1000")
    clipper("pause", "m-b")
    clipper("create", "--name", "m-c", IMAGE, "true")
    clipper("create", "--name", "m-d", IMAGE, "true")
    clipper("rm", "m-d")
    clipper("diff", "m-a")
    clipper("commit", "m-a", "committed")
    clipper("build", "-t", "x", "-", input=f"FROM {IMAGE}\n".encode())
    assert clipper.run("build", "-t", "y", "-", input=f"FROM {IMAGE}\nRUN false\n".encode()).code != 0
    listener = clipper.spawn("events")
    wait_until(lambda: read()["engine_daemon_events_subscribers_total"] == 1, what="the listener")
    wait_until(lambda: read()["engine_daemon_health_checks_failed_total"] >= 2, what="failed checks")
    listener.kill()
    listener.communicate()
    after = read()

    def state(name):
        return after[f'engine_daemon_container_states_containers{{state="{name}"}}']

    assert (state("running"), state("paused"), state("stopped")) == (1, 1, 1)
    for action, count in {"create": 4, "start": 2, "delete": 1, "changes": 1, "commit": 1}.items():
        name = "engine_daemon_container_actions_seconds"
        assert after[f'{name}_count{{action="{action}"}}'] == count
        assert after[f'{name}_bucket{{action="{action}",le="+Inf"}}'] == count
        assert after[f'{name}_bucket{{action="{action}",le="0.005"}}'] <= after[f'{name}_bucket{{action="{action}",le="10"}}'] <= count
        assert after[f'{name}_sum{{action="{action}"}}'] > 0
    assert after["engine_daemon_health_checks_total"] >= after["engine_daemon_health_checks_failed_total"] >= 2
    assert after["engine_daemon_events_total"] > before["engine_daemon_events_total"] + 10
    assert after["builder_builds_triggered_total"] == 2 and after["builder_builds_failed_total"] == 1
    info = next(name for name in after if name.startswith("engine_daemon_engine_info"))
    identity = daemon.request("GET", "/info")[1]
    assert f'daemon_id="{identity["ID"]}"' in info and f'kernel="{identity["KernelVersion"]}"' in info
    assert after["engine_daemon_engine_cpus_cpus"] == identity["NCPU"] and after["engine_daemon_engine_memory_bytes"] == identity["MemTotal"]
    assert after["process_resident_memory_bytes"] > 1 << 20 and after["process_open_fds"] > 5
    # Nothing but the figures is at that door.
    for path in ["/", "/containers/json", "/v1.50/info"]:
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10)
        assert refused.value.code == 404
    assert daemon.request("GET", "/metrics")[0] == 404
