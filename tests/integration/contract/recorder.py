"""Stands between clients and a daemon's socket: passes every byte through, as it is, both ways with their half-closes, and
writes down what the answers were: one JSON object a line.

    recorder.py LISTEN CONNECT RECORDS

LISTEN and CONNECT are Unix sockets, RECORDS a directory: `records.jsonl` is appended to, `test` (if there) names the test at work.
It reads along; what it cannot follow it stops recording, and says so in a record, but it never stops passing it on.
"""

import array
import fcntl
import json
import os
import pathlib
import signal
import socket
import sys
import termios
import threading
import time

LARGEST_BODY = 8 << 20


class Message:
    """One request or answer, as far as it has been read."""

    def __init__(self, first, headers):
        self.first, self.headers, self.body = first, headers, bytearray()

    def header(self, name):
        return self.headers.get(name, "")

    def is_json(self):
        return self.header("content-type").split(";")[0].strip() == "application/json"


class Reader:
    """Follows one direction of a connection: `feed` takes bytes; `follow`, a generator, asks for them by yielding."""

    def __init__(self, follow):
        self.pending = bytearray()
        self.coroutine = follow(self)
        self.ended = False
        self.advance(None)

    def advance(self, value):
        try:
            self.coroutine.send(value)
        except StopIteration:
            self.ended = True

    def feed(self, data):
        if not self.ended:
            self.pending += data
            self.advance(True)

    def close(self):
        if not self.ended:
            self.advance(False)
            self.ended = True

    def line(self):
        while b"\n" not in self.pending:
            if not (yield):
                return None
        line, _, rest = self.pending.partition(b"\n")
        self.pending = bytearray(rest)
        return line.rstrip(b"\r").decode("latin-1")

    def take(self, count, message, keep):
        """`count` bytes of a body, or all there are for None; whether they all came."""
        while count is None or count > 0:
            if not self.pending and not (yield):
                return count is None
            part = self.pending if count is None else self.pending[:count]
            if keep and len(message.body) < LARGEST_BODY:
                message.body += part
            taken = len(part)
            self.pending = self.pending[taken:]
            count = None if count is None else count - taken
        return True

    def head(self):
        first = yield from self.line()
        while first == "":
            first = yield from self.line()
        if first is None:
            return None
        headers = {}
        while True:
            line = yield from self.line()
            if line is None:
                return None
            if not line:
                return Message(first, headers)
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()

    def content(self, message, keep, until_close):
        if message.header("transfer-encoding").lower() == "chunked":
            while True:
                size = yield from self.line()
                if size is None:
                    return False
                count = int(size.split(";")[0], 16)
                if not (yield from self.take(count, message, keep)) or (yield from self.line()) is None:
                    return False
                if count == 0:
                    return True
        length = message.header("content-length")
        if length or not until_close:
            return (yield from self.take(int(length or 0), message, keep))
        return (yield from self.take(None, message, keep))


