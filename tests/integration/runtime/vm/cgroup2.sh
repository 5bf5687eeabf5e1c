# The files of cgroup v2, written by clipper-runtime on a kernel with nothing else.
. /payload/common.sh
G=/sys/fs/cgroup/clp/one
bundle one
out=$(up run -d one); check run "" "$out"
check memory.max 67108864 "$(cat $G/memory.max)"
check memory.swap.max 33554432 "$(cat $G/memory.swap.max)"
check memory.low 33554432 "$(cat $G/memory.low)"
check unified 59998208 "$(cat $G/memory.high)"
check pids.max 21 "$(cat $G/pids.max)"
check cpu.max "30000 60000" "$(cat $G/cpu.max)"
check cpu.max.burst 1000 "$(cat $G/cpu.max.burst)"
check cpu.weight 100 "$(cat $G/cpu.weight)"
check cpuset.cpus 0 "$(cat $G/cpuset.cpus)"
check hugetlb 4194304 "$(cat $G/hugetlb.2MB.max)"
check hugetlb.rsvd 4194304 "$(cat $G/hugetlb.2MB.rsvd.max)"
contains io.max "254:0 rbps=1048576" "$(cat $G/io.max)"
if [ -e $G/io.bfq.weight ]; then check io.bfq.weight "default 500" "$(cat $G/io.bfq.weight)"; else check io.weight "default 4950" "$(cat $G/io.weight)"; fi
contains device-null x "$($R exec one /busybox sh -c 'echo x >/dev/null; echo x')"
out=$($R update --memory 96m --memory-swap 128m --cpu-idle 1 one 2>&1); check update "" "$out"
check update-memory 100663296 "$(cat $G/memory.max)"
check update-swap 33554432 "$(cat $G/memory.swap.max)"
check update-idle 1 "$(cat $G/cpu.idle)"
contains stats '"limit":100663296' "$($R events --stats one)"
contains refuses-v1 "cgroup v2 has no such limit" "$(echo '{"memory":{"swappiness":5}}' | $R update -r - one 2>&1)"
$R pause one; check pause 1 "$(cat $G/cgroup.freeze)"; contains paused '"paused"' "$($R state one)"
$R resume one; contains resumed '"running"' "$($R state one)"
mkdir $G/part; contains exec-cgroup /part "$($R exec --cgroup part one /busybox cat /proc/self/cgroup)"
$R kill --all one KILL; sleep 1; $R delete one; check gone "" "$(ls -d $G 2>/dev/null)"

# The machine has the controller and no device: the kernel has looked for the one that the limit names.
bundle eight
contains rdma "rdma.max: no such device" "$($R run eight 2>&1)"
$R delete -f eight 2>/dev/null; check rdma-gone "" "$(ls -d /sys/fs/cgroup/clp/eight 2>/dev/null)"

# Devices by a BPF program; update replaces it and leaves one.
G=/sys/fs/cgroup/clp/two
bundle two
out=$(up run -d two); check run-two "" "$out"
mknod "/tmp/two/rootfs/d" c 10 237
contains denied "not permitted" "$($R exec two /busybox sh -c ': </d' 2>&1)"
echo '{"devices": [{"allow": false}, {"allow": true, "type": "c", "major": 10, "minor": 237, "access": "r"}]}' | $R update -r - two
case "$($R exec two /busybox sh -c ': </d' 2>&1)" in *"not permitted"*) echo "FAILED allowed-by-update" ;; *) echo "ok allowed-by-update" ;; esac
contains still-denied "not permitted" "$($R exec two /busybox sh -c ': >/d' 2>&1)"
end two

# Memory running out: the kill is told, once, and the container's end ends the stream.
bundle three
up run -d three; check oom-event '{"type":"oom","id":"three"}' "$(timeout 60 $R events --interval 100s three)"
end three

# A further process joins the container's own group, or, where that is divided, the part of the first process.
G=/sys/fs/cgroup/clp/five
bundle five
up run -d five
mkdir $G/part; cat $G/cgroup.procs >$G/part/cgroup.procs
check exec-outer 0::/clp/five "$($R exec five /busybox cat /proc/self/cgroup)"
echo +memory >$G/cgroup.subtree_control
check exec-divided 0::/clp/five/part "$($R exec five /busybox cat /proc/self/cgroup)"
contains exec-no-room "resource busy" "$($R exec --cgroup / five /busybox true 2>&1)"
end five

# Without a cgroup namespace the whole hierarchy is seen, and the first process may go anywhere in it: further ones follow it
# when the container's own group is gone.
G=/sys/fs/cgroup/clp/six
mkdir /sys/fs/cgroup/clp/away
bundle six
up run -d six
for i in $(seq 100); do [ -s /sys/fs/cgroup/clp/away/cgroup.procs ] && break; sleep 0.1; done
check exec-stays 0::/clp/six "$($R exec six /busybox cat /proc/self/cgroup)"
rmdir $G
check exec-follows 0::/clp/away "$($R exec six /busybox cat /proc/self/cgroup)"
contains exec-part-gone "no such file or directory" "$($R exec --cgroup / six /busybox true 2>&1)"
check whole-hierarchy "/sys/fs/cgroup/clp/away/cgroup.procs" "$($R exec six /busybox ls /sys/fs/cgroup/clp/away/cgroup.procs 2>&1)"
mount -o remount,nsdelegate /sys/fs/cgroup; end six
bundle seven
up run -d seven
contains host-options-stay nsdelegate "$(grep ' /sys/fs/cgroup ' /proc/mounts)"
end seven
rmdir /sys/fs/cgroup/clp/away

# The group belongs to the container's root in a user namespace, and nothing that limits it.
G=/sys/fs/cgroup/clp/four
bundle four; chown -R 10000:10000 rootfs
out=$(up run -d four); check run-four "" "$out"
check owner "10000 10000 10000 0" "$(stat -c %u $G $G/cgroup.procs $G/cgroup.subtree_control $G/memory.max | tr '\n' ' ' | sed 's/ $//')"
end four
rmdir /sys/fs/cgroup/clp; echo finished
