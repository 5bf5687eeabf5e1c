"""Other container engines, each with roots of its own, in namespaces of its own: nothing of theirs is seen on the machine
but a scratch directory and control groups that carry its name, and nothing of it outlives the tests.
"""

import contextlib
import hashlib
import io
import json
import os
import pathlib
import shutil
import subprocess
import tarfile

from harness import BIN, REPOSITORY, Client, Result, wait_until

CLIPPER_RUNTIME = BIN / "clipper-runtime"
RUNC = shutil.which("runc") or "/usr/sbin/runc"


# Hierarchies that are mounted, and no directory that something else has made beside them, in which podman would make its own.
CLEAN_CGROUPS = """
if [ "$(stat -f -c %T /sys/fs/cgroup)" = tmpfs ]; then
    mkdir /run/cgroup && mount -t tmpfs -o mode=755 cgroup /run/cgroup
    for hierarchy in /sys/fs/cgroup/*; do
        if [ -L $hierarchy ]; then cp -P $hierarchy /run/cgroup/
        elif mountpoint -q $hierarchy; then
            mkdir /run/cgroup/${hierarchy##*/} && mount --bind $hierarchy /run/cgroup/${hierarchy##*/}
        fi
    done
    mount --move /run/cgroup /sys/fs/cgroup && rmdir /run/cgroup
fi
"""

SUBORDINATE_IDS = """
echo daemon:100000:65536 >/run/subid
touch /etc/subuid /etc/subgid
mount --bind /run/subid /etc/subuid
mount --bind /run/subid /etc/subgid
"""


