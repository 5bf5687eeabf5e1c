"""The table on the terminal and the generated section of docs/performance.md."""
import os
import pathlib
import platform
import re
import statistics
import subprocess
import time

import registry
from measure import AT_ONCE, BIN, LISTED, LOG_MEGABYTES, PORTS, ROOT, RUNS, SWARM

DOCUMENT = ROOT / "docs/performance.md"
BEGIN, END = "<!-- bench:begin (written by `make bench`) -->", "<!-- bench:end -->"


def first_line(*command):
    try:
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        return lines[0].strip() if lines else "?"
    except (OSError, subprocess.CalledProcessError):
        return "absent"


def load():
    return " ".join(f"{value:.2f}" for value in os.getloadavg())


def facts(docker):
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    revision = first_line("git", "-C", str(ROOT), "describe", "--always", "--dirty")
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "machine": f"{cpu[1] if cpu else platform.machine()}, {os.cpu_count()} processors, Linux {platform.release()}",
        "clipper": f"{first_line(str(BIN / 'clipper'), '--version')} at {revision}",
        "docker": f"{first_line('dockerd', '--version')}; client {first_line(docker, '--version') if docker else 'absent'}",
        "containerd": first_line("containerd", "--version"),
        "runtimes": f"{first_line('runc', '--version')}, {first_line('crun', '--version')}",
        "load at the start": load(),
        "runs": f"{RUNS} per command ({RUNS * 2} for OCI runtimes)",
    }


def ms(series):
    if series is None:
        return "absent"
    if series.failure:
        return "failed"
    return f"{series.median:.1f} ({series.least:.1f})"


def ratio(ours, theirs, target, limit, higher=False):
    """Ours over theirs, with the figure to reach and whether it is reached."""
    if not ours or not theirs:
        return ["–", target, "not measured"]
    value = ours / theirs
    reached = value >= limit if higher else value <= limit
    shown = f"{value:.1f} ×" if value >= 1 else f"1/{1 / value:.1f}" if value < 0.4 else f"{value:.2f}"
    return [shown, target, "yes" if reached else "no"]


def median(series):
    return series.median if series is not None and not series.failure else None


def timed_rows(results):
    rows = []
    runtimes = results["runtimes"]
    ours = runtimes["clipper-runtime"]
    rows.append(["OCI runtime `run /bin/true`, ms: crun", ms(ours), ms(runtimes.get("crun")),
                 *ratio(median(ours), median(runtimes.get("crun")), "≤ 0.6", 0.6)])
    rows.append(["the same: runc", ms(ours), ms(runtimes.get("runc")),
                 *ratio(median(ours), median(runtimes.get("runc")), "–", float("inf"))[:2], "–"])
    plain = runtimes["clipper-runtime, no seccomp"]
    for name in ("crun", "runc"):
        peer = runtimes.get(f"{name}, no seccomp")
        rows.append([f"the same without seccomp: {name}", ms(plain), ms(peer), *ratio(median(plain), median(peer), "–", float("inf"))])
    rows.append(["the same: floor (`unshare` of all namespaces, one exec)", ms(ours), ms(runtimes["floor"]),
                 *ratio(median(ours), median(runtimes["floor"]), "–", float("inf"))[:2], "–"])
    executed = results["runtime exec"]
    for name, goal in (("crun", ("≤ 0.6", 0.6)), ("runc", ("–", float("inf")))):
        rows.append([f"OCI runtime `exec /bin/true`, ms: {name}", ms(executed["clipper-runtime"]), ms(executed.get(name)),
                     *ratio(median(executed["clipper-runtime"]), median(executed.get(name)), *goal)])
    swarm = results["runtime swarm"]
    ours = middle(swarm["clipper-runtime"]["seconds"])
    for name, goal in (("crun", ("≤ 0.6", 0.6)), ("runc", ("–", float("inf")))):
        theirs = middle(swarm.get(name, {}).get("seconds"))
        rows.append([f"OCI runtime, create + start + delete of 200 containers, 8 at a time, s: {name}", number(ours), number(theirs),
                     *ratio(ours, theirs, *goal)])
    peaks = results["peaks"]
    rows.append(["OCI runtime `run /bin/true`, peak memory, MB: crun", f"{peaks['clipper-runtime'] / 1000:.1f}",
                 f"{peaks['crun'] / 1000:.1f}" if "crun" in peaks else "absent",
                 *ratio(peaks["clipper-runtime"], peaks.get("crun"), "≤ 1", 1)])
    for network in ("bridge", "none"):
        found = results[f"run {network}"]
        target = ("≤ 1/12", 1 / 12) if network == "bridge" else ("–", float("inf"))
        other = ("≤ 1/6", 1 / 6) if network == "bridge" else ("–", float("inf"))
        for name, goal in (("clipper", target), ("docker → clipperd", other)):
            if name in found:
                rows.append([f"`run --rm IMAGE true`, {name}, network {network}, ms", ms(found[name]), ms(found.get("docker")),
                             *ratio(median(found[name]), median(found.get("docker")), *goal)])
    client = results["client"]
    reached = "yes" if median(client["clipper"]) and client["clipper"].median <= 4 else "no"
    rows.append(["client start (`--version`), ms", ms(client["clipper"]), ms(client.get("docker")),
                 ratio(median(client["clipper"]), median(client.get("docker")), "", 1)[0], "≤ 4 ms", reached])
    for name in ("clipper", "docker → clipperd"):
        if name in results["exec"]:
            found = results["exec"]
            goal = ("≤ 1/6", 1 / 6) if name == "clipper" else ("–", float("inf"))
            rows.append([f"`exec CONTAINER true`, {name}, ms", ms(found[name]), ms(found.get("docker")),
                         *ratio(median(found[name]), median(found.get("docker")), *goal)])
    for name in ("clipper", "docker → clipperd"):
        found = results["ps"]
        if name in found:
            rows.append([f"`ps -a` with {LISTED} containers, {name}, ms", ms(found[name]), ms(found.get("docker")),
                         ratio(median(found[name]), median(found.get("docker")), "", 1)[0],
                         "≤ 10 ms" if name == "clipper" else "–", "yes" if median(found[name]) and found[name].median <= 10 else "no"])
    ready = results["ready"]
    rows.append([f"from the daemon's start to its first answer, {LISTED} containers, ms", ms(ready["clipper"]), ms(ready.get("docker")),
                 *ratio(median(ready["clipper"]), median(ready.get("docker")), "≤ 1/5", 1 / 5)])
    return rows


