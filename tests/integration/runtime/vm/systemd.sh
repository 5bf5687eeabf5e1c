#!/bin/bash
# In the machine with cgroup v2: starts systemd in namespaces of its own and runs the command beside it.
mkdir -p /sys/fs/cgroup/inner /sys/fs/cgroup/outer
echo $$ >/sys/fs/cgroup/inner/cgroup.procs
setsid unshare -C -p -m -f --mount-proc sh -c 'umount /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup
    container=vm exec /lib/systemd/systemd --unit=basic.target --log-target=null --show-status=0' >/tmp/systemd.log 2>&1 &
for _ in $(seq 600); do [ -S /run/systemd/private ] && break; sleep 0.2; done
# A cgroup with children may not have processes of its own.
for process in $(cat /sys/fs/cgroup/inner/cgroup.procs) $$; do
    # One may have ended meanwhile, as the program that listed them.
    { echo "$process" >/sys/fs/cgroup/outer/cgroup.procs; } 2>/dev/null
done
nsenter -t "$(pgrep -x systemd | head -n 1)" -a -- "$@"
