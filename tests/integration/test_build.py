"""Building images from Dockerfiles."""

import io
import urllib.request

import docker.errors
import pytest

from harness import IMAGE, REPOSITORY, free_port, wait_until


@pytest.fixture
def build(cli, tmp_path):
    """Writes a context and builds it; answers the result."""
    def make(dockerfile, *flags, files=None, tag="clpt/built"):
        for path, content in {"Dockerfile": dockerfile, **(files or {})}.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(content)
        return cli.run("build", "-t", tag, *flags, tmp_path, timeout=60)
    return make


def output(cli, *command):
    return cli("run", "--rm", "clpt/built", *command)


def test_example(cli, name):
    """What `make run` shows a newcomer."""
    cli("build", "-t", "clpt/hello", REPOSITORY / "examples/hello")
    port = free_port()
    cli("run", "-d", "--name", name, "-p", f"{port}:8080", "-v", f"{name}:/data", "-m", "64m", "clpt/hello")

    def page():
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=3).read().decode()
        except OSError:
            return None

    assert "Hello from a container" in wait_until(page)


def test_second_build_comes_from_the_cache(cli, build):
    dockerfile = f"FROM {IMAGE}\nCOPY f /f\nRUN cat /proc/sys/kernel/random/uuid >/id\nENV A=1\n"
    assert build(dockerfile, files={"f": "one"}).code == 0
    first, identifier = output(cli, "cat", "/id"), cli.inspect("clpt/built")["Id"]
    again = build(dockerfile, files={"f": "one"})
    assert again.out.count("Using cache") >= 3, again
    assert cli.inspect("clpt/built")["Id"] == identifier
    assert build(dockerfile, files={"f": "two"}).code == 0
    assert output(cli, "cat", "/id") != first and output(cli, "cat", "/f") == "two"
    second = output(cli, "cat", "/id")
    assert build(dockerfile, "--no-cache", files={"f": "two"}).code == 0
    assert output(cli, "cat", "/id") != second


def test_failing_command(cli, build):
    before = cli("images", "-q")
    result = build(f"FROM {IMAGE}\nRUN echo seen; exit 9\n")
    assert result.code != 0 and "seen" in result.out, result
    assert "returned a non-zero code: 9" in result.err, result
    assert cli("images", "-q") == before
    assert cli("ps", "-aq", "-f", "status=running") == ""


def test_settings(cli, build):
    assert build(f"""FROM {IMAGE}
LABEL a=b "c d"="e f"
ENV PATH=/opt:$PATH X="1 2"
WORKDIR /w/x
WORKDIR y
RUN pwd >where && id -u >who
USER nobody
RUN id -u >/tmp/second
VOLUME /vol
EXPOSE 80 53/udp
STOPSIGNAL USR1
SHELL ["/bin/sh", "-ec"]
HEALTHCHECK --interval=7s CMD true
ENTRYPOINT ["echo", "entry"]
CMD ["arg"]
""").code == 0
    config = cli.inspect("clpt/built")["Config"]
    assert config["Labels"] == {"a": "b", "c d": "e f"}
    assert "X=1 2" in config["Env"] and any(e.startswith("PATH=/opt:") for e in config["Env"])
    assert (config["WorkingDir"], config["User"], config["StopSignal"]) == ("/w/x/y", "nobody", "USR1")
    assert config["Volumes"] == {"/vol": {}} and set(config["ExposedPorts"]) == {"80/tcp", "53/udp"}
    assert config["Healthcheck"]["Interval"] == 7 * 10**9 and config["Shell"] == ["/bin/sh", "-ec"]
    assert output(cli) == "entry arg" and output(cli, "other") == "entry other"
    assert cli("run", "--rm", "--entrypoint", "cat", "clpt/built", "/w/x/y/where", "/w/x/y/who", "/tmp/second").split() == ["/w/x/y", "0", "65534"]


def test_stages_and_copy_from(cli, build):
    result = build(f"FROM {IMAGE} AS first\nRUN echo made >/made\nFROM scratch\nCOPY --from=first /made /made\nCOPY --from=0 /bin/busybox /bin/cat\n")
    assert result.code == 0, result
    assert output(cli, "/bin/cat", "/made") == "made"
    assert len(cli.inspect("clpt/built")["RootFS"]["Layers"]) == 2
    result = build(f"FROM {IMAGE} AS first\nRUN echo 1 >/one\nFROM first\nRUN exit 3\n", "--target", "first")
    assert result.code == 0 and output(cli, "cat", "/one") == "1", result


