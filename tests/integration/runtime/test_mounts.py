"""Mounts beyond the plain ones: recursive attributes, id maps, copy-up, propagation, mount points that are links to nothing."""

import os

import pytest

from .harness import Runtime

# Private first, or the machine's own tree, when it is shared, would get these mounts too.
SHARED = ["unshare", "-m", "--propagation", "private", "sh", "-c", 'mount --make-rshared / && exec "$0" "$@"']


def writable(config, *mounts, user=None):
    config["root"]["readonly"] = False
    config["mounts"] += mounts
    if user is not None:
        mappings = [{"containerID": 0, "hostID": user, "size": 1000}]
        config["linux"]["namespaces"].append({"type": "user"})
        config["linux"].update(uidMappings=mappings, gidMappings=mappings)


def bind(source, destination, *options, **more):
    return {"destination": destination, "source": str(source), "type": "bind", "options": ["rbind", *options], **more}


def in_private_tree(engine, script):
    """The engine in a mount namespace of its own, in which the script has mounted something before."""
    return Runtime(engine.name, ["unshare", "-m", "sh", "-c", script + '; exec "$0" "$@"', *engine.command], engine.root)


RECURSIVE = ["rro", "rnoexec", "rnosuid", "rnodev", "rnoatime", "rnosymfollow"]


@pytest.mark.parametrize("option", RECURSIVE)
def test_recursive_attributes(probe, engine, tmp_path, option):
    """On the mount and on the one below it; `ro` without r leaves the one below alone."""
    (tmp_path / "below").mkdir()
    runtime = in_private_tree(engine, f"mount -t tmpfs -o relatime none {tmp_path}/below")
    if engine.name == "crun" and option in ("rnoatime", "rnosymfollow"):
        pytest.skip("crun 1.8 refuses to set it below")
    word = option[1:]
    seen = probe(runtime, lambda config: writable(config, bind(tmp_path, "/data", option)))["mounts"]
    by_point = {m["point"]: m["options"] for m in seen}
    assert word in by_point["/data"] and word in by_point["/data/below"]
    if word == "ro":
        seen = probe(runtime, lambda config: writable(config, bind(tmp_path, "/data", "ro")))["mounts"]
        by_point = {m["point"]: m["options"] for m in seen}
        assert "ro" in by_point["/data"] and "rw" in by_point["/data/below"]


@pytest.mark.parametrize("before,option,gone", [
    ("ro", "rrw", "ro"), ("noexec", "rexec", "noexec"), ("nosuid", "rsuid", "nosuid"), ("nodev", "rdev", "nodev"),
    ("noatime", "rrelatime", "noatime"), ("relatime", "rstrictatime", "relatime"), ("nosymfollow", "rsymfollow", "nosymfollow")])
def test_recursive_opposites(probe, engine, tmp_path, before, option, gone):
    if engine.name == "crun" and option in ("rrelatime", "rstrictatime", "rsymfollow"):
        pytest.skip("crun 1.8 refuses to set it below")
    (tmp_path / "below").mkdir()
    runtime = in_private_tree(engine, f"mount -t tmpfs none {tmp_path}/below && mount -o remount,bind,{before} {tmp_path}/below")
    seen = probe(runtime, lambda config: writable(config, bind(tmp_path, "/data", option)))["mounts"]
    assert gone not in {m["point"]: m["options"] for m in seen}["/data/below"]


def test_recursive_attributes_of_a_new_filesystem(container):
    made = container(["grep", " /t ", "/proc/self/mountinfo"], lambda config: writable(
        config, {"destination": "/t", "type": "tmpfs", "source": "tmpfs", "options": ["rro", "rnoexec", "size=1m", "mode=750", "rshared"]}))
    line = made.run().out
    assert " ro," in line and "noexec" in line and "size=1024k" in line and "mode=750" in line and "shared:" in line


@pytest.fixture
def owned(tmp_path):
    """A directory with files of users 0 and 5, and a mount below it to come."""
    for name, owner in [("zero", 0), ("five", 5)]:
        (tmp_path / name).touch()
        os.chown(tmp_path / name, owner, owner)
    (tmp_path / "below").mkdir()
    tmp_path.chmod(0o755)  # The container's root has no right to pass what is another's.
    return tmp_path