def other_rows(results):
    rows = []
    for key, title, goal in (("idle", "daemon memory after start, PSS/RSS MB", ("≤ 1/4", 1 / 4)),
                             ("idle after", "daemon memory after all of the below, PSS/RSS MB", ("–", float("inf")))):
        ours, theirs = results[key]["clipper"], results[key].get("docker")
        rows.append([title, megabytes(ours), megabytes(theirs), *ratio(ours["rss_kb"], theirs and theirs["rss_kb"], *goal)])
    ours, theirs = results["supervisor"].get("clipper"), results["supervisor"].get("docker")
    shown = ratio(ours["pss_kb"], theirs and theirs["pss_kb"], "", 1)[0]
    rows.append(["memory per running container (supervisor), PSS/RSS MB", megabytes(ours), megabytes(theirs), shown, "≤ 1 MB PSS",
                 "yes" if ours["pss_kb"] <= 1000 else "no"])
    found = results["swarm"]
    for name in ("clipper", "docker → clipperd"):
        if name in found:
            ours, theirs = middle(found[name]["rates"]), middle(found.get("docker", {}).get("rates"))
            goal = ("≥ 8 ×", 8, True) if name == "clipper" else ("–", 0, True)
            title = f"{SWARM} containers started, {AT_ONCE} at a time, per second, {name}"
            rows.append([title, number(ours), number(theirs), *ratio(ours, theirs, *goal)])
    ports = results["ports"]
    for name in ("clipper", "docker → clipperd"):
        if name in ports:
            ours, theirs = ports[name]["with"], ports.get("docker", {}).get("with")
            goal = ("≤ 1/50", 1 / 50) if name == "clipper" else ("–", float("inf"))
            title = f"`run -d` with {PORTS} published ports, {name}, ms"
            rows.append([title, ms(ours), ms(theirs), *ratio(median(ours), median(theirs), *goal)])
    ours, theirs = (middle(results["log"].get(name, {}).get("rates")) for name in ("clipper", "docker"))
    rows.append([f"a container writes {LOG_MEGABYTES} MB of lines into its log, MB per second", number(ours), number(theirs),
                 *ratio(ours, theirs, "≥ 3 ×", 3, higher=True)])
    return rows + unpack_rows(results["unpack"])


