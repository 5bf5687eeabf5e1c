"""What containers write, read later and while they write."""

import json
import re
import time

import pytest

from harness import IMAGE


def test_both_streams_apart(cli, name):
    cli("run", "--name", name, IMAGE, "sh", "-c", "echo out; echo err >&2")
    result = cli.run("logs", name)
    assert (result.code, result.out, result.err) == (0, "out\n", "err\n")


def test_tail(cli, name):
    cli("run", "--name", name, IMAGE, "seq", "1", "1000")
    assert cli("logs", "--tail", "3", name) == "998\n999\n1000"
    assert cli("logs", "--tail", "0", name) == ""
    assert cli("logs", name).splitlines() == [str(i) for i in range(1, 1001)]


def test_timestamps_since_and_until(cli, name):
    cli("run", "--name", name, IMAGE, "sh", "-c", "echo one; sleep 0.3; echo two")
    lines = cli("logs", "-t", name).splitlines()
    stamps = [line.split(" ")[0] for line in lines]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", stamp) for stamp in stamps), lines
    assert stamps[0] < stamps[1]
    assert cli("logs", "--since", stamps[1], name) == "two"
    assert cli("logs", "--until", stamps[0], name) == "one"


def test_follow_ends_with_the_container(cli, name):
    cli("run", "-d", "--name", name, IMAGE, "sh", "-c", "for i in 1 2 3 4 5; do echo $i; sleep 0.1; done")
    begin = time.monotonic()
    assert cli("logs", "-f", name).split() == ["1", "2", "3", "4", "5"]
    assert time.monotonic() - begin < 5


def test_follow_is_prompt(cli, name):
    cli("run", "-d", "-i", "--name", name, IMAGE, "sh", "-c", "echo first; sleep 0.5; echo second; sleep 1000")
    process = cli.spawn("logs", "-f", "--tail", "1", name)
    try:
        assert process.stdout.readline() == b"first\n"
        begin = time.monotonic()
        assert process.stdout.readline() == b"second\n"
        assert time.monotonic() - begin < 1.5
    finally:
        process.kill()
        process.communicate()


def test_partial_lines_and_long_lines(cli, name):
    cli("run", "--name", name, IMAGE, "sh", "-c", "printf abc; sleep 0.1; printf def; head -c 40000 /dev/zero | tr '\\0' x; printf '\\nend'")
    assert cli.run("logs", name).out == "abcdef" + "x" * 40000 + "\nend"


def test_bytes_that_are_not_text(cli, name):
    result = cli.run("run", "--name", name, IMAGE, "printf", "\\001\\\\\"\\377\\t\\342\\202\\254<&>\\n")
    assert result.stdout == b"\x01\\\"\xff\t\xe2\x82\xac<&>\n"
    # As in Docker's json-file: what is not UTF-8 comes back as U+FFFD.
    assert cli.run("logs", name).out == "\x01\\\"\ufffd\t€<&>\n"


def test_terminal_output(cli, name):
    cli("run", "-d", "-t", "--name", name, IMAGE, "echo", "hi")
    cli("wait", name)
    assert cli.run("logs", name).stdout == b"hi\r\n"


def test_rotation(clipper, name):
    clipper("run", "--name", name, "--log-opt", "max-size=20k", "--log-opt", "max-file=3", IMAGE, "seq", "1", "2000", timeout=30)
    lines = clipper("logs", name).splitlines()
    assert lines[-1] == "2000" and int(lines[0]) > 1
    assert lines == [str(i) for i in range(int(lines[0]), 2001)]
    assert clipper("logs", "--tail", "5", name).split() == [str(i) for i in range(1996, 2001)]


def test_driver_none(cli, name):
    cli("run", "--name", name, "--log-driver", "none", IMAGE, "echo", "x")
    result = cli.run("logs", name)
    assert result.code == 1 and "does not support reading" in result.err


def test_the_file_is_dockers(daemon, clipper, name):
    clipper("run", "--name", name, IMAGE, "sh", "-c", "echo hello; echo bad >&2")
    path = clipper.inspect(name)["LogPath"]
    entries = [json.loads(line) for line in open(path)]
    assert sorted((e["log"], e["stream"]) for e in entries) == [("bad\n", "stderr"), ("hello\n", "stdout")]
    assert all(set(e) == {"log", "stream", "time"} for e in entries)


def test_many_lines_are_all_there(clipper, name):
    clipper("run", "-d", "--name", name, IMAGE, "seq", "1", "200000")
    assert clipper("wait", name) == "0"
    assert clipper("logs", name).split() == [str(i) for i in range(1, 200001)]


def test_sdk_stream(sdk, name):
    container = sdk.containers.run(IMAGE, ["sh", "-c", "for i in 1 2 3; do echo $i; done"], detach=True, name=name)
    assert b"".join(container.logs(stream=True, follow=True)) == b"1\n2\n3\n"
    assert container.logs(tail=1) == b"3\n"
