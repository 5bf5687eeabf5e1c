"""Whatever comes in, the answer is a clear error with Docker's code, and the daemon goes on."""

import io
import socket
import tarfile

import pytest

from harness import IMAGE, Client, free_port

CREATE = {"Image": IMAGE, "Cmd": ["true"]}


@pytest.fixture(autouse=True)
def nothing_half_made(daemon):
    """After each of these the same daemon process answers and holds no container."""
    pid = daemon.pid
    yield
    assert daemon.running() and daemon.pid == pid
    assert daemon.request("GET", "/_ping")[0] == 200


def one_line(text):
    """A message of one line; clients may add a hint after an empty line."""
    return len(text.strip().split("\n\n")[0].splitlines()) == 1


def test_image_that_is_not_there(daemon):
    status, answer = daemon.request("POST", "/containers/create", {"Image": "nothere:1"})
    assert status == 404 and "No such image: nothere:1" in answer["message"]


def test_bad_reference(cli):
    result = cli.run("run", "UPPER/Case::x", "true")
    assert result.code == 125 and "invalid reference format" in result.err and result.out == ""
    assert len(result.err.strip().split("\n\n")[0].splitlines()) <= 2


@pytest.mark.parametrize("command, code, words", [("/nothere", 127, "no such file"), ("nothere", 127, "not found"), ("/etc/passwd", 126, "permission denied"), ("/etc", 126, "")])
def test_command_that_cannot_run(cli, name, command, code, words):
    result = cli.run("run", "--name", name, IMAGE, command)
    assert result.code == code, result
    assert words in result.err.lower(), result
    assert result.out == "" and (cli.name != "clipper" or one_line(result.err)), result
    state = cli.inspect(name)["State"]
    assert (state["Running"], state["ExitCode"]) == (False, code)
    assert state["Error"]


def test_port_that_is_taken_by_another_program(cli, name):
    with socket.create_server(("0.0.0.0", 0)) as server:
        port = server.getsockname()[1]
        result = cli.run("run", "-d", "--name", name, "-p", f"{port}:80", IMAGE, "sleep", "1000")
    assert result.code == 125 and str(port) in result.err and "in use" in result.err, result
    assert not cli.inspect(name)["State"]["Running"]


def test_port_that_is_taken_by_another_container(cli, name):
    port = free_port()
    cli("run", "-d", "-p", f"{port}:80", IMAGE, "sleep", "1000")
    result = cli.run("run", "-d", "--name", name, "-p", f"{port}:80", IMAGE, "sleep", "1000")
    assert result.code == 125 and "port is already allocated" in result.err, result


def test_name_in_use(daemon, cli, sleeper):
    result = cli.run("run", "--name", sleeper, IMAGE, "true")
    assert result.code == 125 and "already in use" in result.err and (cli.name != "clipper" or one_line(result.err)), result
    status, answer = daemon.request("POST", f"/containers/create?name={sleeper}", CREATE)
    assert status == 409 and "already in use" in answer["message"]


def test_bad_name(daemon):
    status, answer = daemon.request("POST", "/containers/create?name=a%2Fb", CREATE)
    assert status == 400 and "Invalid container name" in answer["message"]


@pytest.mark.parametrize("path", ["/build?t=bad", "/images/load", "/images/create?fromSrc=-&repo=bad"])
def test_body_that_is_not_a_tar(daemon, path):
    before = daemon.request("GET", "/images/json?all=1")[1]
    status, answer = daemon.request("POST", path, b"this is not a tar file " * 300, {"Content-Type": "application/x-tar"})
    text = str(answer)
    assert status in (400, 500) or (status == 200 and "error" in text), answer
    assert "tar" in text.lower() or "archive" in text.lower() or "header" in text.lower(), answer
    assert daemon.request("GET", "/images/json?all=1")[1] == before


def test_tar_that_ends_early(daemon):
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        info = tarfile.TarInfo("big")
        info.size = 100_000
        tar.addfile(info, io.BytesIO(b"x" * 100_000))
    before = daemon.request("GET", "/images/json?all=1")[1]
    for path in ["/images/load", "/images/create?fromSrc=-&repo=short"]:
        status, answer = daemon.request("POST", path, archive.getvalue()[:50_000], {"Content-Type": "application/x-tar"})
        assert status >= 400 or "error" in str(answer), answer
    assert daemon.request("GET", "/images/json?all=1")[1] == before


