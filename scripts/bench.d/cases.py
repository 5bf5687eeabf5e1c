"""The comparisons. Each gives a dictionary for the report; a peer that is not installed is left out and named."""
import concurrent.futures
import functools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

import registry
import report
import transfers
import unpack
from daemons import Clipperd, Dockerd
from measure import (AT_ONCE, BIN, HELD, LISTED, LOG_MEGABYTES, MANY, PORTS, ROOT, RUNS, SWARM, Failed, Once, Series, memory_kb, peak_kb,
                     processes, side_by_side)

IMAGE = "bench/base"
CLIPPER = str(BIN / "clipper")
# Debian's client where there is one: the peer is Debian's Docker as a whole.
DOCKER = "/usr/bin/docker" if os.access("/usr/bin/docker", os.X_OK) else shutil.which("docker")


def say(text):
    print(f"  {text}", file=sys.stderr, flush=True)


class Side:
    """A client with the daemon it speaks to."""

    def __init__(self, name, client, daemon):
        self.name, self.client, self.daemon = name, client, daemon
        self.environment = daemon.environment

    def command(self, *words):
        return [self.client, *words]

    def call(self, *words, data=None):
        done = subprocess.run(self.command(*words), env=self.environment, input=data, capture_output=True)
        if done.returncode:
            raise Failed(f"{self.name} {' '.join(words)}: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout.decode().strip()


def run_all(work):
    os.environ.pop("DOCKER_HOST", None)
    subprocess.check_call(["ip", "link", "set", "lo", "up"])
    facts = report.facts(DOCKER)
    say("starting the daemons")
    began = time.time()
    clipperd = Clipperd(work)
    dockerd = None
    try:
        base = subprocess.check_output([str(ROOT / "scripts/make-base-image")])
        sides = [Side("clipper", CLIPPER, clipperd)]
        if DOCKER:
            sides.append(Side("docker → clipperd", DOCKER, clipperd))
        if DOCKER and not Dockerd.missing():
            dockerd = Dockerd(work)
            sides.append(Side("docker", DOCKER, dockerd))
        for side in sides[::2]:
            side.call("import", "-", IMAGE, data=base)
        results = measured(work, clipperd, dockerd, sides, base)
    finally:
        clipperd.stop()
        if dockerd:
            dockerd.stop()
    facts["absent"] = [name for name in ("crun", "runc", "docker", "podman", "skopeo", "umoci", "docker-registry", *Dockerd.NEEDED) if not shutil.which(name)]
    facts["load at the end"] = report.load()
    facts["seconds"] = round(time.time() - began)
    return {"facts": facts, "results": results}


def measured(work, clipperd, dockerd, sides, base):
    results = {}
    time.sleep(2)
    say("daemon memory")
    results["idle"] = idle_memory(clipperd, dockerd)
    say("OCI runtimes")
    answer = runtimes(work, clipperd, sides[0], base)
    for case in ("runtimes", "runtime exec"):
        results[case] = {name: Series(**fields) for name, fields in answer[case].items()}
    results["runtime swarm"] = answer["swarm"]
    peaks = answer["peaks"]
    environments = {side.name: side.environment for side in sides}
    for network in ("bridge", "none"):
        say(f"run --rm, network {network}")
        results[f"run {network}"] = side_by_side(
            {side.name: side.command("run", "--rm", "--network", network, IMAGE, "true") for side in sides}, environments=environments)
    say("client start")
    clients = {"clipper": [CLIPPER, "--version"]} | ({"docker": [DOCKER, "--version"]} if DOCKER else {})
    results["client"] = side_by_side(clients)
    say("exec")
    results["exec"] = executions(sides, environments)
    say(f"memory of {HELD} running containers")
    results["supervisor"] = supervisor_memory(sides)
    say(f"{SWARM} containers, {AT_ONCE} at a time")
    results["swarm"] = swarm(sides)
    say(f"{PORTS} published ports")
    results["ports"] = ports(sides, environments)
    say(f"ps with {LISTED} containers")
    results["ps"], results["ready"] = listing(sides, environments)
    say(f"a log of {LOG_MEGABYTES} MB")
    results["log"] = log_rates(work, sides)
    say("registries")
    results["registry"] = registry.compare(work)
    time.sleep(2)
    results["peaks"] = peaks
    say(f"unpacking a layer, {unpack.ROUNDS} rounds")
    results["unpack"] = unpack.unpacking(work, DOCKER)
    say("pull and push of an image of ten layers")
    found = transfers.transfers(work, sides, clipperd)
    results["pull"], results["push"], results["above"] = found["pull"], found["push"], found["above"]
    results["idle after"] = idle_memory(clipperd, dockerd)
    return results


def memory_of(pids, share=1):
    """Added up over processes, divided by `share`."""
    sums = [sum(column) / share for column in zip(*(memory_kb(pid) for pid in pids))] or [0, 0, 0]
    return dict(zip(("pss_kb", "rss_kb", "private_kb"), sums))


def idle_memory(clipperd, dockerd):
    found = {}
    for name, daemon in (("clipper", clipperd), ("docker", dockerd)):
        if daemon:
            found[name] = memory_of(daemon.pids)
    return found


def runtimes(work, clipperd, side, base):
    """Makes one bundle, then measures in a mount namespace without the cgroup2 mount of a hybrid machine, which crun refuses."""
    container = side.call("run", "-d", IMAGE, "sleep", "1000")
    try:
        written = json.loads(pathlib.Path(f"{clipperd.run}/exec/containers/{container}/config.json").read_text())
    finally:
        side.call("rm", "-f", container)
    bundle = pathlib.Path(work) / "bundle"
    (bundle / "rootfs").mkdir(parents=True)
    subprocess.run(["tar", "x", "-C", str(bundle / "rootfs")], input=base, check=True)
    maker = shutil.which("runc") or str(BIN / "clipper-runtime")
    subprocess.run([maker, "spec", "--bundle", str(bundle)], check=True)
    path = bundle / "config.json"
    spec = json.loads(path.read_text())
    spec["process"]["terminal"] = False
    spec["process"]["args"] = ["/bin/true"]
    spec["linux"]["seccomp"] = written["linux"]["seccomp"]
    path.write_text(json.dumps(spec))
    # The same without: crun and runc compile the profile anew each time, Clipper keeps the program.
    plain = pathlib.Path(work) / "plain"
    plain.mkdir()
    del spec["linux"]["seccomp"]
    spec["root"]["path"] = str(bundle / "rootfs")
    (plain / "config.json").write_text(json.dumps(spec))
    held = pathlib.Path(work) / "held"
    held.mkdir()
    spec["linux"]["seccomp"] = written["linux"]["seccomp"]
    spec["process"]["args"] = ["/bin/sleep", "1000"]
    (held / "config.json").write_text(json.dumps(spec))
    script = 'umount /sys/fs/cgroup/unified 2>/dev/null; exec "$@"'
    output = subprocess.check_output(
        ["unshare", "--mount", "--propagation", "private", "bash", "-c", script, "bench",
         sys.executable, "-B", str(ROOT / "scripts/bench"), "--runtimes", work])
    return json.loads(output)


def runtimes_stage(work):
    state = pathlib.Path(work) / "state"
    state.mkdir()
    subprocess.check_call(["mount", "-t", "tmpfs", "bench", str(state)])
    programs = {"clipper-runtime": str(BIN / "clipper-runtime"), "crun": shutil.which("crun"), "runc": shutil.which("runc")}

    def contestant(name, program, bundle):
        return lambda number: [program, "--root", f"{state}/{name}", "run", "--bundle", f"{work}/{bundle}", f"bench-{name}-{number + 10}"]

    contestants = {name: contestant(name, program, "bundle") for name, program in programs.items() if program}
    contestants |= {f"{name}, no seccomp": contestant(name, program, "plain") for name, program in programs.items() if program}
    # The least that any runtime has to do: every namespace, one exec.
    contestants["floor"] = ["unshare", "-muinpC", "--fork", "/bin/true"]
    series = side_by_side(contestants, runs=RUNS * 2)
    peaks = {}
    for name, command in contestants.items():
        if not series[name].failure:
            peaks[name] = max(peak_kb(command(RUNS * 2 + turn) if callable(command) else command) for turn in range(3))
    commands = {name: [program, "--root", f"{state}/{name}"] for name, program in programs.items() if program}
    executed = runtime_exec(work, commands)
    found = {"runtimes": as_json(series), "runtime exec": as_json(executed), "swarm": runtime_swarm(work, commands), "peaks": peaks}
    subprocess.call(["umount", "-l", str(state)])
    print(json.dumps(found))
    return 0


def as_json(series):
    return {name: one.as_json() for name, one in series.items()}


def runtime_exec(work, commands):
    """`exec` into a running container by each runtime's command line."""
    try:
        for name, command in commands.items():
            Once([*command, "run", "--detach", "--bundle", f"{work}/held", f"bench-exec-{name}"])
        contestants = {name: [*command, "exec", f"bench-exec-{name}", "/bin/true"] for name, command in commands.items()}
        return side_by_side(contestants, runs=RUNS * 2)
    finally:
        for name, command in commands.items():
            subprocess.run([*command, "delete", "--force", f"bench-exec-{name}"], capture_output=True)


def runtime_swarm(work, commands):
    """Seconds for create, start and delete of many containers, several at a time; each runtime in turn."""
    found = {name: {"seconds": [], "failure": None} for name in commands}

    def life(command, name):
        Once([*command, "create", "--bundle", f"{work}/held", name])
        Once([*command, "start", name])
        Once([*command, "delete", "--force", name])

    for turn in range(3):
        for name, command in commands.items():
            one = found[name]
            if one["failure"]:
                continue
            time.sleep(1)
            names = [f"bench-{name}-{turn}-{number}" for number in range(MANY)]
            begin = time.perf_counter()
            try:
                with concurrent.futures.ThreadPoolExecutor(8) as pool:
                    list(pool.map(functools.partial(life, command), names))
                one["seconds"].append(time.perf_counter() - begin)
            except Failed as error:
                one["failure"] = str(error)
                for left in names:
                    subprocess.run([*command, "delete", "--force", left], capture_output=True)
    return found


def executions(sides, environments):
    held = {side.name: side.call("run", "-d", IMAGE, "sleep", "1000") for side in sides}
    try:
        return side_by_side({side.name: side.command("exec", held[side.name], "true") for side in sides}, environments=environments)
    finally:
        for side in sides:
            side.call("rm", "-f", held[side.name])


def supervisor_memory(sides):
    """PSS of the supervisors of containers that sleep, per container. Shared pages count by their share."""
    found = {}
    for side, program, word in ((sides[0], "clipper-runtime", "shim"), (sides[-1], "containerd-shim-runc-v2", None)):
        if program != "clipper-runtime" and side.name != "docker":
            continue
        held = [side.call("run", "-d", IMAGE, "sleep", "1000") for _ in range(HELD)]
        time.sleep(1)
        found[side.name] = memory_of(processes(program, word), HELD)
        side.call("rm", "-f", *held)
    return found


def swarm(sides):
    """Rates of starting many containers, each side in turn, and how long `rm -f` of all of them takes."""
    found = {side.name: {"rates": [], "removals": [], "failure": None} for side in sides}
    names = [f"swarm-{number}" for number in range(SWARM)]

    def start(side, name):
        Once(side.command("run", "-d", "--name", name, IMAGE, "sleep", "1000"), side.environment)

    for _ in range(2 if RUNS >= 10 else 1):
        for side in sides:
            one = found[side.name]
            if one["failure"]:
                continue
            time.sleep(2)
            try:
                begin = time.perf_counter()
                with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
                    list(pool.map(functools.partial(start, side), names))
                started = time.perf_counter()
                side.call("rm", "-f", *names)
                one["rates"].append(SWARM / (started - begin))
                one["removals"].append(time.perf_counter() - started)
            except Failed as error:
                one["failure"] = str(error)
                subprocess.run(side.command("rm", "-f", *names), env=side.environment, capture_output=True)
    return found


def ports(sides, environments):
    """`run -d` with many published ports, and `run -d` without any: the difference is what the ports cost."""
    found = {side.name: {"with": Series([]), "without": Series([])} for side in sides}
    for _ in range(max(2, min(3, RUNS // 4))):
        for side in sides:
            for kind, flags in (("without", []), ("with", ["-p", f"20000-{20000 + PORTS - 1}:20000-{20000 + PORTS - 1}"])):
                series = found[side.name][kind]
                if series.failure:
                    continue
                try:
                    once = Once(side.command("run", "-d", "--name", "ports", *flags, IMAGE, "sleep", "1000"), side.environment)
                    series.values.append(once.ms)
                except Failed as error:
                    series.failure, series.values = str(error), []
                finally:
                    subprocess.run(side.command("rm", "-f", "ports"), env=side.environment, capture_output=True)
    return found


def listing(sides, environments):
    """`ps -a` of many containers that have been created; and how soon the daemon answers that starts with them."""
    names = [f"listed-{number}" for number in range(LISTED)]
    makers = [side for side in sides if side.client == CLIPPER or side.name == "docker"]

    def make(side, name):
        Once(side.command("create", "--name", name, IMAGE, "true"), side.environment)

    try:
        for side in makers:
            with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
                list(pool.map(functools.partial(make, side), names))
        listed = side_by_side({side.name: side.command("ps", "-a") for side in sides}, environments=environments)
        ready = {side.name: Series([]) for side in makers}
        for _ in range(max(2, min(5, RUNS // 4))):
            for side in makers:
                ready[side.name].values.append(side.daemon.restart())
        return listed, ready
    except (Failed, RuntimeError) as error:
        return ({side.name: Series([], failure=str(error)) for side in group} for group in (sides, makers))
    finally:
        for side in makers:
            subprocess.run(side.command("rm", *names), env=side.environment, capture_output=True)


def log_rates(work, sides):
    """MB a second that a container writes as lines of a hundred bytes into the default log, from its start to its end."""
    lines = pathlib.Path(work) / "lines"
    lines.write_bytes(b"".join(b"%09d %s\n" % (number, b"x" * 89) for number in range(100_000)))
    script = f"for turn in $(seq {LOG_MEGABYTES // 10}); do cat /lines; done"
    found = {side.name: {"rates": [], "failure": None} for side in sides if side.client == CLIPPER or side.name == "docker"}
    for _ in range(3 if RUNS >= 10 else 1):
        for side in sides:
            one = found.get(side.name)
            if one is None or one["failure"]:
                continue
            try:
                begin = time.perf_counter()
                Once(side.command("run", "-d", "--name", "log", "--network", "none", "-v", f"{lines}:/lines:ro", IMAGE, "sh", "-c", script),
                     side.environment)
                Once(side.command("wait", "log"), side.environment)
                one["rates"].append(LOG_MEGABYTES / (time.perf_counter() - begin))
            except Failed as error:
                one["failure"] = str(error)
            finally:
                subprocess.run(side.command("rm", "-f", "log"), env=side.environment, capture_output=True)
    return found
