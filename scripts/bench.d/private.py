"""Mount, network and process namespaces for a run of both engines: no bridge, firewall rule, mount or daemon of the machine
is touched, and nothing can stay behind but control groups, which `remove_cgroups` takes away."""
import os
import pathlib
import subprocess
import sys


def isolated(program, *arguments):
    """Runs `program --inside ARGUMENTS` (Python) in namespaces of its own, under a shell that takes in orphans, as process 1 has to."""
    shell = '"$@" & wait $!'
    inner = [sys.executable, "-B", str(program), "--inside", *map(str, arguments)]
    return subprocess.call(
        ["unshare", "--mount", "--propagation", "private", "--net", "--pid", "--fork", "--kill-child", "--mount-proc",
         "bash", "-c", shell, pathlib.Path(program).name, *inner])


def remove_cgroups(prefix):
    for top in pathlib.Path("/sys/fs/cgroup").glob(f"*/{prefix}*"):
        for directory, _, _ in os.walk(top, topdown=False):
            try:
                os.rmdir(directory)
            except OSError as error:
                print(f"remove cgroup {directory}: {error.strerror}", file=sys.stderr)
