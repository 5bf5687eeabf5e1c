"""What asks registries without moving layers: login and logout, credential helpers, search, manifests, mirrors and proxies, with real
registries and real clients."""

import base64
import http.server
import json
import os
import signal
import socket
import subprocess
import threading
import urllib.parse

import pytest

from conftest import PROGRAMS
import registries
from harness import BIN, Client, Daemon, free_port, wait_until
from registries import basic, digest

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


class Server:
    """A small HTTP server of the test's own: `answer(handler)` gives status, headers and body of each request."""

    def __init__(self, answer):
        self.asked = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self):
                length = int(self.headers.get("Content-Length") or 0)
                self.body = self.rfile.read(length).decode()
                outer.asked.append((self.command, self.path, self.headers.get("Authorization"), self.body))
                status, headers, body = answer(self)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_HEAD = do_POST = do_PUT = handle_one

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def server():
    """Makes servers, and closes them."""
    made = []

    def make(answer):
        made.append(Server(answer))
        return made[-1]

    yield make
    for one in made:
        one.close()


class Registry(registries.Registry):
    """With images that have no layers, of Docker's own kind."""

    def put_image(self, repository, tag, architecture="amd64"):
        config = json.dumps({"architecture": architecture, "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}).encode()
        document = {
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": {"mediaType": "application/vnd.docker.container.image.v1+json", **self.put_blob(repository, config)}, "layers": []}
        data = json.dumps(document).encode()
        status, _, answer = self.call("PUT", f"/v2/{repository}/manifests/{tag}", data, {"Content-Type": MANIFEST})
        assert status == 201, answer
        return data


@pytest.fixture
def registry(tmp_path):
    """Makes registries, and ends them."""
    made = []

    def make(kind="clipper-registry", **options):
        directory = tmp_path / f"registry{len(made)}"
        made.append(Registry(kind, directory, **options))
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture(params=sorted(PROGRAMS))
def user(request, daemon, tmp_path):
    """Each client in turn, with a configuration of its own."""
    client = Client(request.param, PROGRAMS[request.param], daemon)
    client.config = tmp_path / "client"
    client.config.mkdir()
    client.environment["DOCKER_CONFIG"] = str(client.config)
    client.file = lambda: json.loads((client.config / "config.json").read_text())
    return client


def log_in(client, host, password="s3cret"):
    return client.run("login", "-u", "me", "--password-stdin", host, input=password.encode() + b"\n")


# Login and logout


@pytest.mark.parametrize("kind", ["clipper-registry", "docker-registry"])
def test_login_and_logout(user, registry, kind):
    host = registry(kind, users=True).host
    done = log_in(user, host)
    assert done.code == 0 and done.out == "Login Succeeded\n", done
    assert f"credentials are stored unencrypted in '{user.config}/config.json'" in done.err or "docker-20" in user.name
    assert user.file()["auths"] == {host: {"auth": base64.b64encode(b"me:s3cret").decode()}}
    assert (user.config / "config.json").stat().st_mode & 0o777 == 0o600
    again = user.run("login", host)
    assert again.code == 0 and "Authenticating with existing credentials..." in again.out + again.err and "Login Succeeded" in again.out
    assert user.run("logout", host).out == f"Removing login credentials for {host}\n"
    assert user.file().get("auths", {}) == {}


@pytest.mark.parametrize("kind", ["clipper-registry", "docker-registry"])
def test_a_wrong_password_is_told_in_dockers_words(user, registry, kind):
    host = registry(kind, users=True).host
    done = log_in(user, host, "wrong")
    assert done.code == 1 and done.out == ""
    assert done.err.endswith(f"Error response from daemon: login attempt to http://{host}/v2/ failed with status: 401 Unauthorized\n"), done
    assert not (user.config / "config.json").exists() or "auths" not in user.file()


def test_login_over_tls(user, registry, tmp_path):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "server.key", "-out", "server.pem", "-days", "2", "-subj",
         "/CN=x", "-addext", "subjectAltName=IP:127.0.0.1"], cwd=tmp_path, check=True, capture_output=True)
    host = registry(users=True, tls=tmp_path).host
    assert log_in(user, host).out == "Login Succeeded\n"
    assert f"login attempt to https://{host}/v2/ failed with status: 401 Unauthorized" in log_in(user, host, "wrong").err


def test_nobody_there(user):
    host = f"127.0.0.1:{free_port()}"
    done = log_in(user, host)
    assert done.code == 1 and f'Get "http://{host}/v2/": dial tcp {host}: connect: connection refused' in done.err, done


@pytest.mark.parametrize("arguments, reason", [
    (["--password-stdin"], "Must provide --username with --password-stdin"),
    (["-u", "me", "-p", "x", "--password-stdin"], "--password and --password-stdin are mutually exclusive"),
    (["-u", "me"], "Cannot perform an interactive login from a non TTY device"),
])
def test_flags_that_do_not_go_together(clipper, arguments, reason):
    done = clipper.run("login", *arguments, "127.0.0.1:1")
    assert done.code == 1 and reason in done.err, done


def test_the_password_is_asked_for_without_echo(daemon, registry, terminal, tmp_path):
    host = registry(users=True).host
    client = Client("clipper", PROGRAMS["clipper"], daemon)
    client.environment["DOCKER_CONFIG"] = str(tmp_path)
    screen = terminal(client, "login", host)
    screen.expect("Username: ")
    screen.type("me\r")
    screen.expect("Password: ")
    screen.type("s3crXY\x7f\x7fet\r")
    assert "s3cr" not in screen.expect("Login Succeeded")
    assert screen.wait() == 0


HELPER = """#!/usr/bin/env python3
import json, os, sys
path = os.environ["CLPT_HELPER"]
kept = json.load(open(path)) if os.path.exists(path) else {}
text = sys.stdin.read().strip()
word = sys.argv[1]
if word == "store":
    entry = json.loads(text)
    kept[entry["ServerURL"]] = entry
elif word == "get":
    if text not in kept:
        print("credentials not found in native keychain")
        sys.exit(1)
    print(json.dumps(kept[text]))
elif word == "erase":
    kept.pop(text, None)
elif word == "list":
    print(json.dumps({server: entry["Username"] for server, entry in kept.items()}))
json.dump(kept, open(path, "w"))
"""


@pytest.mark.parametrize("way", ["credsStore", "credHelpers"])
def test_credential_helpers(user, registry, tmp_path, way):
    host = registry(users=True).host
    program = tmp_path / "docker-credential-clpt"
    program.write_text(HELPER)
    program.chmod(0o755)
    kept = tmp_path / "kept.json"
    user.environment.update(PATH=f"{tmp_path}:{os.environ['PATH']}", CLPT_HELPER=str(kept))
    (user.config / "config.json").write_text(json.dumps({way: "clpt" if way == "credsStore" else {host: "clpt"}}))
    done = log_in(user, host)
    assert done.out == "Login Succeeded\n" and "unencrypted" not in done.err, done
    assert json.loads(kept.read_text()) == {host: {"ServerURL": host, "Username": "me", "Secret": "s3cret"}}
    assert "s3cret" not in (user.config / "config.json").read_text() and "auth" not in user.file()["auths"][host]
    assert "Login Succeeded" in user.run("login", host).out
    user("logout", host)
    assert json.loads(kept.read_text()) == {}


# Tokens


def token_registry(server, refresh="r3fresh"):
    """A registry whose token server knows me by password, and the refresh token. Answers the two servers."""
    def tokens(request):
        known = request.headers.get("Authorization") == basic("me", "s3cret")
        if request.command == "POST":
            known = urllib.parse.parse_qs(request.body).get("refresh_token") == [refresh]
        if not known:
            return 401, {}, json.dumps({"details": "incorrect username or password"}).encode()
        body = {"token": "good", "access_token": "good", "expires_in": 300}
        if "offline_token=true" in request.path or request.command == "POST":
            body["refresh_token"] = refresh
        return 200, {"Content-Type": "application/json"}, json.dumps(body).encode()

    token_server = server(tokens)

    def answer(request):
        if request.headers.get("Authorization") != "Bearer good":
            challenge = f'Bearer realm="http://{token_server.host}/token",service="test"'
            return 401, {"WWW-Authenticate": challenge, "Docker-Distribution-Api-Version": "registry/2.0"}, b'{"errors":[{"code":"UNAUTHORIZED"}]}'
        return 200, {"Docker-Distribution-Api-Version": "registry/2.0"}, b"{}"

    return server(answer), token_server


def test_a_refresh_token_is_kept_in_place_of_the_password(user, server):
    host, tokens = token_registry(server)
    assert log_in(user, host.host).out == "Login Succeeded\n"
    kept = user.file()["auths"][host.host]
    assert kept["identitytoken"] == "r3fresh" and b"s3cret" not in base64.b64decode(kept.get("auth", ""))
    if user.name == "clipper":  # Docker's clients ask for a name when they keep none.
        assert "Login Succeeded" in user("login", host.host)
    header = {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps({"identitytoken": kept["identitytoken"]}).encode()).decode()}
    user.daemon.request("GET", f"/distribution/{host.host}/team/app:1/json", headers=header)
    assert host.asked[-1][1:3] == ("/v2/team/app/manifests/1", "Bearer good")
    posts = [urllib.parse.parse_qs(body) for method, _, _, body in tokens.asked if method == "POST"]
    assert posts and posts[-1]["grant_type"] == ["refresh_token"] and posts[-1]["service"] == ["test"]
    done = log_in(user, host.host, "wrong")
    assert done.code == 1 and done.err.endswith(
        f'Error response from daemon: Get "http://{host.host}/v2/": unauthorized: incorrect username or password\n'), done


