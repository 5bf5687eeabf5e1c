"""Sources of bind mounts that are made by earlier mounts or hidden from the container's root."""

import subprocess

import pytest

FIRST = 100000


@pytest.fixture
def tree(tmp_path):
    """Directories a, b and c with a file each in x, y and z below; only root may look into the directory above."""
    for path in ("a/x", "b/y", "c/z"):
        (tmp_path / "source" / path).mkdir(parents=True)
        (tmp_path / "source" / path / "file").write_text(path)
    for path in (tmp_path, tmp_path / "source"):
        path.chmod(0o750)
    return tmp_path / "source"


def mapped(first):
    return [{"containerID": 0, "hostID": first, "size": 65536}]


@pytest.mark.parametrize("kind", ["plain", "mapped", "user", "user mapped"])
def test_order_of_sources(make_container, clipper, tree, kind):
    """Sources below the root filesystem show what was mounted there before; destinations may have its path in front."""
    made = make_container(clipper, ["cat", "/final/x/y/z/x/file"])
    rootfs = made.bundle.rootfs
    for name in ("mnt", "final"):
        (rootfs / name).mkdir(exist_ok=True)
    config = made.config
    maps = {"uidMappings": mapped(FIRST), "gidMappings": mapped(FIRST)}
    extra = maps if "mapped" in kind else {}
    options = ["rbind", "idmap"] if "mapped" in kind else ["rbind"]
    config["mounts"] += [
        {"source": f"{tree}/a", "destination": "/mnt", "type": "bind", "options": ["bind"]},
        {"source": f"{tree}/b", "destination": "/mnt/x", "type": "bind", "options": ["bind"]},
        {"source": f"{tree}/c", "destination": "/mnt/x/y", "type": "bind", "options": ["bind"]},
        {"source": f"{tree}/a", "destination": "/mnt/x/y/z", "type": "bind", "options": ["bind"]},
        {"source": f"{rootfs}/mnt", "destination": f"{rootfs}/final", "type": "bind", "options": options, **extra},
    ]
    config["root"]["readonly"] = False
    if "user" in kind:
        config["linux"]["namespaces"].append({"type": "user"})
        config["linux"].update(maps)
        subprocess.run(["chown", "-R", f"{FIRST}:{FIRST}", rootfs], check=True)
        made.bundle.path.chmod(0o755)
    result = made.run()
    assert (result.code, result.out) == (0, "a/x"), result


def test_missing_source_in_user_namespace(make_container, clipper, tree):
    """What the runtime finds in the container's place is told as what the container's process finds itself."""
    def edit(config):
        config["linux"]["namespaces"].append({"type": "user"})
        config["linux"].update(uidMappings=mapped(FIRST), gidMappings=mapped(FIRST))
        config["mounts"].append({"source": f"{tree}/none", "destination": "/mnt", "type": "bind", "options": ["bind"]})

    result = make_container(clipper, ["true"], edit).run()
    assert result.code == 1 and f"open mount source {tree}/none: no such file or directory" in result.err, result