class PrivateHost:
    """Mount, network and process namespaces, an empty /run, a scratch directory, and ids for user namespaces (subuid(5)).
    `remove` ends every process in it."""

    def __init__(self, prefix):
        self.prefix = prefix
        self.scratch = pathlib.Path("/tmp") / prefix
        self.scratch.mkdir(mode=0o711)
        self.holder = None
        try:
            script = "\n".join([
                "set -e", "mount -t tmpfs run /run", "ip link set lo up", CLEAN_CGROUPS, SUBORDINATE_IDS, "echo ready", "exec sleep infinity"])
            self.holder = subprocess.Popen(
                ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
            assert self.holder.stdout.readline() == b"ready\n", "the namespaces could not be made"
            children = pathlib.Path(f"/proc/{self.holder.pid}/task/{self.holder.pid}/children").read_text().split()
            self.init = int(children[0])
        except BaseException:
            self.remove()
            raise

    def inside(self, *arguments):
        """The command line that runs a command in here."""
        return ["nsenter", "-t", str(self.init), "-m", "-n", "-p", "-w/", "--", *map(str, arguments)]

    def start(self, name, *arguments):
        """A daemon that lives as long as the namespaces."""
        with (self.scratch / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                self.inside(*arguments), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def cgroups(self):
        """Control groups with the prefix in the name of a directory above them or their own, the deepest first."""
        found = set()
        for hierarchy in [pathlib.Path("/sys/fs/cgroup"), *pathlib.Path("/sys/fs/cgroup").glob("*/")]:
            for parent in hierarchy.glob(f"{self.prefix}*"):
                found |= {parent, *(d for d in parent.rglob("*") if d.is_dir())}
        return sorted(found, reverse=True)

    def containers_cgroups(self):
        """Those of containers: below the parent that engines leave."""
        return [c for c in self.cgroups() if not c.name.startswith(self.prefix)]

    def remove(self):
        if self.holder:
            self.holder.kill()  # Its child, the first process of the process namespace, dies with it; with that all others.
            self.holder.wait()
            self.holder.stdout.close()

        def cleared():
            for directory in self.cgroups():
                with contextlib.suppress(OSError):
                    directory.rmdir()
            return not self.cgroups()

        try:
            wait_until(cleared, 20, "the end of the control groups")
        finally:
            shutil.rmtree(self.scratch)


class Tool:
    """A command line in a private host. Calling it runs a command that must succeed; `run` one that may fail."""

    def __init__(self, host, *command):
        self.host, self.command = host, [str(c) for c in command]

    def line(self, *arguments):
        return self.host.inside(*self.command, *arguments)

    def run(self, *arguments, input=b"", timeout=90):
        done = subprocess.run(self.line(*arguments), input=input, capture_output=True, timeout=timeout)
        return Result([*self.command, *map(str, arguments)], done.returncode, done.stdout, done.stderr)

    def __call__(self, *arguments, input=b"", timeout=90):
        result = self.run(*arguments, input=input, timeout=timeout)
        assert result.code == 0, result
        return result.out.rstrip("\n")


class TerminalTool:
    """What harness.Terminal wants of a client, for a `Tool`."""

    def __init__(self, tool):
        self.program, *self.first = tool.line()
        self.environment = dict(os.environ)


def base_archive(path, name="localhost/clipper-dropin/base:latest"):
    """The base image as `docker save` writes one, which every engine loads; there is no registry."""
    layer = subprocess.run([str(REPOSITORY / "scripts/make-base-image")], capture_output=True, check=True).stdout
    config = json.dumps({
        "architecture": "amd64", "os": "linux", "config": {"Cmd": ["sh"], "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]}, "history": [],
    }).encode()
    digest = hashlib.sha256(config).hexdigest()
    manifest = json.dumps([{"Config": f"{digest}.json", "RepoTags": [name], "Layers": ["layer.tar"]}]).encode()
    with tarfile.open(path, "w") as archive:
        for member, data in ((f"{digest}.json", config), ("layer.tar", layer), ("manifest.json", manifest)):
            entry = tarfile.TarInfo(member)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))


class Containerd:
    """containerd with own root, state and address."""

    IMAGE = "localhost/clipper-dropin/base:latest"

    def __init__(self, host, archive):
        self.host = host
        self.address = host.scratch / "containerd.sock"
        config = host.scratch / "containerd.toml"
        config.write_text(
            f'version = 2\nroot = "{host.scratch}/containerd"\nstate = "/run/containerd"\n'
            f'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\n  address = "{self.address}"\n')
        host.start("containerd", "containerd", "--config", config)
        # The namespace names the control group of its containers.
        self.ctr = Tool(host, "ctr", "--address", self.address, "--namespace", f"{host.prefix}ctr")
        wait_until(lambda: self.ctr.run("version").code == 0, 30, "containerd's answer")
        self.ctr("image", "import", archive)


class Docker:
    """Debian's dockerd on a containerd of its own."""

    def __init__(self, host, containerd, archive, name="docker", options=()):
        address = f"unix://{host.scratch}/{name}.sock"
        (host.scratch / f"{name}.json").write_text("{}\n")
        host.start(
            name, "dockerd", "-H", address, "--config-file", host.scratch / f"{name}.json",
            "--containerd", containerd.address, "--containerd-namespace", name, "--containerd-plugins-namespace", f"{name}-plugins",
            "--data-root", host.scratch / name, "--exec-root", f"/run/{name}", "--pidfile", f"/run/{name}.pid",
            "--iptables=false", "--ip6tables=false", "--bridge=none", "--cgroup-parent", f"/{host.prefix}{name}",
            "--add-runtime", f"clipper-runtime={CLIPPER_RUNTIME}", *options)
        self.cli = Client("docker", shutil.which("docker"), _At(address, host.scratch))
        wait_until(lambda: self.cli.run("version").code == 0, 60, "dockerd's answer")
        self.cli("load", "-i", archive)


class _At:
    """What `Client` wants of a daemon."""

    def __init__(self, address, scratch):
        self.host, self.scratch = address, scratch


def podman(host, runtime):
    """podman with own storage; its containers' control groups are below the host's prefix."""
    return Tool(
        host, "podman", "--root", host.scratch / "podman", "--runroot", "/run/podman-run", "--tmpdir", "/run/podman-tmp",
        "--cgroup-manager", "cgroupfs", "--events-backend", "file", "--runtime", runtime)


def buildah(host):
    return Tool(
        host, "env", f"TMPDIR={host.scratch}", "buildah", "--root", host.scratch / "buildah", "--runroot", "/run/buildah")
