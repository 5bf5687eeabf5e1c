"""Blobs pulled from and pushed to clipper-registry and Debian's docker-registry, each in turn, by the same client processes.

The client says HTTP over plain sockets with as little work as it can, since it runs on the processors that it measures. Both
servers keep files below the same directory, and write no line for a request."""
import hashlib
import multiprocessing
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import time

from daemons import stop
from measure import BIN, RUNS, Failed, memory_kb

NAME = "bench"
LARGE, SMALL = 16 << 20, 4 << 10
# What is done, bytes of a blob, clients at once.
CASES = {
    "pull 16 MB": ("pull", LARGE, 8), "pull 4 kB": ("pull", SMALL, 16), "push 16 MB": ("push", LARGE, 4), "push 4 kB": ("push", SMALL, 8),
}
SECONDS = 2 if RUNS >= 10 else 1
ROUNDS = 3 if RUNS >= 10 else 1


class Connection:
    """One keep-alive connection: requests out, status, headers and the number of body bytes back."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = memoryview(bytearray(1 << 20))

    def call(self, method, target, body=b"", expected=200):
        head = f"{method} {target} HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(body)}\r\nContent-Type: application/octet-stream\r\n\r\n"
        if len(body) < 1 << 16:
            self.socket.sendall(head.encode() + body)
        else:
            self.socket.sendall(head.encode())
            self.socket.sendall(body)
        received = b""
        while b"\r\n\r\n" not in received:
            count = self.socket.recv_into(self.buffer)
            if not count:
                raise Failed(f"{method} {target}: the connection ended")
            received += self.buffer[:count]
        head, _, rest = received.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        left = int(headers.get("content-length", 0)) - len(rest)
        while left > 0:
            count = self.socket.recv_into(self.buffer)
            if not count:
                raise Failed(f"{method} {target}: the body ended")
            left -= count
        if int(first.split()[1]) != expected:
            raise Failed(f"{method} {target}: {first}")
        return headers

    def push(self, content, digest):
        where = self.call("POST", f"/v2/{NAME}/blobs/uploads/", expected=202)["location"]
        if where.startswith("http"):
            where = "/" + where.split("/", 3)[3]
        self.call("PUT", f"{where}{'&' if '?' in where else '?'}digest={digest}", content, 201)


def sha256(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


class Server:
    def __init__(self, name, work, words, port, environment=None):
        self.name, self.port = name, port
        self.log = pathlib.Path(work) / f"{name}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.05)
        else:
            self.process.kill()
        if self.process.poll() is not None:
            raise RuntimeError(f"{name} did not start: {self.log.read_text(errors='replace')[-600:]}")

    def peak_kb(self):
        """The most that was resident since it started."""
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
        return None


def servers(work):
    """Ours, and the peer where it is installed."""
    work = pathlib.Path(work) / "registries"
    work.mkdir()
    (work / "clipper.yaml").write_text("log:\n  access: false\n  level: error\n")
    made = [Server("clipper-registry", work, [
        str(BIN / "clipper-registry"), "serve", "--address", "127.0.0.1:5001", "--root", f"{work}/clipper", "--config",
        f"{work}/clipper.yaml"], 5001)]
    if shutil.which("docker-registry"):
        (work / "docker.yaml").write_text(
            "version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: true\nstorage:\n  filesystem:\n"
            f"    rootdirectory: {work}/docker\nhttp:\n  addr: 127.0.0.1:5002\n")
        try:
            made.append(Server("docker-registry", work, ["docker-registry", "serve", f"{work}/docker.yaml"], 5002))
        except RuntimeError:
            stop(made[0].process)
            raise
    return made


def worker(kind, size, port, digest, seed, seconds, ready, results):
    """Works for some seconds; seconds of each operation."""
    times, failure = [], None
    try:
        connection = Connection(port)
        content = bytearray(os.urandom(size))
        ready.wait()
        end = time.perf_counter() + seconds
        number = 0
        while time.perf_counter() < end:
            if kind == "push":
                # Other content each time.
                number += 1
                content[:16] = f"{seed:08}{number:08}".encode()
                body = bytes(content)
                digest = sha256(body)
                begin = time.perf_counter()
                connection.push(body, digest)
            else:
                begin = time.perf_counter()
                connection.call("GET", f"/v2/{NAME}/blobs/{digest}")
            times.append(time.perf_counter() - begin)
    except (OSError, Failed) as error:
        failure = f"{type(error).__name__}: {error}"
    results.put((times, failure))


def one_round(kind, size, clients, server, digest, number):
    """Operations per second and the seconds of each."""
    # What the other has left to be written is its own.
    os.sync()
    context = multiprocessing.get_context("fork")
    ready, results = context.Barrier(clients), context.SimpleQueue()
    processes = [context.Process(target=worker, args=(kind, size, server.port, digest, number * 100 + one, SECONDS, ready, results))
                 for one in range(clients)]
    for process in processes:
        process.start()
    found = [results.get() for _ in processes]
    for process in processes:
        process.join()
    failures = [failure for _, failure in found if failure]
    if failures:
        raise Failed(failures[0])
    times = [one for times, _ in found for one in times]
    # Each client's own rate: the last operation of each ends after its time.
    rate = sum(len(times) / sum(times) for times, _ in found if times)
    return rate, times


def compare(work):
    """For each case and server: operations per second (a round each), milliseconds of the 99th of a hundred, of the median."""
    running = servers(work)
    try:
        time.sleep(1)
        memory = {server.name: {"idle_kb": memory_kb(server.process.pid)[1]} for server in running}
        digests = {}
        for server in running:
            for size in (LARGE, SMALL):
                content = os.urandom(size)
                digests[server.name, size] = sha256(content)
                Connection(server.port).push(content, sha256(content))
        found = {}
        number = 0
        for case, (kind, size, clients) in CASES.items():
            found[case] = {server.name: {"rates": [], "times": [], "failure": None} for server in running}
            for turn in range(-1, ROUNDS):
                for server in running if turn % 2 else running[::-1]:
                    one = found[case][server.name]
                    number += 1
                    if one["failure"]:
                        continue
                    try:
                        rate, times = one_round(kind, size, clients, server, digests[server.name, size], number)
                        if turn >= 0:
                            one["rates"].append(rate)
                            one["times"] += times
                    except Failed as error:
                        one["failure"] = str(error)
            for one in found[case].values():
                times = sorted(one.pop("times"))
                one["p99_ms"] = times[min(len(times) - 1, len(times) * 99 // 100)] * 1000 if times else None
                one["median_ms"] = statistics.median(times) * 1000 if times else None
        for server in running:
            memory[server.name]["peak_kb"] = server.peak_kb()
        return {"cases": found, "memory": memory}
    finally:
        for server in running:
            stop(server.process)


def rows(results):
    """Lines of the table: work, ours, theirs."""
    from report import middle, number, ratio
    lines = []
    for case, found in results["cases"].items():
        ours, theirs = found["clipper-registry"], found.get("docker-registry", {})
        mine, other = middle(ours["rates"]), middle(theirs.get("rates"))
        kind, size, clients = CASES[case]
        scale, unit = (size / 1e6, "MB/s") if size == LARGE else (1, "per second")
        title = f"registry, {case} blobs, {clients} clients, {unit}"
        goal = ("≥ 1.5 ×", 1.5, True)
        lines.append([title, number(mine and mine * scale), number(other and other * scale), *ratio(mine, other, *goal)])
        mine, other = ours["p99_ms"], theirs.get("p99_ms")
        lines.append(["the same, 99th percentile, ms", number(mine), number(other), *ratio(mine, other, "≤ 1", 1)])
    memory = results["memory"]
    for key, title in (("idle_kb", "after start"), ("peak_kb", "peak of all of this")):
        mine, other = memory["clipper-registry"][key], memory.get("docker-registry", {}).get(key)
        lines.append([f"registry memory, {title}, RSS MB", number(mine / 1000), number(other and other / 1000), *ratio(mine, other, "≤ 1", 1)])
    return lines


if __name__ == "__main__":
    # `python3 scripts/bench.d/registry.py`: this comparison alone.
    import tempfile
    with tempfile.TemporaryDirectory(prefix="clipper-bench-", dir=os.environ.get("BENCH_WORK", "/var/tmp")) as directory:
        for row in rows(compare(directory)):
            print(" | ".join(row))