# Search


def test_search(daemon, server, tmp_path):
    found = [
        {"name": "team/app", "description": "An application\nwith a description that is too long for one line", "star_count": 12, "is_official": False},
        {"name": "app", "description": "an <official>\tone", "star_count": 3, "is_official": True}, {"name": "bare"},
        {"name": "wide", "description": 20 * "日本語\r\n", "star_count": 100000}]
    answers = {"none": (200, b'{"num_results":0,"results":[]}'), "nonsense": (200, b"nonsense"), "down": (503, b"no"), "gone": (404, b"no")}

    def answer(request):
        status, body = answers.get(urllib.parse.parse_qs(urllib.parse.urlsplit(request.path).query).get("q", [""])[0], (
            200, json.dumps({"num_results": 4, "results": found}).encode()))
        return status, {"Content-Type": "application/json"}, body

    index = server(answer)
    clients = {name: Client(name, program, daemon) for name, program in PROGRAMS.items() if name != "docker-20.10"}
    for arguments, shown in [
            ("app", "team/app"), ("--no-trunc app", "too long for one line"), ("--filter stars=5 app", "team/app"),
            ("--filter stars=5 --filter stars=13 app", "wide"), ("--filter is-official=true app", "[OK]"),
            ("--filter is-automated=true app", "deprecated"), ("--limit 7 app", "app"), ("--limit 0 app", "app"), ("--limit -1 app", "app"),
            ("--limit 101 app", "limit 101 is outside the range of [1, 100]"), ("--filter x=1 app", "invalid filter 'x'"),
            ("--filter is-official=x app", "invalid filter"), ("--filter stars=x app", "invalid filter"), ("--filter x app", "bad format"),
            ("--format {{.Name}}:{{.StarCount}}:{{.IsOfficial}} app", "app:3:[OK]"), ("--format json app", '"IsOfficial":"true"'),
            ("--format {{json\t.}} app", '"StarCount"'), ("--format {{.Nosuch}} app", "template"), ("--format {{.Name app", "template"),
            (r"--format table\t{{.Name}}\t{{.Description}} app", "日本語"), ("--format table app", "OFFICIAL"), ("none", "OFFICIAL"),
            ("--format json none", ""), ("nonsense", "error decoding registry search results"), ("down", "Unexpected status code 503"), ("gone", "404")]:
        words = [word.replace("{{json\t.}}", "{{json .}}").replace("table\t", "table ") for word in arguments.split(" ")]
        outputs = {name: client.run("search", *words[:-1], f"{index.host}/{words[-1]}") for name, client in clients.items()}
        own = outputs["clipper"]
        assert shown in own.out + own.err, own
        for name, done in outputs.items():
            assert (done.code, done.out) == (own.code, own.out), (done, own)
            assert done.err.replace("docker", "clipper") == own.err or shown == "template", (done, own)
    paths = [path for _, path, _, _ in index.asked if path.startswith("/v1/search")]
    assert "/v1/search?q=app&n=7" in paths and "/v1/search?q=app&n=25" in paths
    done = clients["clipper"].run("search", "--limit", "101", f"{index.host}/app")
    assert "limit 101 is outside the range of [1, 100]" in done.err, done
    assert "invalid filter 'x'" in clients["clipper"].run("search", "-f", "x=1", f"{index.host}/app").err


