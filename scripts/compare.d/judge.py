"""Plays the lines, compares the answers, and holds the differences against the list of docs/compatibility.md."""
import difflib
import os
import re
import shutil
import subprocess
import sys
import time

import players
from daemons import Clipperd, Dockerd
from measure import BIN, ROOT

DOCUMENT = ROOT / "docs/compatibility.md"
# What `--quick` runs.
QUICK = ("exec", "volumes", "copy")
NEW, OLD = "/usr/local/bin/docker", "/usr/bin/docker"


def run(work, cgroup, words):
    verbose, quick = "-v" in words, "--quick" in words
    wanted = [word for word in words if not word.startswith("-")] or (list(QUICK) if quick else players.topics())
    unknown = set(wanted) - set(players.topics())
    if unknown:
        print(f"unknown topic: {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    missing = Dockerd.missing()
    if missing:
        print(f"scripts/compare-docker: {', '.join(missing)} not installed", file=sys.stderr)
        return 1
    played = play(work, cgroup, wanted, [NEW] if quick else [NEW, OLD])
    if "--all" in words:
        for (client, engine), answers in played.items():
            for topic, said in answers.items():
                for line, answer in zip(players.lines_of(topic), said):
                    print(f"{client} {engine}: {line}\n{answer.text()}")
    differences = compare(played, wanted)
    return report(differences, wanted, played, verbose)


def play(work, cgroup, wanted, programs):
    """(client, engine) → topic → answers."""
    os.environ.pop("DOCKER_HOST", None)
    subprocess.check_call(["ip", "link", "set", "lo", "up"])
    players.images_archive(f"{work}/images.tar")
    programs = [program for program in programs if shutil.which(program)]
    began = time.monotonic()
    dockerd, clipperd = Dockerd(work, cgroup), Clipperd(work, cgroup)
    try:
        cast = {}
        for program in programs:
            version = subprocess.check_output([program, "--version"], text=True).split()[2].split(".")[0]
            for engine, daemon in (("dockerd", dockerd), ("clipperd", clipperd)):
                cast[f"docker{version}", engine] = players.Player(f"{version}-{engine}", program, daemon, work)
        cast["clipper", "clipperd"] = players.Player("clipper", str(BIN / "clipper"), clipperd, work)
        for player in cast.values():
            player.clear()
        played = {key: {} for key in cast}

        def step(key, topic):
            played[key][topic] = cast[key].play(topic)
            print(f"  {players.stamp(began)}: {topic}, {key[0]} with {key[1]}", file=sys.stderr, flush=True)

        groups = [[lambda key=key, topic=topic: step(key, topic) for topic in wanted for key in cast if key[1] == engine]
                  for engine in ("dockerd", "clipperd")]
        players.together(*groups)
        return played
    finally:
        clipperd.stop()
        dockerd.stop()


class Difference:
    def __init__(self, topic, line, kind, first, second):
        self.topic, self.line, self.kind, self.first, self.second = topic, line, kind, first, second

    def text(self):
        lines = difflib.unified_diff(self.first.text().splitlines(), self.second.text().splitlines(), lineterm="", n=0)
        body = [f"      {line}" for line in list(lines)[2:] if not line.startswith("@@")]
        return "\n".join([f"[{self.topic}; {self.kind}] {self.line}", *body[:24]])


def pairs(played):
    """(kind of difference, one side, the other)."""
    found = [(f"{client} client", (client, "dockerd"), (client, "clipperd")) for client, engine in played if engine == "dockerd"]
    newest = found[0][2]
    return [*found, ("clipper client", newest, ("clipper", "clipperd"))]


def compare(played, wanted):
    differences = []
    for topic in wanted:
        for number, line in enumerate(players.lines_of(topic)):
            for kind, one, other in pairs(played):
                first, second = played[one][topic][number], played[other][topic][number]
                if first != second:
                    differences.append(Difference(topic, line, kind, first, second))
    return differences


def listed():
    """Line → kinds, from the document: indented lines, after `    `, with the kind behind `    # ` unless it is each docker client."""
    found = {}
    for text in DOCUMENT.read_text().splitlines():
        match = re.fullmatch(r" {4}(.*\bdocker\b.*?)(?: {4}# (.*))?", text)
        if match:
            found.setdefault(match[1], set()).update((match[2] or "docker28 client, docker20 client").split(", "))
    return found


def report(differences, wanted, played, verbose):
    known = listed()
    seen = {(d.line, d.kind) for d in differences}
    lines = {line for topic in wanted for line in players.lines_of(topic)}
    kinds = {kind for kind, _, _ in pairs(played)}
    new = [d for d in differences if d.kind not in known.get(d.line, ())]
    vanished = [(line, kind) for line, of in known.items() for kind in of
                if line in lines and kind in kinds and (line, kind) not in seen]
    every = {line for topic in players.topics() for line in players.lines_of(topic)}
    stale = [line for line in known if line not in every]
    for difference in differences if verbose else new:
        print(difference.text())
    for line, kind in vanished:
        print(f"docs/compatibility.md lists a difference that is gone [{kind}]: {line}")
    for line in stale:
        print(f"docs/compatibility.md lists a line that is in no topic: {line}")
    print(f"{len(lines)} command lines, {len(kinds)} ways: {len(seen)} differences, {len(new)} not listed, "
          f"{len(vanished) + len(stale)} listed and gone")
    return 1 if new or vanished or stale else 0