def unpack_rows(found):
    layer, ours, rows = found["layer"], found["sides"]["clipper"], []
    sides = {name: one for name, one in found["sides"].items() if name != "clipper"}
    title = f"a layer of {layer['entries']} entries, {layer['plain_mb']:.0f} MB, gzip {layer['packed_mb']:.0f} MB, into the store, s"
    for kind, goal in (("wall", ("≤ 1/2", 1 / 2)), ("cpu", ("–", float("inf")))):
        best = min((middle(one[kind]) for one in sides.values() if one[kind]), default=None)
        for name, one in sides.items():
            theirs = middle(one[kind])
            row = [f"{title if kind == 'wall' else 'the same, processor seconds'}: {name}", number(middle(ours[kind])), number(theirs)]
            rows.append([*row, *ratio(middle(ours[kind]), theirs, *(goal if theirs == best else ("–", float("inf"))))])
    return rows


def transfer_rows(results):
    rows = []
    for verb in ("pull", "push"):
        found = results[verb]
        for name in ("clipper", "docker → clipperd"):
            for peer in ("docker", "podman"):
                if name in found and peer in found and (name == "clipper" or peer == "docker"):
                    goal = ("≤ 1/2", 0.5) if name == "clipper" and (verb == "pull" or peer == "docker") else ("–", float("inf"))
                    rows.append([f"{verb} of ten layers, loopback registry, {name}, ms: {peer}", ms(found[name]), ms(found[peer]),
                                 *ratio(median(found[name]), median(found[peer]), *goal)])
    above = max(results["above"], default=0)
    rows.append(["daemon memory during a pull, above what it was, MB", f"{above / 1000:.1f}" if above else "failed", "–", "–", "≤ 64 MB",
                 "yes" if 0 < above <= 64_000 else "no"])
    return rows


def megabytes(found):
    return f"{found['pss_kb'] / 1000:.1f} / {found['rss_kb'] / 1000:.1f}" if found else "absent"


def spaced(values):
    return " ".join(f"{value:.1f}" for value in values)


def middle(values):
    return statistics.median(values) if values else None


def number(value):
    return f"{value:.1f}" if value else "absent or failed"


def peaks(results):
    return ", ".join(f"{name} {kb / 1000:.1f} MB" for name, kb in results["peaks"].items())


def failures(results):
    lines = []
    for case, found in results.items():
        if case in ("peaks", "above"):
            continue
        if case == "unpack":
            found = found["sides"]
        if case == "registry":
            found = {f"{name}, {server}": one for name, servers in found["cases"].items() for server, one in servers.items()}
        for name, one in found.items():
            parts = one.values() if isinstance(one, dict) and case == "ports" else [one]
            for part in parts:
                failure = part.get("failure") if isinstance(part, dict) else getattr(part, "failure", None)
                if failure:
                    lines.append(f"- failed: {case}, {name}: {failure}")
    return lines


def markdown(data):
    facts_, results = data["facts"], data["results"]
    lines = [BEGIN, ""]
    lines += [f"- {name}: {value}" for name, value in facts_.items() if name != "absent"]
    lines += [f"- absent peers: {', '.join(facts_['absent']) or 'none'}", ""]
    lines += ["Times are medians, the least in brackets. The ratio is Clipper over the peer.", ""]
    lines += ["| work | Clipper | peer | ratio | to reach | reached |", "|---|---|---|---|---|---|"]
    for row in timed_rows(results) + other_rows(results) + transfer_rows(results) + registry.rows(results["registry"]):
        if row[4] == "–":
            row[5] = "–"
        lines.append("| " + " | ".join(row) + " |")
    without = ", ".join(f"{name} {ms(kinds['without'])}" for name, kinds in results["ports"].items())
    rates = "; ".join(
        f"{name} {spaced(one['rates'])} (removal of all {spaced(one['removals'])} s)" for name, one in results["swarm"].items())
    lines += ["", f"Rates of the rounds of {SWARM} containers, per second: {rates}."]
    private = ", ".join(f"{name} {found['private_kb'] / 1000:.2f} MB" for name, found in results["supervisor"].items())
    lines += [f"Private dirty memory of one supervisor: {private}.",
              f"Peak resident memory of an OCI `run` and what it waits for: {peaks(results)}.",
              f"`run -d` without ports, ms: {without}.", *failures(results), "", END]
    return "\n".join(lines)


def publish(data):
    text = markdown(data)
    print(text)
    if os.environ.get("BENCH_WRITE") == "no":
        return
    before = DOCUMENT.read_text() if DOCUMENT.exists() else f"# Performance\n\n{BEGIN}\n{END}\n"
    head, _, rest = before.partition(BEGIN)
    _, _, tail = rest.partition(END)
    DOCUMENT.write_text(head + text + tail)