# Manifests


def test_distribution(daemon, registry, sdk):
    host = registry("docker-registry", users=True)
    data = host.put_image("team/app", "1")
    auth = {"username": "me", "password": "s3cret"}
    found = sdk.images.get_registry_data(f"{host.host}/team/app:1", auth_config=auth)
    assert found.id == digest(data) and found.has_platform("linux/amd64")
    status, answer = daemon.request("GET", f"/distribution/{host.host}/team/app:1/json")
    assert status == 401 and answer["message"].endswith("no basic auth credentials"), answer
    header = {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(auth).encode()).decode()}
    status, answer = daemon.request("GET", f"/distribution/{host.host}/team/app:2/json", headers=header)
    assert status == 404 and answer["message"].endswith("manifest unknown: manifest unknown"), answer


# The daemon's configuration


@pytest.fixture
def own_daemon(request, tmp_path):
    """Starts a daemon of this test's own with a daemon.json."""
    made = []

    def make(document, *options):
        file = tmp_path / "daemon.json"
        file.write_text(json.dumps(document))
        daemon = Daemon(f"clpr{os.getpid()}{len(made)}", ["--config-file", str(file), *options])
        daemon.configuration = file
        made.append(daemon)
        daemon.start()
        return daemon

    yield make
    for daemon in made:
        if daemon.running():
            daemon.stop()
        daemon.remove()