MAP = [{"containerID": 0, "hostID": 7000, "size": 10}]


def test_id_mapped_by_its_own_mappings(container, owned):
    made = container(["stat", "-c", "%u:%g", "/data/zero", "/data/five"], lambda config: writable(
        config, bind(owned, "/data", "idmap", uidMappings=MAP, gidMappings=[{"containerID": 0, "hostID": 8000, "size": 10}])))
    result = made.run()
    assert result.out.split() == ["7000:8000", "7005:8005"], result


def test_id_mapped_by_the_containers_user_namespace(container, owned):
    """root's files on the host are the container's root's, and what that makes is root's on the host."""
    made = container(["sh", "-c", "stat -c %u /data/zero /data/five; touch /data/new"], lambda config: writable(
        config, bind(owned, "/data", "idmap"), user=100000))
    (made.bundle.rootfs / "data").mkdir()
    result = made.run()
    assert (result.code, result.out.split()) == (0, ["0", "5"]), result
    assert (owned / "new").stat().st_uid == 0


def test_mappings_alone_are_enough(container, owned):
    made = container(["stat", "-c", "%u", "/data/zero"], lambda config: writable(
        config, bind(owned, "/data", uidMappings=MAP, gidMappings=MAP)))
    result = made.run()
    assert result.out.split() == ["7000"], result


@pytest.mark.parametrize("option,below", [("idmap", "0"), ("ridmap", "7000")])
def test_id_map_reaches_as_far_as_asked(make_container, clipper, owned, option, below):
    runtime = in_private_tree(clipper, f"mount -t tmpfs none {owned}/below")
    made = make_container(runtime, ["stat", "-c", "%u", "/data/zero", "/data/below"], lambda config: writable(
        config, bind(owned, "/data", option, uidMappings=MAP, gidMappings=MAP)))
    result = made.run()
    assert result.out.split() == ["7000", below], result


@pytest.mark.parametrize("mount,field", [
    ({"type": "bind", "options": ["rbind", "idmap"]}, "options"),
    ({"type": "bind", "options": ["rbind"], "uidMappings": MAP}, "gidMappings"),
    ({"type": "bind", "options": ["rbind"], "gidMappings": MAP}, "uidMappings"),
    ({"type": "tmpfs", "options": ["idmap"], "uidMappings": MAP, "gidMappings": MAP}, "uidMappings"),
    ({"type": "bind", "options": ["rbind"], "uidMappings": MAP + MAP, "gidMappings": MAP}, "uidMappings[1]")])
def test_impossible_id_maps_are_refused(container, mount, field):
    made = container(["true"], lambda config: writable(config, {"destination": "/data", "source": "/tmp", **mount}))
    result = made.run()
    assert result.code == 1 and f".{field}" in result.err and "mounts[" in result.err, result


def test_id_mapping_what_cannot_be_mapped(container):
    made = container(["true"], lambda config: writable(config, bind("/proc", "/data", "idmap", uidMappings=MAP, gidMappings=MAP)))
    result = made.run()
    assert result.code == 1 and "map owners of /proc on /data" in result.err, result


