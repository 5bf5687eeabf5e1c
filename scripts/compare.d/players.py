"""Who gives an answer: a command line client with the daemon it speaks to; and what of an answer counts."""
import collections
import contextlib
import hashlib
import io
import json
import os
import pathlib
import re
import signal
import subprocess
import tarfile
import threading
import time

from measure import ROOT

LINES = pathlib.Path(__file__).parent / "lines"
TIMEOUT = 40
FIXED_PORT = re.compile(r" -p (\S+:)?\d+:\d")
TURNS = collections.defaultdict(threading.Lock)


def topics():
    return sorted(path.stem for path in LINES.glob("*.txt"))


def lines_of(topic):
    """The command lines of a topic, in their order: each goes on where the one before left off."""
    text = (LINES / f"{topic}.txt").read_text()
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


class Answer:
    """Exit code and what was said, as a person would compare it."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def __eq__(self, other):
        return (self.code, self.out, self.err) == (other.code, other.out, other.err)

    def text(self):
        return "\n".join([f"exit {self.code}", *(f"  {line}" for line in self.out.splitlines()),
                          *(f"! {line}" for line in self.err.splitlines())])


# What differs from run to run or from machine to machine. Order counts.
RULES = [(re.compile(pattern), word) for pattern, word in [
    # Whether the client sees that the daemon has stopped reading is a matter of time.
    (r"time=\S+ level=error msg=\"Can.t (add file|close tar writer).*\n?", ""),
    # Docker 20.10's client says so when it hears of the failed start before it has heard that its wait has begun.
    (r"time=\S+ level=error msg=\"error waiting for container: context canceled\"\s*\n?", ""),
    # The docker client's own opinion of builders, and how far the context has been sent.
    (r"DEPRECATED: The legacy builder is deprecated.*\n(.*\n){2}\n?", ""),
    (r"Sending build context to Docker daemon.*\r*\n+(\r*\n)*", ""),
    (r"\b[0-9a-f]{64}\b", "<id>"),
    (r"\b(?=[0-9a-f]*[0-9])(?=[0-9a-f]*[a-f])[0-9a-f]{12}\b|(?<=---> )[0-9a-f]{12}\b", "<id>"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| ?[+-]\d\d:?\d\d)?( UTC)?", "<time>"),
    (r"(Less than|About) an? (second|minute|hour)( ago)?|\b\d+ (second|minute|hour|year)s?( ago)?", "<ago>"),
    (r"\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b", "<mac>"),
    (r"\b(172\.\d+|192\.168)\.\d+\.\d+\b", "<address>"),
    (r"\b(?!0B)\d+(\.\d+)?(k|M|G|T)?i?B\b", "<size>"),
    (r"\b\d+\.\d+%", "<percent>"),
    (r"(?m)^(\s+\d+(\.\d+)?)$", " <number>"),
    (r" {2,}", "  "),
    (r"(?m)[ \t]+$", ""),
]]


class Player:
    """`name`, the client's program, its daemon, and a directory per topic in which the lines are run."""

    def __init__(self, name, program, daemon, work):
        self.name, self.daemon = name, daemon
        self.work = pathlib.Path(work) / f"player-{name}"
        (self.work / "bin").mkdir(parents=True)
        (self.work / "bin/docker").symlink_to(program)
        self.environment = {
            "PATH": f"{self.work}/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(self.work), "DOCKER_CONFIG": f"{self.work}/config", "TZ": "UTC",
            "DOCKER_HOST": daemon.socket, "DOCKER_BUILDKIT": "0", "LC_ALL": "C", "TERM": "dumb",
        }

    def shell(self, line, directory):
        with subprocess.Popen(
                ["sh", "-c", line], cwd=directory, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, start_new_session=True) as process:
            try:
                out, err = process.communicate(timeout=TIMEOUT)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                out, err = process.communicate()
                err += b"\nno end within the time limit"
        return process.returncode, out.decode(errors="replace"), err.decode(errors="replace")

    def plain(self, text):
        for path, word in ((str(self.work), "<work>"), (str(self.daemon.work), "<root>"), (self.daemon.socket, "<socket>")):
            text = text.replace(path, word)
        for rule, word in RULES:
            text = rule.sub(word, text)
        return text

    def play(self, topic):
        """The answers to all lines of a topic; what they made in the engine is gone afterwards."""
        directory = self.work / topic
        directory.mkdir()
        answers = []
        # The engines share a host, and so its ports: of a topic that names some one is through before another begins.
        with TURNS[topic] if any(FIXED_PORT.search(line) for line in lines_of(topic)) else contextlib.nullcontext():
            for line in lines_of(topic):
                code, out, err = self.shell(line, directory)
                answers.append(Answer(code, self.plain(out), self.plain(err)))
            self.clear()
        return answers

    def clear(self):
        code, _, err = self.shell(
            "docker ps -aq | xargs -r docker rm -fv; docker network prune -f; docker volume ls -q | xargs -r docker volume rm -f;"
            f"docker images -q --no-trunc | sort -u | xargs -r docker rmi -f; docker load -qi {self.work}/../images.tar >/dev/null", self.work)
        if code != 0:
            raise RuntimeError(f"{self.name}: cannot clear up: {err}")


def images_archive(path):
    """`docker save`'s form of three images with ids that are the same for every engine: base, nocommand, healthy."""
    layer = subprocess.run([str(ROOT / "scripts/make-base-image")], capture_output=True, check=True).stdout
    environment = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
    configs = {
        "base": {"Cmd": ["sh"], "Env": environment},
        "nocommand": {"Env": environment},
        "healthy": {"Cmd": ["sleep", "1000"], "Env": environment, "Labels": {"kind": "test"}, "User": "nobody",
                    "WorkingDir": "/tmp", "ExposedPorts": {"80/tcp": {}}, "StopSignal": "SIGINT",
                    "Healthcheck": {"Test": ["CMD", "true"], "Interval": 30000000000}},
    }
    digest = "sha256:" + hashlib.sha256(layer).hexdigest()
    files, manifest = {"layer.tar": layer}, []
    for number, (name, config) in enumerate(configs.items()):
        document = json.dumps({
            "architecture": "amd64", "os": "linux", "config": config, "created": f"2020-01-0{number + 1}T00:00:00Z",
            "rootfs": {"type": "layers", "diff_ids": [digest]},
            "history": [{"created": f"2020-01-0{number + 1}T00:00:00Z", "created_by": "the base", "comment": "made by hand"}],
        }).encode()
        key = hashlib.sha256(document).hexdigest() + ".json"
        files[key] = document
        manifest.append({"Config": key, "RepoTags": [f"{name}:latest"], "Layers": ["layer.tar"]})
    files["manifest.json"] = json.dumps(manifest).encode()
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))


def together(*groups):
    """Runs each group of calls one after the other, the groups at the same time."""
    failures = []

    def run(calls):
        try:
            for call in calls:
                call()
        except Exception as error:  # A thread's exception would otherwise be lost.
            failures.append(error)
    threads = [threading.Thread(target=run, args=(calls,)) for calls in groups]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def stamp(begin):
    return f"{time.monotonic() - begin:.0f} s"