def test_mirrors_of_any_registry(own_daemon, registry):
    mirror = registry()
    data = mirror.put_image("library/app", "1")
    mirrors = {"docker.io": [f"http://{mirror.host}"], "nowhere.invalid": [f"http://127.0.0.1:{free_port()}", f"http://{mirror.host}/"]}
    daemon = own_daemon({"registry-mirrors": mirrors})
    for name in ["app:1", "nowhere.invalid/library/app:1"]:
        status, answer = daemon.request("GET", f"/distribution/{name}/json")
        assert status == 200 and answer["Descriptor"]["digest"] == digest(data), answer
    config = daemon.request("GET", "/info")[1]["RegistryConfig"]
    assert config["Mirrors"] == [f"http://{mirror.host}/"]
    assert config["IndexConfigs"]["docker.io"] == {"Name": "docker.io", "Mirrors": [f"http://{mirror.host}/"], "Secure": True, "Official": True}
    assert config["IndexConfigs"]["nowhere.invalid"]["Mirrors"][1] == f"http://{mirror.host}/"


def test_a_reload_takes_registries_anew(own_daemon):
    daemon = own_daemon({"insecure-registries": ["10.20.0.0/16", "reg.invalid:5000"]}, "--registry-mirror", "https://m.invalid")
    config = daemon.request("GET", "/info")[1]["RegistryConfig"]
    assert config["InsecureRegistryCIDRs"] == ["10.20.0.0/16", "::1/128", "127.0.0.0/8"] and config["Mirrors"] == ["https://m.invalid/"]
    assert config["IndexConfigs"]["reg.invalid:5000"] == {"Name": "reg.invalid:5000", "Mirrors": [], "Secure": False, "Official": False}
    daemon.configuration.write_text(json.dumps({"insecure-registries": ["other.invalid"], "proxies": {"https-proxy": "http://u:p@proxy.invalid:1"}}))
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: daemon.request("GET", "/info")[1]["HttpsProxy"], 10, "the new proxy")
    info = daemon.request("GET", "/info")[1]
    assert info["HttpsProxy"] == "http://xxxxx:xxxxx@proxy.invalid:1" and "other.invalid" in info["RegistryConfig"]["IndexConfigs"]


