"""buildah with clipper-runtime (`--runtime`, `--isolation oci`), beside runc."""

import pytest

IMAGE = "localhost/clipper-dropin/base"
DOCKERFILE = """FROM localhost/clipper-dropin/base
ARG WORD=none
RUN echo "hello $WORD" > /made && mkdir /d && chown 33:33 /d
USER 33
RUN id -u > /d/id
RUN --mount=type=cache,target=/cached,uid=33 echo x > /cached/x
RUN --mount=type=tmpfs,target=/temporary touch /temporary/x
RUN test ! -e /temporary/x && test ! -e /cached/x
CMD ["cat", "/made", "/d/id"]
"""


@pytest.fixture
def options(runtime_path):
    return ["--runtime", runtime_path, "--isolation", "oci"]


@pytest.fixture
def work(build, host, name):
    """A working container; its control group is its own, as buildah takes the parent's name for it."""
    build("from", "--name", name, "--isolation", "oci", "--cgroup-parent", f"/{host.prefix}{name}", "-m", "32m", IMAGE)
    return name


@pytest.fixture
def context(host, name):
    directory = host.scratch / f"context-{name}"
    directory.mkdir()
    return directory


def test_build(build, options, context, host, name):
    (context / "Dockerfile").write_text(DOCKERFILE)
    built = build.run("bud", *options, "--network", "none", "--layers=false", "--no-cache", "--build-arg", "WORD=there", "--memory", "64m",
                      "--cgroup-parent", f"/{host.prefix}{name}", "-t", f"localhost/{name}", context)
    assert built.code == 0, built
    made = build("from", "--name", name, "--isolation", "oci", "--cgroup-parent", f"/{host.prefix}{name}", f"localhost/{name}")
    assert build("run", *options, made, "cat", "/made", "/d/id") == "hello there\n33"
    assert [c for c in host.cgroups() if name in str(c)] == []


def test_failing_step(build, options, context, host, name):
    (context / "Dockerfile").write_text(f"FROM {IMAGE}\nRUN exit 5\n")
    result = build.run("bud", *options, "--network", "none", "--cgroup-parent", f"/{host.prefix}{name}", context)
    assert result.code == 5 and "exit status 5" in result.err, result


def test_run_exit_code_and_streams(build, options, work):
    result = build.run("run", *options, work, "sh", "-c", "cat; echo err >&2; exit 6", input=b"given\n")
    assert (result.code, result.out) == (6, "given\n") and "err\n" in result.err


def test_run_limits_and_security(build, options, work, host):
    lines = build("run", *options, work, "sh", "-c",
                  "grep :memory: /proc/self/cgroup; grep Seccomp: /proc/self/status").split("\n")
    assert lines[0].endswith(f"/{host.prefix}{work}") and lines[1] == "Seccomp:\t2"


def test_run_as_user_with_volume(build, options, work, context):
    (context / "file").write_text("theirs\n")
    result = build.run("run", *options, "--user", "33", "-v", f"{context}:/w:ro", work, "sh", "-c", "id -u; cat /w/file; touch /w/x")
    assert result.out.split() == ["33", "theirs"] and "Read-only" in result.err and result.code == 1


def test_program_that_cannot_run(build, options, work):
    result = build.run("run", *options, work, "/nothere")
    assert result.code != 0 and 'exec: "/nothere": stat /nothere: no such file or directory' in result.err.replace("\\", "")


def test_changes_are_committed(build, options, work, host, name):
    cgroup = f"/{host.prefix}{name}"
    build("run", *options, work, "sh", "-c", "echo kept > /kept")
    build("commit", "-q", work, f"localhost/{name}")
    again = build("from", "--name", f"{name}-2", "--isolation", "oci", "--cgroup-parent", cgroup, f"localhost/{name}")
    assert build("run", *options, again, "cat", "/kept") == "kept"
