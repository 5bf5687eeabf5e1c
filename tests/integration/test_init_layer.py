"""What every container has that no image need have: /.dockerenv, /etc/mtab, mount points. It is nobody's change."""

import io
import tarfile

import pytest

from harness import IMAGE


def names(tar):
    return {member.name.rstrip("/"): member for member in tarfile.open(fileobj=io.BytesIO(tar))}


def test_programs_know_that_they_are_in_a_container(cli):
    assert cli("run", "--rm", IMAGE, "sh", "-c", "test -f /.dockerenv && readlink /etc/mtab && stat -c %a /etc") == "/proc/mounts\n755"


def test_it_is_exported_but_no_change(cli, name):
    cli("create", "--name", name, IMAGE, "true")
    files = names(cli.run("export", name).stdout)
    assert {".dockerenv", "dev/console", "dev/pts", "dev/shm", "etc/hostname", "etc/hosts", "etc/resolv.conf", "proc", "sys"} <= files.keys()
    assert files["etc/mtab"].linkname == "/proc/mounts"
    assert ".dockerenv" in names(cli.run("cp", f"{name}:/.dockerenv", "-").stdout)
    assert cli("diff", name) == ""
    cli("start", "-a", name)
    assert cli("diff", name) == ""
    image = f"{name}-image"
    cli("commit", name, image)
    try:
        assert cli.inspect(image)["RootFS"]["Layers"] == cli.inspect(IMAGE)["RootFS"]["Layers"] + cli.inspect(image)["RootFS"]["Layers"][-1:]
        layer = names(cli.run("save", image).stdout)
        assert not [n for n in layer if "dockerenv" in n]
    finally:
        cli("rmi", image)


@pytest.mark.parametrize("change, shown", [
    ("chmod 700 /etc && chown 5:6 /etc", "700 5 6"),
    ("rm /etc/hostname; chmod 711 /etc", "711 0 0"),
])
def test_the_images_own_directories_stay_as_they_are(clipper, name, change, shown):
    image = f"{name}-image"
    dockerfile = f"FROM {IMAGE}\nRUN {change}\n"
    clipper("build", "-q", "-t", image, "-", input=dockerfile.encode())
    assert clipper("run", "--rm", image, "stat", "-Lc", "%a %u %g", "/etc") == shown
    assert clipper("run", "--rm", image, "sh", "-c", "grep -c localhost /etc/hosts").strip() != "0"


def test_one_for_each_image_which_goes_with_it(daemon, clipper, name):
    image = f"{name}-image"
    clipper("build", "-q", "-t", image, "-", input=f"FROM {IMAGE}\nRUN echo {name} >/only\n".encode())
    place = daemon.scratch / "data/init"
    clipper("run", "--rm", IMAGE, "true")
    before = {p.name for p in place.iterdir()}
    clipper("run", "--rm", image, "true")
    clipper("run", "--rm", image, "true")
    made = {p.name for p in place.iterdir()} - before
    assert len(made) == 1
    clipper("rmi", image)
    daemon.stop()
    daemon.start()
    assert not made & {p.name for p in place.iterdir()}
    assert clipper("run", "--rm", IMAGE, "sh", "-c", "test -f /.dockerenv && echo yes") == "yes"