class Proxy:
    """Answers CONNECT for any host with a tunnel to one address."""

    def __init__(self, port):
        self.asked, self.port = [], port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=[client], daemon=True).start()

    def serve(self, client):
        head = b""
        while b"\r\n\r\n" not in head:
            more = client.recv(4096)
            if not more:
                return client.close()
            head += more
        lines = head.decode().split("\r\n")
        self.asked.append((lines[0], next((line for line in lines if line.lower().startswith("proxy-authorization:")), "")))
        server = socket.create_connection(("127.0.0.1", self.port))
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        threading.Thread(target=self.copy, args=[server, client], daemon=True).start()
        self.copy(client, server)

    @staticmethod
    def copy(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def test_proxies(own_daemon, registry):
    inner = registry()
    data = inner.put_image("team/app", "1")
    proxy = Proxy(inner.port)
    try:
        proxies = {"http-proxy": f"http://me:s3cret@{proxy.host}", "no-proxy": "direct.invalid"}
        daemon = own_daemon({"proxies": proxies, "insecure-registries": ["reg.invalid:81", "direct.invalid:81"]})
        status, answer = daemon.request("GET", "/distribution/reg.invalid:81/team/app:1/json")
        assert status == 200 and answer["Descriptor"]["digest"] == digest(data), answer
        assert set(proxy.asked) == {("CONNECT reg.invalid:81 HTTP/1.1", f"proxy-authorization: {basic('me', 's3cret')}")}
        status, answer = daemon.request("GET", "/distribution/direct.invalid:81/team/app:1/json")
        assert status == 500 and "no such host" in answer["message"], answer
        status, _ = daemon.request("GET", f"/distribution/{inner.host}/team/app:1/json")
        assert status == 200 and len(set(proxy.asked)) == 1
    finally:
        proxy.close()


@pytest.mark.parametrize("document, flags, reason", [
    ({"registry-mirrors": ["ftp://m"]}, [], 'invalid mirror: unsupported scheme "ftp"'),
    ({"registry-mirrors": {"ghcr.io": "https://m"}}, [], "registry-mirrors.ghcr.io: expected an array of strings"),
    ({}, ["--registry-mirror", "m.example"], "invalid mirror: no scheme specified"),
    ({"insecure-registries": ["http://x"]}, [], "insecure registry http://x should not contain '://'"),
    ({"proxies": {"ftp-proxy": "x"}}, [], "proxies.ftp-proxy"),
    ({"proxies": {"http-proxy": "https://x"}}, [], "not implemented: proxy of scheme https"),
    ({"https-proxy": "http://a"}, ["--https-proxy", "http://b"], "https-proxy: (from flag: http://b, from file: http://a)"),
])
def test_settings_that_cannot_be(tmp_path, document, flags, reason):
    file = tmp_path / "daemon.json"
    file.write_text(json.dumps(document))
    done = subprocess.run([BIN / "clipperd", "--validate", "--config-file", file, *flags], capture_output=True, text=True, timeout=20)
    assert done.returncode == 1 and reason in done.stderr, done
