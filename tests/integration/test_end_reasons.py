"""Why a container stopped: State.Reason, `clipper ps -a`, and what `clipper run` says. See docs/compatibility.md."""

import os
import shutil
import subprocess

from harness import IMAGE, wait_until


def ended(clipper, name):
    wait_until(lambda: not clipper.inspect(name)["State"]["Running"], what="the end")
    return clipper.inspect(name)["State"]


def test_memory_ran_out(clipper, name):
    result = clipper.run("run", "--name", name, "-m", "16m", IMAGE, "sh", "-c", "dd if=/dev/zero of=/dev/null bs=100M; exit 1")
    state = ended(clipper, name)
    assert state["OOMKilled"] and state["Error"] == ""
    assert state["Reason"].startswith("out of memory: the kernel killed ") and "at the limit of 16 MiB" in state["Reason"]
    assert "at most 1" in state["Reason"]
    if os.access("/dev/kmsg", os.R_OK):
        assert "killed dd (process " in state["Reason"]
    assert result.err.endswith(f"clipper: {state['Reason']}\n")
    assert "(out of memory)" in clipper("ps", "-a", "--filter", f"name={name}", "--format", "{{.Status}}")
    assert clipper("ps", "-a", "--filter", f"name={name}", "--format", "{{.Reason}}") == state["Reason"]


def test_signals_of_requests(clipper, name):
    for verb, words, reason in (("kill", [], "killed by SIGKILL: a kill request sent it"),
                                ("stop", ["-t", "0"], "killed by SIGKILL: it did not end within 0 s of the stop request's SIGTERM"),
                                ("stop", ["-s", "KILL"], "stopped by SIGKILL: a stop request sent it")):
        clipper("run", "-d", "--name", name, IMAGE, "sleep", "1000")
        clipper(verb, *words, name)
        assert ended(clipper, name)["Reason"] == reason
        clipper("rm", name)


def test_signals_of_others(clipper, name):
    clipper("run", "-d", "--name", name, IMAGE, "sleep", "1000")
    os.kill(clipper.inspect(name)["State"]["Pid"], 9)
    assert ended(clipper, name)["Reason"] == (
        "killed by SIGKILL: a process of this machine, outside the container, sent it, not a request to this daemon")
    clipper("start", name)
    assert "Reason" not in clipper.inspect(name)["State"]
    clipper("rm", "-f", name)
    # The first process of a process namespace takes no other signal from outside.
    clipper("run", "-d", "--name", name, "--pid", "host", IMAGE, "sleep", "1000")
    os.kill(clipper.inspect(name)["State"]["Pid"], 11)
    state = ended(clipper, name)
    assert state["ExitCode"] == 139 and state["Reason"].startswith("crashed by SIGSEGV: ")


def test_ordinary_ends_have_no_reason(clipper, cli, name):
    result = cli.run("run", "--name", name, IMAGE, "sh", "-c", "exit 7")
    assert result.code == 7 and result.err == ""
    assert "Reason" not in ended(clipper, name)


def test_failed_starts(clipper, name):
    def state_of(*command):
        result = clipper.run("run", "--name", name, "-v", f"{script}:/x", IMAGE, *command)
        state = clipper.inspect(name)["State"]
        clipper("rm", name)
        return result.code, state

    script = clipper.daemon.scratch / "program"
    script.write_text("no program\n")
    script.chmod(0o755)
    code, state = state_of("nosuch")
    assert code == 127 and state["Reason"] == 'executable not found: exec: "nosuch": executable file not found in $PATH'
    assert state["Error"] and state["ExitCode"] == 127
    code, state = state_of("/x")
    assert code == 126 and state["Reason"].startswith("wrong kind of executable: ")
    assert state["Reason"].endswith("exec format error: it is neither a program nor a script that begins with #!")
    binary = bytearray(shutil.which("true") and open(shutil.which("true"), "rb").read(64))
    binary[18:20] = (183).to_bytes(2, "little")
    script.write_bytes(binary)
    code, state = state_of("/x")
    assert code == 126 and state["Reason"].endswith("exec format error: it is a program for AArch64")
    script.chmod(0o644)
    code, state = state_of("/x")
    assert code == 126 and state["Reason"].startswith("not executable: ")


def test_image_without_command(clipper, name):
    empty = subprocess.run(["tar", "c", "-T", "/dev/null"], capture_output=True, check=True).stdout
    clipper("import", "-", f"{name}:1", input=empty)
    result = clipper.run("run", f"{name}:1")
    assert result.code == 125 and "no command specified" in result.err