def test_copy_and_add(cli, build):
    files = {"a.txt": "a", "b.txt": "b", "dir/c": "c", "dir/deep/d": "d"}
    assert build(f"FROM {IMAGE}\nCOPY *.txt /texts/\nCOPY dir /dir\nCOPY --chown=33:1 a.txt /owned\nADD dir/c /added/\nCOPY a.txt b.txt dir /all/\n", files=files).code == 0
    out = output(cli, "sh", "-c", "cd /; ls texts; ls dir; ls added; ls all; stat -c %u:%g owned; cat dir/deep/d")
    assert out.split() == ["a.txt", "b.txt", "c", "deep", "c", "a.txt", "b.txt", "c", "deep", "33:1", "d"]
    missing = build(f"FROM {IMAGE}\nCOPY none /x\n")
    assert missing.code == 1 and "none" in missing.err
    outside = build(f"FROM {IMAGE}\nCOPY ../../etc/passwd /x\n")
    assert outside.code == 1, outside


def test_ignored_files(cli, build):
    files = {".dockerignore": "*.log\nsecret\n!keep.log\n", "a.log": "", "keep.log": "", "secret/key": "", "plain": ""}
    assert build(f"FROM {IMAGE}\nCOPY . /ctx\n", files=files).code == 0
    listing = output(cli, "ls", "/ctx").split()
    assert "plain" in listing and "keep.log" in listing and "a.log" not in listing and "secret" not in listing


def test_build_arguments(cli, build):
    dockerfile = f"ARG BASE={IMAGE}\nFROM $BASE\nARG A=default\nARG B\nRUN echo $A-$B >/args\n"
    assert build(dockerfile).code == 0
    assert output(cli, "cat", "/args") == "default-"
    assert build(dockerfile, "--build-arg", "A=1", "--build-arg", "B=2").code == 0
    assert output(cli, "cat", "/args") == "1-2"
    assert not [e for e in cli.inspect("clpt/built")["Config"]["Env"] or [] if e.startswith(("A=", "B="))]


def test_labels_and_other_dockerfile(cli, build, tmp_path):
    (tmp_path / "Other").write_text(f"FROM {IMAGE}\nRUN echo other >/f\n")
    result = build("FROM nothere\n", "-f", str(tmp_path / "Other"), "--label", "x=y", "--label", "a=it's $b")
    assert result.code == 0
    # Each is a step, in the order of their keys.
    assert "Step 3/4 : LABEL a=it's $b\n" in result.out and "Step 4/4 : LABEL x=y\n" in result.out, result
    assert output(cli, "cat", "/f") == "other" and cli.inspect("clpt/built")["Config"]["Labels"] == {"x": "y", "a": "it's $b"}


def test_base_that_is_not_there(cli, build):
    result = build("FROM clpt/nothere:1\n")
    assert result.code == 1 and "clpt/nothere" in result.err, result


def test_dockerfile_from_standard_input(cli):
    cli("build", "-t", "clpt/built", "-", input=f"FROM {IMAGE}\nRUN echo in >/f\n".encode())
    assert output(cli, "cat", "/f") == "in"


def test_quiet(cli, tmp_path):
    (tmp_path / "Dockerfile").write_text(f"FROM {IMAGE}\nENV Q=1\n")
    identifier = cli("build", "-q", tmp_path)
    assert identifier.startswith("sha256:") and len(identifier) == 71
    cli("rmi", identifier)


def test_sdk(sdk):
    image, log = sdk.images.build(fileobj=io.BytesIO(f"FROM {IMAGE}\nRUN echo x >/x\n".encode()), tag="clpt/built")
    assert any("Successfully built" in entry.get("stream", "") for entry in log)
    assert sdk.containers.run(image.id, "cat /x", remove=True) == b"x\n"
    with pytest.raises(docker.errors.BuildError, match="non-zero code: 3"):
        sdk.images.build(fileobj=io.BytesIO(f"FROM {IMAGE}\nRUN exit 3\n".encode()))