def test_tar_with_paths_that_lead_outside(daemon, clipper, tmp_path):
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        link = tarfile.TarInfo("out")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
        tar.addfile(link)
        for path in ["out/through-link", "../../../../../../.." + str(tmp_path) + "/dotdot", str(tmp_path) + "/absolute"]:
            info = tarfile.TarInfo(path)
            info.size = 1
            tar.addfile(info, io.BytesIO(b"x"))
    clipper.run("import", "-", "clpt/evil", input=archive.getvalue())
    assert list(tmp_path.iterdir()) == []


def test_dockerfile_errors_name_the_line(cli, tmp_path):
    (tmp_path / "Dockerfile").write_text(f"FROM {IMAGE}\n\n# comment\nFLY away\n")
    result = cli.run("build", tmp_path)
    assert result.code == 1, result
    assert "line 4" in result.err and "FLY" in result.err.upper(), result


def test_dockerfile_that_is_not_there(cli, tmp_path):
    result = cli.run("build", tmp_path)
    assert result.code == 1 and "Dockerfile" in result.err, result


def test_body_that_is_not_json(daemon):
    status, answer = daemon.request("POST", "/containers/create", b"{\"Image\": ")
    assert status == 400 and set(answer) == {"message"} and "\n" not in answer["message"]
    status, answer = daemon.request("POST", "/volumes/create", b"not json")
    assert status == 400 and "message" in answer


@pytest.mark.parametrize("body, field", [
    ({"Image": 5}, "Image"), ({"Image": IMAGE, "Cmd": {"a": 1}}, "Cmd"), ({"Image": IMAGE, "HostConfig": {"Memory": "much"}}, "Memory"),
    ({"Image": IMAGE, "Env": "A=b"}, "Env"), ([], ""), (None, ""), ("text", "")])
def test_wrong_types(daemon, body, field):
    import json
    status, answer = daemon.request("POST", "/containers/create", json.dumps(body))
    assert status == 400 and field in answer["message"], answer


def test_null_is_an_empty_value(daemon, name):
    """As for every Go program, which is what clients are made for."""
    status, made = daemon.request("POST", f"/containers/create?name={name}", {
        "Image": IMAGE, "Cmd": ["true", None], "Labels": {"a": None}, "Tty": None, "HostConfig": {"BlkioDeviceReadBps": [{"Path": "/dev/null"}]}})
    assert status == 201, made
    _, shown = daemon.request("GET", f"/containers/{name}/json")
    assert (shown["Args"], shown["Config"]["Labels"]["a"]) == ([""], "")
    assert shown["HostConfig"]["BlkioDeviceReadBps"] == [{"Path": "/dev/null", "Rate": 0}]


@pytest.mark.parametrize("host_config, words", [
    ({"Memory": 1000}, "emory"), ({"NanoCpus": 10**13}, "CPU"), ({"Binds": ["relative:/x:zz"]}, "zz"), ({"Binds": ["/a:relative"]}, "relative"),
    ({"NetworkMode": "nothere"}, "nothere"), ({"CapAdd": ["FLYING"]}, "FLYING"), ({"PortBindings": {"80/xyz": [{}]}}, "xyz"),
    ({"RestartPolicy": {"Name": "perhaps"}}, "perhaps"), ({"LogConfig": {"Type": "paper"}}, "paper"), ({"Runtime": "none-such"}, "none-such"),
    ({"SecurityOpt": ["what=ever"]}, "what"), ({"Ulimits": [{"Name": "bogus", "Soft": 1, "Hard": 1}]}, "bogus"), ({"Sysctls": {"kernel.panic": "1"}}, "kernel.panic"),
    ({"Sysctls": {"kernel.hostname": "x"}}, "kernel.hostname")])
def test_bad_host_config(daemon, host_config, words):
    """Refused when created, or at the latest when started, by name; never ignored."""
    status, answer = daemon.request("POST", "/containers/create", {**CREATE, "HostConfig": host_config})
    if status == 201:
        status, answer = daemon.request("POST", f"/containers/{answer['Id']}/start")
    assert 400 <= status <= 501 and words.lower() in answer["message"].lower(), (status, answer)


def truncated(daemon, path, announced, sent):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(5)
        sock.connect(daemon.socket)
        sock.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-tar\r\nContent-Length: {announced}\r\n\r\n".encode() + sent)
        sock.shutdown(socket.SHUT_WR)
        answer = b""
        try:
            while piece := sock.recv(4096):
                answer += piece
        except (TimeoutError, ConnectionError) as error:
            assert not isinstance(error, TimeoutError), "the daemon waits for what will not come"
        return answer