def test_copy_up(make_container, engine):
    """What the image holds there is in the tmpfs: contents, owners, modes, links."""
    def edit(config):
        config["mounts"].append({"destination": "/full", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup", "mode=755"]})
    made = make_container(engine, ["sh", "-c", "cat /full/a/file && stat -c '%u %a' /full/a /full/a/file && readlink /full/link && touch /full/new"], edit)
    place = made.bundle.rootfs / "full"
    (place / "a").mkdir(parents=True)
    (place / "a").chmod(0o710)
    (place / "a" / "file").write_text("content\n")
    os.chown(place / "a" / "file", 12, 12)
    (place / "a" / "file").chmod(0o4755)
    (place / "link").symlink_to("nowhere")
    result = made.run()
    assert result.code == 0, result
    assert result.out.splitlines() == ["content", "0 710", "12 4755", "nowhere"]
    assert not (place / "new").exists()


def test_copy_up_names_and_attributes(container):
    """Names and links that are not UTF-8, and the attributes that tmpfs keeps; a file capability survives the owner's change."""
    made = container(["sleep", "300"], lambda config: writable(
        config, {"destination": "/full", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]}))
    place = os.fsencode(made.bundle.rootfs / "full")
    os.makedirs(place + b"/d\xffr")
    with open(place + b"/d\xffr/\xfe", "w") as file:
        file.write("content")
    os.symlink(b"to-\xff", place + b"/link\xfd")
    capability = bytes.fromhex("0100000200040000000000000000000000000000")  # cap_net_bind_service=ep
    os.chown(place + b"/d\xffr/\xfe", 12, 12)
    os.setxattr(place + b"/d\xffr/\xfe", "security.capability", capability)
    os.setxattr(place + b"/d\xffr", "trusted.clipper", b"of the directory")
    made.up()
    seen = os.fsencode(f"/proc/{made.pid}/root/full")
    assert sorted(os.listdir(seen)) == [b"d\xffr", b"link\xfd"]
    with open(seen + b"/d\xffr/\xfe") as file:
        assert file.read() == "content"
    assert os.readlink(seen + b"/link\xfd") == b"to-\xff"
    assert os.getxattr(seen + b"/d\xffr/\xfe", "security.capability") == capability
    assert os.getxattr(seen + b"/d\xffr", "trusted.clipper") == b"of the directory"


def test_copy_up_read_only(container):
    made = container(["sh", "-c", "ls /full; touch /full/x"], lambda config: writable(
        config, {"destination": "/full", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup", "ro"]}))
    (made.bundle.rootfs / "full").mkdir()
    (made.bundle.rootfs / "full" / "file").touch()
    result = made.run()
    assert result.out == "file\n" and "Read-only" in result.err


PROPAGATIONS = {
    "shared": "shared:", "rshared": "shared:", "slave": "master:", "rslave": "master:", "private": "", "rprivate": "",
    "unbindable": "unbindable", "runbindable": "unbindable"}


@pytest.mark.parametrize("mode", PROPAGATIONS)
def test_root_propagation(make_container, clipper, tmp_path, mode):
    """The root mount is as asked, and the caller's mounts are what they were: with `shared`, taking the old root away
    would take the host's mounts along."""
    script = f'mount -t tmpfs mark {tmp_path} && mkdir {tmp_path}/in && mount -t tmpfs mark {tmp_path}/in && cut -d" " -f5 /proc/self/mountinfo >{tmp_path}/in/before; '
    script += f'"$0" "$@"; code=$?; cut -d" " -f5 /proc/self/mountinfo | diff {tmp_path}/in/before - >&2 || exit 99; exit $code'
    runtime = Runtime("clipper", [*SHARED, "sh", "-c", script, *clipper.command], clipper.root)
    made = make_container(runtime, ["sh", "-c", "grep ' / / ' /proc/self/mountinfo || cat /proc/self/mountinfo"], lambda config: config["linux"].update(rootfsPropagation=mode))
    result = made.run()
    assert result.code == 0, result
    fields = next(line for line in result.out.splitlines() if line.split()[4] == "/").split(" - ")[0].split()[6:]
    wanted = PROPAGATIONS[mode]
    if wanted in ("shared:", "unbindable"):
        assert any(f.startswith(wanted) for f in fields), result
    else:
        assert not any(f.startswith(("shared:", "unbindable")) for f in fields), result


FLAGS = {"ro", "nosuid", "nodev", "noexec", "nosymfollow", "noatime", "nodiratime", "relatime"}
BINDS = [
    ("ro,nosuid,noexec,noatime", [], "ro nosuid noexec noatime", "ro nosuid noexec noatime"),
    ("ro,nosuid,noexec,noatime", ["dev"], "noatime", "ro nosuid noexec noatime"),
    ("nosuid,nodev,nosymfollow,noatime", ["ro"], "ro noatime", "ro nosuid nodev noatime"),
    ("ro,noatime", ["nodev", "relatime"], "nodev relatime", None), ("ro", ["rw"], "relatime", None),
    ("noatime", ["nodiratime", "strictatime"], "nodiratime", None), ("noexec", ["exec"], "relatime", None),
]


@pytest.mark.parametrize("before,options,wanted,kept", BINDS, ids=[f"{b} by {','.join(o)}" for b, o, _, _ in BINDS])
@pytest.mark.parametrize("user", [None, 10000], ids=["", "user namespace"])
def test_flags_of_a_bind(make_container, clipper, tmp_path, before, options, wanted, kept, user):
    """Flags that the options do not name are those of a new mount, unless the options name none, or the kernel has locked
    them: then they stay, or the mount is refused."""
    tmp_path.chmod(0o755)
    runtime = in_private_tree(clipper, f"mount -t tmpfs none {tmp_path} && mount -o remount,bind,{before} {tmp_path}")
    made = make_container(runtime, ["cat", "/proc/self/mounts"], lambda config: writable(config, bind(tmp_path, "/data", *options), user=user))
    (made.bundle.rootfs / "data").mkdir()
    result = made.run()
    if user is not None and kept is None:
        assert result.code == 1 and "operation not permitted" in result.err, result
        return
    line = next(line.split() for line in result.out.splitlines() if line.split()[1] == "/data")
    found = FLAGS & set(line[3].split(","))
    expected = set((kept if user is not None else wanted).split())
    if "strictatime" not in options and not expected & {"noatime", "relatime"}:
        expected.add("relatime")
    assert found == expected, result


def test_slave_root_is_of_the_hosts_peers(make_container, clipper):
    """rootfsPropagation "slave": what is mounted on the host below the root filesystem comes into the container."""
    runtime = Runtime("clipper", [*SHARED, *clipper.command], clipper.root)
    made = make_container(runtime, ["cat", "/proc/self/mountinfo"], lambda config: config["linux"].update(rootfsPropagation="slave"))
    result = made.run()
    root = next(line.split() for line in result.out.splitlines() if line.split()[4] == "/")
    assert any(field.startswith("master:") for field in root) and not any(field.startswith("shared:") for field in root), result


@pytest.mark.parametrize("target", ["/not/there", "not/there", "../../../../not/there", "/first/hop"])
def test_mount_point_below_a_link_to_nothing(make_container, engine, tmp_path, target):
    """The link's target is made, inside the root filesystem."""
    if engine.name == "crun":
        pytest.skip("crun 1.8 refuses a link to nothing")
    (tmp_path / "flag").touch()
    made = make_container(engine, ["ls", "/link/inside", "/file"], lambda config: writable(
        config, bind(tmp_path, "/link/inside"), bind(tmp_path / "flag", "/file")))
    (made.bundle.rootfs / "link").symlink_to(target)
    (made.bundle.rootfs / "first").symlink_to("second")
    (made.bundle.rootfs / "file").symlink_to("/lost/file")
    result = made.run()
    assert result.code == 0 and "flag" in result.out.split(), result
    assert (made.bundle.rootfs / "lost/file").exists()
    assert not os.path.exists("/not") and not (made.bundle.path / "not").exists()


def test_link_that_leads_to_itself(container, tmp_path):
    made = container(["true"], lambda config: writable(config, bind(tmp_path, "/loop/inside")))
    (made.bundle.rootfs / "loop").symlink_to("loop")
    result = made.run()
    assert result.code == 1 and "too many levels of symbolic links" in result.err.lower(), result


def test_features_tell(clipper):
    features = clipper.ok("features").json
    assert {"idmap", "ridmap", "rro", "rnosymfollow", "tmpcopyup"} <= set(features["mountOptions"])
    assert features["linux"]["mountExtensions"]["idmap"]["enabled"] is True


def test_relative_destinations_count_from_the_root(make_container, engine, tmp_path):
    """config.md, "Mounts": deprecated, but `docker run -v v:/v` with a volume of one letter makes them."""
    (tmp_path / "flag").touch()
    made = make_container(engine, ["ls", "/a/b"], lambda config: writable(config, bind(tmp_path, "a/b")))
    result = made.run()
    assert result.code == 0 and "flag" in result.out.split(), result