class Exchanges:
    """The requests of a connection in order, each waiting for its answer."""

    def __init__(self, record, current_test):
        self.record, self.current_test = record, current_test
        self.lock = threading.Lock()
        self.waiting = []
        self.open = None
        self.hijacked = None
        self.head_is_new = False

    def requests(self, reader):
        while True:
            message = yield from reader.head()
            if message is None:
                return
            method, target, *_ = message.first.split(" ") + [""]
            with self.lock:
                self.waiting.append((method, target, self.current_test()))
                self.hijacked = None
            if not (yield from reader.content(message, False, False)):
                return
            if "upgrade" in message.header("connection").lower():
                # What follows is a stream, or after a refusal the next request: the answer tells.
                while self.hijacked is None:
                    if not (yield):
                        return
                if self.hijacked:
                    return

    def answers(self, reader):
        while True:
            message = yield from reader.head()
            if message is None:
                return
            status = int(message.first.split(" ")[1])
            if 100 <= status < 200 and status != 101:
                continue
            with self.lock:
                # An answer without a request is one to what was no HTTP.
                method, target, test = self.waiting.pop(0) if self.waiting else ("", "", self.current_test())
            record = {
                "method": method, "target": target, "status": status, "test": test, "headers": message.headers, "body": None, "whole": False,
            }
            raw = "raw-stream" in message.header("content-type") or "multiplexed-stream" in message.header("content-type")
            hijacked = status == 101 or (raw and method == "POST" and "transfer-encoding" not in message.headers)
            self.hijacked = self.head_is_new = hijacked
            if method == "HEAD" or hijacked or status in (204, 304):
                record["whole"] = True
                self.record(record)
                if hijacked:
                    return
                continue
            self.open = (record, message)
            record["whole"] = yield from reader.content(message, message.is_json(), True)
            self.finish()

    def finish(self):
        """Writes the answer that is being read, whole or as far as it came."""
        if self.open:
            (record, message), self.open = self.open, None
            if message.is_json() and len(message.body) < LARGEST_BODY:
                record["body"] = message.body.decode(errors="replace")
            self.record(record)


class Recorder:
    def __init__(self, connect, directory):
        self.connect, self.directory = connect, pathlib.Path(directory)
        self.file = os.open(self.directory / "records.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.live = set()

    def record(self, entry):
        os.write(self.file, (json.dumps(entry) + "\n").encode())

    def current_test(self):
        try:
            return (self.directory / "test").read_text()
        except FileNotFoundError:
            return ""

    def serve(self, client):
        upstream = socket.socket(socket.AF_UNIX)
        try:
            upstream.connect(self.connect)
        except OSError:
            client.close()
            return
        exchanges = Exchanges(self.record, self.current_test)
        self.live.add(exchanges)
        back = threading.Thread(target=self.pump, args=(upstream, client, Reader(exchanges.answers), exchanges), daemon=True)
        back.start()
        self.pump(client, upstream, Reader(exchanges.requests))
        back.join()
        exchanges.finish()
        self.live.discard(exchanges)
        client.close()
        upstream.close()

    def pump(self, source, sink, reader, answers=None):
        following = True
        while True:
            try:
                data = source.recv(1 << 16)
            except OSError:
                data = b""
            if following:
                try:
                    reader.feed(data) if data else reader.close()
                except Exception as error:  # Whatever it is: the bytes go on, and the validation fails over the record.
                    self.record({"broken": f"{type(error).__name__}: {error}", "test": self.current_test()})
                    following = False
            try:
                if data:
                    sink.sendall(data)
                    if answers and answers.head_is_new:
                        answers.head_is_new = False
                        until_read(sink)
                else:
                    sink.shutdown(socket.SHUT_WR)
            except OSError:
                # Nobody reads: the sender must learn it, and the other direction go on.
                try:
                    source.shutdown(socket.SHUT_RD if data else socket.SHUT_RDWR)
                except OSError:
                    pass
                return
            if not data:
                return

    def stop(self, *_):
        for exchanges in list(self.live):
            exchanges.finish()
        os._exit(0)


def until_read(sink):
    """Waits until the peer has read everything, as the daemon does behind the head of a stream: clients that read a head through a
    buffer lose what comes along with it."""
    waiting, deadline = array.array("i", [1]), time.monotonic() + 2
    while waiting[0] and time.monotonic() < deadline:
        fcntl.ioctl(sink, termios.TIOCOUTQ, waiting)
        time.sleep(0.0005 if waiting[0] else 0)


def main(listen, connect, directory):
    recorder = Recorder(connect, directory)
    signal.signal(signal.SIGTERM, recorder.stop)
    server = socket.socket(socket.AF_UNIX)
    server.bind(listen)
    server.listen(512)
    print("ready", flush=True)
    while True:
        client, _ = server.accept()
        threading.Thread(target=recorder.serve, args=(client,), daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
