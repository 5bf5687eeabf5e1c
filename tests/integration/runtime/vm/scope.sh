# Containers in scopes of a real systemd.
. /payload/common.sh
for _ in $(seq 100); do s=$(systemctl is-system-running); [ "$s" = running ] || [ "$s" = degraded ] && break; sleep 1; done
show() { systemctl show clp-one.scope -p "$1" --value; }
bundle one
for bus in private broker; do
    [ $bus = broker ] && export DBUS_SYSTEM_BUS_ADDRESS=unix:path=/run/dbus/system_bus_socket
    out=$(up --systemd-cgroup run -d one); check $bus-run "" "$out"
    check $bus-slice mine-test.slice "$(show Slice)"
    check $bus-delegate yes "$(show Delegate)"
    check $bus-memory 67108864 "$(show MemoryMax)"
    check $bus-tasks 33 "$(show TasksMax)"
    check $bus-weight 100 "$(show CPUWeight)"
    check $bus-quota 250ms "$(show CPUQuotaPerSecUSec)"
    check $bus-annotation 7s "$(show TimeoutStopUSec)"
    G=/sys/fs/cgroup$(show ControlGroup)
    check $bus-path /sys/fs/cgroup/mine.slice/mine-test.slice/clp-one.scope "$G"
    check $bus-one-process 1 "$(wc -l <$G/cgroup.procs)"
    $R update --memory 96m --pids-limit 44 one; systemctl daemon-reload
    check $bus-updated "100663296 44 100663296 44" "$(cat $G/memory.max) $(cat $G/pids.max) $(show MemoryMax) $(show TasksMax)"
    contains $bus-devices y "$($R exec one /busybox sh -c 'echo x >/dev/null && echo y')"
    $R pause one; contains $bus-paused '"paused"' "$($R state one)"; $R resume one
    out=$(up --systemd-cgroup run -d two -b /tmp/one); contains $bus-taken "already" "$out"
    $R delete -f one; check $bus-gone "inactive " "$(show ActiveState) $(ls -d $G 2>/dev/null)"
done
# A restored container has its scope again, with its limits.
up --systemd-cgroup run -d one >/dev/null
out=$(up checkpoint --image-path /tmp/images one); check checkpoint "inactive " "$(show ActiveState) $out"
out=$(up --systemd-cgroup restore -d --image-path /tmp/images one); check restore "" "$out"
check restored-scope "active 67108864 33" "$(show ActiveState) $(show MemoryMax) $(show TasksMax)"
check restored-path $G "/sys/fs/cgroup$(show ControlGroup)"
pid=$($R state one | sed -n 's/.*"pid": *\([0-9]*\).*/\1/p')
check restored-process "$pid busybox" "$(cat $G/cgroup.procs) $(cat /proc/$pid/comm)"
$R delete -f one; check restored-gone "inactive " "$(show ActiveState) $(ls -d $G 2>/dev/null)"
rm /tmp/images/pages-1.img
contains restore-fails criu "$(up --systemd-cgroup restore -d --image-path /tmp/images one)"
check restore-leaves-nothing "inactive " "$(show ActiveState) $(ls -d $G 2>/dev/null)"
sed -i 's|/busybox", "sleep", "1000"|/nothere"|' config.json
contains failing-program nothere "$(up --systemd-cgroup run one)"
check failing-leaves-nothing inactive "$(show ActiveState)"
echo finished
