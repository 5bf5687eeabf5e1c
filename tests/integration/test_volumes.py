"""Volumes, bind mounts and tmpfs."""

import pathlib

import pytest

from harness import IMAGE


def test_life_of_a_volume(cli, name):
    assert cli("volume", "create", "--label", "a=b", name) == name
    shown = cli.inspect(name)
    assert (shown["Name"], shown["Driver"], shown["Labels"], shown["Scope"]) == (name, "local", {"a": "b"}, "local")
    assert pathlib.Path(shown["Mountpoint"]).is_dir()
    assert cli("volume", "ls", "-q", "-f", f"name={name}") == name
    assert cli("volume", "ls", "-q", "-f", "label=a=c") == ""
    assert cli("volume", "create", name) == name
    assert cli("volume", "rm", name) == name
    assert not pathlib.Path(shown["Mountpoint"]).exists()
    result = cli.run("volume", "rm", name)
    assert result.code == 1 and name in result.err


def test_data_survives_its_container(cli, name):
    cli("run", "--rm", "-v", f"{name}:/data", IMAGE, "sh", "-c", "echo kept >/data/f")
    assert cli("run", "--rm", "-v", f"{name}:/elsewhere:ro", IMAGE, "cat", "/elsewhere/f") == "kept"
    assert cli.run("run", "--rm", "-v", f"{name}:/data:ro", IMAGE, "touch", "/data/g").code == 1


def test_first_use_copies_the_images_content(cli, name):
    cli("run", "--rm", "-v", f"{name}:/etc", IMAGE, "true")
    listing = cli("run", "--rm", "-v", f"{name}:/x", IMAGE, "ls", "/x").split()
    assert {"passwd", "group", "os-release"} <= set(listing)
    cli("run", "--rm", "-v", f"{name}:/x", IMAGE, "rm", "/x/os-release")
    assert "os-release" not in cli("run", "--rm", "-v", f"{name}:/etc", IMAGE, "ls", "/etc").split()
    other = name + "-nocopy"
    assert "passwd" not in cli("run", "--rm", "-v", f"{other}:/etc:nocopy", IMAGE, "ls", "/etc").split()


def test_volume_in_use(cli, name):
    container = cli("run", "-d", "-v", f"{name}:/data", IMAGE, "sleep", "1000")
    result = cli.run("volume", "rm", name)
    assert result.code == 1 and "in use" in result.err and container in result.err
    cli("rm", "-f", container)
    cli("volume", "rm", name)


def test_anonymous_volumes_go_with_rm_v(clipper):
    def volumes():
        return set(clipper("volume", "ls", "-q").split())

    before = volumes()
    kept = clipper("run", "-d", "-v", "/data", IMAGE, "true")
    clipper("wait", kept)
    clipper("rm", kept)
    assert len(volumes() - before) == 1
    gone = clipper("run", "-d", "-v", "/data", IMAGE, "true")
    clipper("wait", gone)
    clipper("rm", "-v", gone)
    clipper("run", "--rm", "-v", "/data", IMAGE, "true")
    assert len(volumes() - before) == 1


def test_bind_mount(cli, tmp_path):
    (tmp_path / "in").write_text("from outside")
    assert cli("run", "--rm", "-v", f"{tmp_path}:/m", IMAGE, "sh", "-c", "cat /m/in; echo from inside >/m/out") == "from outside"
    assert (tmp_path / "out").read_text() == "from inside\n"
    result = cli.run("run", "--rm", "-v", f"{tmp_path}:/m:ro", IMAGE, "touch", "/m/x")
    assert result.code == 1 and "Read-only" in result.err
    assert cli("run", "--rm", "-v", f"{tmp_path}/in:/etc/passwd:ro", IMAGE, "cat", "/etc/passwd") == "from outside"


def test_files_and_directories_cannot_stand_in_for_each_other(cli, tmp_path):
    (tmp_path / "file").write_text("x")
    for source, target, words in [("file", "/etc", "a file cannot be mounted on a directory"), ("", "/etc/passwd", "a directory cannot be mounted on a file")]:
        result = cli.run("run", "--rm", "-v", f"{tmp_path / source}:{target}", IMAGE, "true")
        assert result.code == 125 and f"mount {tmp_path / source} on {target}: not a directory: {words}" in result.err


def test_bind_source_is_made_by_v_but_not_by_mount(cli, tmp_path):
    cli("run", "--rm", "-v", f"{tmp_path}/new/dir:/m", IMAGE, "true")
    assert (tmp_path / "new/dir").is_dir()
    result = cli.run("run", "--rm", "--mount", f"type=bind,src={tmp_path}/none,dst=/m", IMAGE, "true")
    assert result.code == 125 and "bind source path does not exist" in result.err


def test_mount_flag(cli, name):
    cli("run", "--rm", "--mount", f"type=volume,src={name},dst=/data", IMAGE, "touch", "/data/f")
    assert cli("run", "--rm", "--mount", f"type=volume,src={name},dst=/d,readonly", IMAGE, "sh", "-c", "ls /d; touch /d/x 2>/dev/null || echo refused") == "f\nrefused"


def test_tmpfs(cli):
    out = cli("run", "--rm", "--tmpfs", "/scratch:size=1m,mode=700", IMAGE, "sh", "-c", "grep ' /scratch ' /proc/mounts; stat -c %a /scratch; head -c 2000000 /dev/zero >/scratch/f || echo full")
    assert "tmpfs" in out and "noexec" in out and "700" in out and out.endswith("full")


def test_volumes_from(cli, name):
    cli("run", "-d", "--name", name, "-v", f"{name}:/shared", IMAGE, "sleep", "1000")
    cli("exec", name, "touch", "/shared/flag")
    assert cli("run", "--rm", "--volumes-from", name, IMAGE, "ls", "/shared") == "flag"


def test_links_in_the_container_do_not_lead_out(clipper, name, tmp_path):
    """A mount point that is a symbolic link of the image stays inside the container."""
    clipper("build", "-t", "clpt/link", "-", input=f"FROM {IMAGE}\nRUN ln -s {tmp_path} /link\n".encode())
    result = clipper.run("run", "--rm", "-v", f"{name}:/link/inside", "clpt/link", "ls", "-d", f"{tmp_path}/inside")
    assert result.code == 0, result
    assert list(tmp_path.iterdir()) == []


def test_sdk(sdk, name):
    volume = sdk.volumes.create(name)
    sdk.containers.run(IMAGE, "touch /v/x", volumes={name: {"bind": "/v", "mode": "rw"}}, remove=True)
    assert sdk.containers.run(IMAGE, "ls /v", volumes={name: {"bind": "/v", "mode": "ro"}}, remove=True) == b"x\n"
    volume.remove()
    assert name not in [v.name for v in sdk.volumes.list()]
