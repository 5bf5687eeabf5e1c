"""`logs` with every choice of what to show, across files that are rotated, packed and gone; and while they are."""

import pathlib
import re
import subprocess
import time

import pytest

from harness import IMAGE, wait_until

DRIVERS = {
    "json-file": ["--log-driver", "json-file", "--log-opt", "max-size=8k", "--log-opt", "max-file=4"],
    "json-file-packed": ["--log-driver", "json-file", "--log-opt", "max-size=8k", "--log-opt", "max-file=4", "--log-opt", "compress=true"],
    "local": ["--log-driver", "local", "--log-opt", "max-size=8k", "--log-opt", "max-file=4", "--log-opt", "compress=false"],
    "local-packed": ["--log-driver", "local", "--log-opt", "max-size=8k", "--log-opt", "max-file=4"],
}
drivers = pytest.mark.parametrize("driver", DRIVERS)

# Numbered lines, with a pause now and then so that times differ and files are packed.
WRITE = "i=0; while [ $i -lt {} ]; do i=$((i+1)); echo $i; [ $((i % {})) = 0 ] && usleep 20000; done; true"


def stamped(client, name, *options):
    """What `logs -t` shows of both streams, in the order of the log: times and numbers."""
    done = subprocess.run([client.program, "logs", "-t", *map(str, options), name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env=client.environment, timeout=60, check=True)
    return [(stamp, int(text)) for stamp, text in (line.split() for line in done.stdout.decode().splitlines())]


def numbers(client, name, *options):
    return [number for _, number in stamped(client, name, *options)]


def files(client, name):
    """The log's files, the youngest first, once all but the first are packed that are to be."""
    path = pathlib.Path(client.inspect(name)["LogPath"] or next(pathlib.Path(f"{client.daemon.scratch}/data/containers").glob(
        f"{client.inspect(name)['Id']}/*.log")))
    return sorted(path.parent.glob(path.name + "*"), key=lambda p: int((re.findall(r"\.(\d+)(?:\.gz)?$", p.name) or ["0"])[0]))


def written(clipper, name, driver, count=900, pause=40):
    clipper("run", "--name", name, *DRIVERS[driver], IMAGE, "sh", "-c", WRITE.format(count, pause))
    lines = stamped(clipper, name)
    first = lines[0][1]
    assert [number for _, number in lines] == list(range(first, count + 1)) and first > 1, "a part without gaps, the older is gone"
    assert len(files(clipper, name)) == 4
    if "packed" in driver:
        assert any(path.name.endswith(".gz") for path in files(clipper, name))
    return lines


@drivers
def test_since_and_until_within_every_file(clipper, name, driver):
    lines = written(clipper, name, driver)
    stamps = [stamp for stamp, _ in lines]
    places = [0, 1, len(lines) // 8, len(lines) // 4, len(lines) // 2, 3 * len(lines) // 4, len(lines) - 2, len(lines) - 1]
    for place in places:
        boundary = stamps[place]
        assert numbers(clipper, name, "--since", boundary) == [n for stamp, n in lines if stamp >= boundary]
        assert numbers(clipper, name, "--until", boundary) == [n for stamp, n in lines if stamp <= boundary]
        for tail in [1, 50, len(lines) // 2, len(lines) + 5]:
            last = lines[-tail:]
            assert numbers(clipper, name, "--tail", tail, "--since", boundary) == [n for stamp, n in last if stamp >= boundary]
            assert numbers(clipper, name, "--tail", tail, "--until", boundary) == [n for stamp, n in last if stamp <= boundary]
    for begin, end in [(1, 4), (2, 6), (3, 3), (6, 2)]:
        since, until = stamps[places[begin]], stamps[places[end]]
        assert numbers(clipper, name, "--since", since, "--until", until) == [n for stamp, n in lines if since <= stamp <= until]
        assert numbers(clipper, name, "-f", "--since", since, "--until", until) == [n for stamp, n in lines if since <= stamp <= until]


@drivers
def test_tail_of_every_length(clipper, name, driver):
    lines = [number for _, number in written(clipper, name, driver)]
    for tail in [0, 1, 2, *range(40, len(lines), 61), len(lines) - 1, len(lines), len(lines) + 1, 100000]:
        expected = lines[-tail:] if tail else []
        assert numbers(clipper, name, "--tail", tail) == expected
        assert numbers(clipper, name, "-f", "--tail", tail) == expected
    assert numbers(clipper, name, "--tail", "all") == lines


@drivers
@pytest.mark.parametrize("tail", [None, 0, 1, 30])
def test_follow_over_many_rotations(clipper, name, driver, tail):
    """A reader that keeps up misses nothing and sees nothing twice, though files are renamed, packed and removed meanwhile."""
    batch, count = 50, 2500
    # What the reader has not seen holds the writer up: fewer lines than a file has.
    clipper("run", "-d", "-i", "--name", name, *DRIVERS[driver], IMAGE, "sh", "-c",
            f"for i in $(seq {batch}); do echo 0; done; n=0; "
            f"while [ $n -lt {count} ]; do read x; for i in $(seq {batch}); do n=$((n+1)); echo $n; done; done", input=b"")
    wait_until(lambda: len(numbers(clipper, name)) == 50)
    options = [] if tail is None else ["--tail", str(tail)]
    reader = clipper.spawn("logs", "-f", *options, name, stderr=subprocess.STDOUT)
    shown = 50 if tail is None else tail
    for _ in range(shown):
        assert reader.stdout.readline() == b"0\n"
    if not shown:
        time.sleep(0.3)
    feeder = clipper.spawn("attach", name, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    out = []
    while len(out) < count:
        feeder.stdin.write(b"go\n")
        feeder.stdin.flush()
        out += [reader.stdout.readline() for _ in range(batch)]
    rest, _ = reader.communicate(timeout=60)
    assert rest == b""
    feeder.communicate(timeout=20)
    assert [int(n) for n in out] == list(range(1, count + 1))
    assert numbers(clipper, name)[0] > 100, "files have gone"


@drivers
def test_many_readers_while_files_rotate(clipper, name, driver):
    """What a reader begins with depends on the moment; whatever it is, there is no gap in it and nothing twice."""
    clipper("run", "-d", "--name", name, *DRIVERS[driver], IMAGE, "sh", "-c", WRITE.format(6000, 60))
    seen = 0
    while clipper.inspect(name)["State"]["Running"]:
        for options in [[], ["--tail", "70"], ["--tail", "190"]]:
            found = numbers(clipper, name, *options)
            if found:
                assert found == list(range(found[0], found[-1] + 1)), options
            if options and found:
                assert len(found) == min(int(options[1]), found[-1])
            seen += 1
    assert seen > 20 and numbers(clipper, name)[-1] == 6000


@drivers
def test_lines_of_the_stream_that_is_not_asked_for_count(clipper, sdk, name, driver):
    """As in Docker: the tail is that of the log."""
    clipper("run", "-d", "--name", name, *DRIVERS[driver], IMAGE, "sh", "-c",
            "seq 1 200; usleep 100000; seq 201 203 >&2; usleep 100000; seq 204 206")
    clipper("wait", name)
    container = sdk.containers.get(name)
    assert container.logs(stdout=False, tail=5).split() == [b"202", b"203"]
    assert container.logs(stderr=False, tail=10).split() == [b"197", b"198", b"199", b"200", b"204", b"205", b"206"]


@pytest.mark.parametrize("driver", ["json-file", "json-file-packed"])
def test_details(clipper, name, driver):
    clipper("run", "--name", name, *DRIVERS[driver], "--log-opt", "labels=tier,team", "--log-opt", "env=STAGE", "--log-opt", "env-regex=^X_",
            "--log-opt", "tag={{.Name}}/{{.ID}}", "--label", "tier=front end", "--label", "other=1", "-e", "STAGE=a,b", "-e", "X_Y=z", "-e", "Q=1",
            IMAGE, "sh", "-c", WRITE.format(600, 40))
    full = clipper.inspect(name)["Id"]
    expected = {f"STAGE=a%2Cb", f"X_Y=z", f"tag={name}%2F{full[:12]}", "tier=front+end"}
    lines = clipper("logs", "--details", "--tail", "100", name).splitlines()
    assert len(lines) == 100
    pairs = {tuple(line.split(" ")[0].split(",")) for line in lines}
    assert len(pairs) == 1 and set(next(iter(pairs))) == expected
    # The time comes first.
    assert re.fullmatch(r"\S+Z STAGE=\S+ \d+", clipper("logs", "--details", "-t", "--tail", "1", name).strip())
    plain = clipper("logs", "--tail", "100", name).splitlines()
    assert [line.split(" ")[1] for line in lines] == plain


def test_details_without_any(clipper, name):
    clipper("run", "--name", name, IMAGE, "echo", "x")
    assert clipper.run("logs", "--details", name).out == " x\n"


def test_log_of_one_file(clipper, name):
    """A new file takes its place when it is full; a reader that has it open loses nothing."""
    clipper("run", "-d", "--name", name, "--log-driver", "json-file", "--log-opt", "max-size=8k", "--log-opt", "max-file=1", IMAGE,
            "sh", "-c", "sleep 0.5; " + WRITE.format(600, 10))
    reader = clipper.spawn("logs", "-f", name, stderr=subprocess.STDOUT)
    out, _ = reader.communicate(timeout=60)
    assert [int(n) for n in out.split()] == list(range(1, 601))
    left = numbers(clipper, name)
    assert left == list(range(left[0], 601)) and left[0] > 1


def test_fast_output_that_is_packed(clipper, name):
    """Files that are filled within one tick of the kernel's clock have the same time, by which packed ones are known."""
    clipper("run", "-d", "--name", name, "--log-driver", "json-file", "--log-opt", "max-size=2k", "--log-opt", "max-file=200", "--log-opt",
            "compress=true", IMAGE, "sh", "-c", "sleep 0.3; seq 1 2000; sleep 2")
    reader = clipper.spawn("logs", "-f", name)
    while clipper.inspect(name)["State"]["Running"]:
        found = [int(n) for n in clipper.run("logs", name).out.split()]
        assert found == list(range(1, len(found) + 1))
    out, _ = reader.communicate(timeout=60)
    assert [int(n) for n in out.split()] == list(range(1, 2001))
