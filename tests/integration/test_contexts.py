"""Contexts with TLS files: every client reads, exports and imports what every other made."""

import json
import os
import pathlib
import stat
import subprocess

import pytest

from conftest import PROGRAMS
from test_tls import tls  # noqa: F401 (a fixture)

MAKERS = [(maker, user) for maker in sorted(PROGRAMS) for user in sorted(PROGRAMS) if "clipper" in (maker, user)]


@pytest.fixture
def run(tls, tmp_path):
    """Runs a client whose configuration is this test's own; the result."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("DOCKER_", "CLIPPER_"))}
    environment["DOCKER_CONFIG"] = str(tmp_path / "config")

    def run(program, *arguments, input=b""):
        return subprocess.run([PROGRAMS[program], *map(str, arguments)], env=environment, input=input, capture_output=True, timeout=60,
                              cwd=tmp_path)
    return run


def settings(tls, **changes):
    values = {"host": tls.tcp, "ca": f"{tls.files}/ca.pem", "cert": f"{tls.files}/cert.pem", "key": f"{tls.files}/key.pem", **changes}
    return ",".join(f"{key}={value}" for key, value in values.items() if value)


def good(done):
    assert done.returncode == 0, done
    return done.stdout.decode().strip()


def stored(tmp_path):
    """Every file of the contexts, by its path: the document, or the mode and content."""
    root = tmp_path / "config" / "contexts"
    return {str(path.relative_to(root)): json.loads(path.read_text()) if path.suffix == ".json" else
            (stat.S_IMODE(path.stat().st_mode), path.read_bytes()) for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("maker,user", MAKERS)
def test_made_by_one_used_by_the_other(tls, run, tmp_path, maker, user):
    assert good(run(maker, "context", "create", "secure", "--description", "words", "--docker", settings(tls))) == "secure"
    assert good(run(user, "--context", "secure", "version", "--format", "{{.Server.Version}}"))
    shown = json.loads(run(user, "context", "inspect", "secure").stdout)[0]
    assert shown["TLSMaterial"] == {"docker": ["ca.pem", "cert.pem", "key.pem"]}
    assert shown["Endpoints"]["docker"] == {"Host": tls.tcp, "SkipTLSVerify": False} and shown["Metadata"]["Description"] == "words"
    files = sorted(p.name for p in pathlib.Path(shown["Storage"]["TLSPath"]).joinpath("docker").iterdir())
    assert files == ["ca.pem", "cert.pem", "key.pem"]
    # Out and in again.
    good(run(maker, "context", "export", "secure", "file"))
    assert good(run(user, "context", "import", "copy", "file")) == "copy"
    assert good(run(maker, "--context", "copy", "version", "--format", "{{.Server.Version}}"))
    # Another made of it, and gone.
    good(run(user, "context", "create", "third", "--from", "secure"))
    assert good(run(maker, "--context", "third", "version", "--format", "{{.Server.Version}}"))
    for name in ["secure", "copy", "third"]:
        good(run(user, "context", "rm", name))
    assert stored(tmp_path) == {}


def test_the_files_are_dockers(tls, run, tmp_path):
    """The same commands leave the same files behind, with the same rights."""
    found = {}
    for program in sorted(PROGRAMS):
        commands = [
            ["create", "na", "--docker", settings(tls)], ["create", "nb", "--docker", f"host={tls.tcp},skip-tls-verify=true"],
            ["create", "nc", "--from", "na"], ["create", "nd", "--docker", "from=na"], ["create", "ne", "--docker", "host=unix:///x.sock"],
            ["update", "nb", "--docker", settings(tls, cert=None, key=None)], ["update", "nc", "--description", "new"],
            ["update", "nd", "--docker", "host=tcp://127.0.0.1:1"], ["create", "nf", "--description", "of the current one"],
        ]
        for command in commands:
            good(run(program, "context", *command))
        found[program] = stored(tmp_path)
        for name in "abcdef":
            good(run(program, "context", "rm", "n" + name))
    for program in sorted(PROGRAMS):
        if program.startswith("docker-28") or len(PROGRAMS) == 2:
            assert {path: value for path, value in found["clipper"].items() if path.startswith("tls")} == \
                {path: value for path, value in found[program].items() if path.startswith("tls")}
            for path in found[program]:
                if path.endswith("meta.json") and found[program][path]["Name"] != "nf":  # Each has its own standard address.
                    assert found["clipper"][path] == found[program][path]


@pytest.mark.parametrize("program", sorted(PROGRAMS))
def test_skipping_verification(tls, run, tmp_path, program):
    """The server need not prove who it is, but wants to know who the client is."""
    other = tmp_path / "other-ca.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "/dev/null", "-out", other, "-days", "2", "-subj",
                    "/CN=other"], check=True, capture_output=True)
    good(run(program, "context", "create", "wrong", "--docker", settings(tls, ca=other)))
    refused = run(program, "--context", "wrong", "ps")
    assert refused.returncode == 1 and b"certificate" in refused.stderr
    good(run(program, "context", "update", "wrong", "--docker", settings(tls, ca=None, **{"skip-tls-verify": "true"})))
    assert good(run(program, "--context", "wrong", "version", "--format", "{{.Server.Version}}"))


@pytest.mark.parametrize("program", sorted(PROGRAMS))
def test_refused(tls, run, tmp_path, program):
    (tmp_path / "nonsense.pem").write_text("nonsense")
    for given, words in [
        (settings(tls, ca="/no/such.pem"), "open /no/such.pem: no such file or directory"),
        (settings(tls, ca=tmp_path / "nonsense.pem"), "failed to retrieve context tls info: ca.pem seems invalid"),
        (settings(tls, **{"skip-tls-verify": "perhaps"}), 'parsing "perhaps": invalid syntax'),
        (settings(tls, nonsense="x"), "unrecognized config key"),
    ]:
        done = run(program, "context", "create", "bad", "--docker", given)
        assert done.returncode == 1 and words in done.stderr.decode(), (given, done.stderr)
    done = run(program, "context", "create", "bad", "--from", "default", "--docker", settings(tls))
    assert done.returncode == 1 and b"--docker" in done.stderr and b"--from" in done.stderr
    assert stored(tmp_path) == {}


def test_an_archive_with_other_files_is_refused(run, tmp_path):
    subprocess.run("mkdir -p tls/docker/deep && echo '{\"Name\":\"n\"}' >meta.json && echo x >tls/docker/deep/ca.pem && tar cf a.tar meta.json tls"
                   " && printf 'PK\\003\\004' >a.zip", shell=True, cwd=tmp_path, check=True)
    done = run("clipper", "context", "import", "bad", "a.tar")
    assert done.returncode == 1 and b"unexpected context file: tls/docker/deep/ca.pem" in done.stderr
    done = run("clipper", "context", "import", "bad", "a.zip")
    assert done.returncode == 1 and b"not implemented: import of a context from a zip file" in done.stderr
    assert stored(tmp_path) == {}