@pytest.mark.parametrize("path", ["/images/load", "/images/create?fromSrc=-&repo=clpt/short", "/build", "/containers/create"])
def test_truncated_upload(daemon, path):
    before = daemon.request("GET", "/images/json?all=1")[1]
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        info = tarfile.TarInfo("file")
        info.size = 30_000
        tar.addfile(info, io.BytesIO(b"y" * 30_000))
    answer = truncated(daemon, path, 1_000_000, archive.getvalue()[:20_000])
    assert not answer.startswith(b"HTTP/1.1 200") or b"error" in answer, answer
    assert daemon.request("GET", "/images/json?all=1")[1] == before
    assert daemon.request("GET", "/containers/json?all=1")[1] == []


def test_requests_that_are_not_http(daemon):
    for garbage in [b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"POST /x HTTP/1.1\r\nContent-Length: -5\r\n\r\n", b"A" * 200_000]:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(3)
            sock.connect(daemon.socket)
            try:
                sock.sendall(garbage)
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(4096):
                    pass
            except ConnectionError:
                pass


def test_unknown_path(daemon):
    status, answer = daemon.request("GET", "/no/such/path")
    assert status == 404 and answer["message"] == "page not found"


@pytest.mark.parametrize("method, path, named", [
    ("POST", "/session", "/session"), ("POST", "/swarm/init", "/swarm/init"), ("POST", "/plugins/create", "/plugins/create")])
def test_what_is_not_built_says_so(daemon, method, path, named):
    status, answer = daemon.request(method, path)
    assert status == 501 and f"{method} {named}" in answer["message"], answer


def test_api_versions(daemon):
    for good in ["v1.24", "v1.40", "v1.50"]:
        assert daemon.request("GET", f"/{good}/containers/json")[0] == 200
    status, answer = daemon.request("GET", "/v1.99/containers/json")
    assert status == 400 and "too new" in answer["message"]
    status, answer = daemon.request("GET", "/v1.10/containers/json")
    assert status == 400 and "too old" in answer["message"]


@pytest.mark.parametrize("path", ["/containers/json", "/images/json", "/volumes", "/networks", "/events"])
@pytest.mark.parametrize("filters", ["%7B%22nosuch%22%3A%5B%22x%22%5D%7D", "not-json", "%7B%22name%22%3A5%7D"])
def test_bad_filters(daemon, path, filters):
    status, answer = daemon.request("GET", f"{path}?filters={filters}&until=1")
    assert status == 400 and "filter" in answer["message"].lower(), (status, answer)


def test_what_is_not_there(daemon):
    for method, path, words in [("GET", "/containers/nope/json", "No such container: nope"), ("POST", "/containers/nope/start", "No such container: nope"),
                                ("GET", "/images/nope/json", "No such image: nope"), ("GET", "/volumes/nope", "nope"), ("GET", "/networks/nope", "nope"),
                                ("POST", "/exec/nope/resize?h=1&w=1", "nope"), ("DELETE", "/containers/nope", "No such container: nope")]:
        status, answer = daemon.request(method, path)
        assert status == 404 and words in answer["message"], (path, status, answer)


@pytest.mark.parametrize("method, path", [
    ("GET", "nosuch/json"), ("DELETE", "nosuch"), ("POST", "nosuch/enable?timeout=0"), ("POST", "nosuch/disable"),
    ("POST", "nosuch/push"), ("POST", "nosuch/set"), ("POST", "nosuch/upgrade?remote=x")])
def test_no_plugin_is_there(daemon, method, path):
    body = [] if path.split("?")[0].endswith(("set", "upgrade")) else None
    assert daemon.request(method, f"/plugins/{path}", body) == (404, {"message": 'plugin "nosuch" not found'})


def test_a_directory_is_no_archive(cli, tmp_path):
    for command in (["load", "-i", tmp_path], ["import", tmp_path]):
        result = cli.run(*command)
        assert (result.code, f"read {tmp_path}: is a directory" in result.err) == (1, True), result


def test_no_daemon(clipper, daemon, tmp_path):
    class Nowhere:
        host = f"unix://{tmp_path}/none.sock"
        scratch = tmp_path

    client = Client("clipper", clipper.program, Nowhere)
    for arguments, code in [(["ps"], 1), (["run", IMAGE], 125)]:
        result = client.run(*arguments)
        assert result.code == code and result.out == ""
        assert f"{tmp_path}/none.sock" in result.err and "clipperd" in result.err, result


def test_bad_flags(clipper):
    for arguments, code in [(["run", "--nosuch", IMAGE], 125), (["ps", "--nosuch"], 125), (["nosuch"], 1), (["run"], 1)]:
        result = clipper.run(*arguments)
        assert result.code in (1, 125) and result.out == "" and result.err, result
        assert result.code == code, result
