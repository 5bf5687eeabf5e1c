# clipperd with `native.cgroupdriver=systemd`, beside a real systemd.
. /payload/common.sh
for _ in $(seq 100); do s=$(systemctl is-system-running); [ "$s" = running ] || [ "$s" = degraded ] && break; sleep 1; done
export CLIPPER_HOST=unix:///run/d.sock LD_LIBRARY_PATH=/payload
C=/payload/clipper
start() { # start [OPTION...]: the daemon, until it answers
    /payload/clipperd --data-root /tmp/data --exec-root /run/clipper --add-runtime runc="$(command -v runc)" -H $CLIPPER_HOST \
        --pidfile /run/d.pid "$@" </dev/null >>/tmp/clipperd.log 2>&1 &
    daemon=$!
    for _ in $(seq 600); do $C version >/dev/null 2>&1 && return; sleep 0.1; done
    echo "FAILED clipperd does not answer: $(tail -n 5 /tmp/clipperd.log)"; exit 1
}
down() { kill "$1" $daemon; wait $daemon 2>/dev/null; rm -f /run/d.pid; }
run() { $C run --network none "$@" 2>&1; }
id() { $C inspect -f '{{.Id}}' "$1"; }
pid() { $C inspect -f '{{.State.Pid}}' "$1"; }
group() { echo "/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$(pid "$1")/cgroup")"; }
show() { systemctl show "clipper-$(id "$1").scope" -p "$2" --value; }
scopes() { systemctl list-units --all --plain --no-legend 'clipper-*.scope'; }
NOT='cgroup-parent for systemd cgroup should be a valid slice named as "xxx.slice"'

start --exec-opt native.cgroupdriver=systemd
check info "systemd 2" "$($C info -f '{{.CgroupDriver}} {{.CgroupVersion}}')"
$C import /payload/base.tar base >/dev/null
contains no-slice "$NOT" "$(run --cgroup-parent /mine base true)"
contains bad-slice "invalid slice name" "$(run --name bad --cgroup-parent a--b.slice base true)"; $C rm bad >/dev/null

run -d --name one --cgroup-parent mine-test.slice -m 64m --pids-limit 33 --cpus 0.25 base sleep 1000 >/dev/null
run -d --name two base sleep 1000 >/dev/null
run -d --name three --runtime runc -m 64m base sleep 1000 >/dev/null
check slice "mine-test.slice 67108864 33 250ms yes" "$(show one Slice) $(show one MemoryMax) $(show one TasksMax) $(show one CPUQuotaPerSecUSec) $(show one Delegate)"
G=$(group one)
check path "/sys/fs/cgroup/mine.slice/mine-test.slice/clipper-$(id one).scope" "$G"
check default-slice "/sys/fs/cgroup/system.slice/clipper-$(id two).scope" "$(group two)"
check by-runc "system.slice 67108864" "$(show three Slice) $(show three MemoryMax)"
for name in one two three; do
    contains $name-top "sleep 1000" "$($C top $name)"
    check $name-stats 1 "$($C stats --no-stream --format '{{.PIDs}}' $name)"
    check $name-exec 0::/ "$($C exec $name cat /proc/self/cgroup)"
    $C pause $name >/dev/null; check $name-paused 1 "$(cat $(group $name)/cgroup.freeze)"
    $C unpause $name >/dev/null; check $name-unpaused 0 "$(cat $(group $name)/cgroup.freeze)"
    # systemd writes its own limits at a reload.
    $C update -m 96m --memory-swap 96m $name >/dev/null; systemctl daemon-reload
    check $name-updated "100663296 100663296" "$(cat $(group $name)/memory.max) $(show $name MemoryMax)"
done

# The next daemon knows them.
$C pause two >/dev/null; down -KILL; echo 1 >$G/cgroup.freeze
start --exec-opt native.cgroupdriver=systemd
check thawed 0 "$(cat $G/cgroup.freeze)"
check stays-paused "true 1" "$($C inspect -f '{{.State.Paused}}' two) $(cat $(group two)/cgroup.freeze)"
$C unpause two >/dev/null; contains restored-top "sleep 1000" "$($C top two)"
# As does one that makes control groups itself.
down -TERM; start
run -d --name four base sleep 1000 >/dev/null
check other-driver "cgroupfs /sys/fs/cgroup/clipper/$(id four)" "$($C info -f '{{.CgroupDriver}}') $(group four)"
contains other-top "sleep 1000" "$($C top one)"
$C update -m 80m --memory-swap 80m one >/dev/null; check other-update 83886080 "$(show one MemoryMax)"
$C create --network none --name five --cgroup-parent /mine base true >/dev/null
down -TERM; start --exec-opt native.cgroupdriver=systemd
contains five-no-slice "$NOT" "$($C start five 2>&1)"; $C rm five >/dev/null
contains four-top "sleep 1000" "$($C top four)"

# The end: nothing is left, and the name is free.
$C start one >/dev/null; $C restart -t 0 one >/dev/null; check restarted "active $G" "$(show one ActiveState) $(group one)"
$C rm -f one three four >/dev/null; check gone "" "$(ls -d $G 2>/dev/null)"
# A supervisor that is killed leaves no scope either.
kill -KILL $(awk '/^PPid/ {print $2}' /proc/$(pid two)/status); $C wait two >/dev/null
check lost "inactive" "$(show two ActiveState)"; $C start two >/dev/null; check started-again active "$(show two ActiveState)"; $C rm -f two >/dev/null
for n in 1 2 3; do
    run --name oom -m 16m --memory-swap 16m base dd if=/dev/zero of=/dev/null bs=100M >/dev/null
    check oom-$n "true 137" "$($C inspect -f '{{.State.OOMKilled}} {{.State.ExitCode}}' oom)"; $C rm oom >/dev/null
done
mkdir /tmp/context; printf 'FROM base\nRUN sleep 8\n' >/tmp/context/Dockerfile
contains build-no-slice "$NOT" "$($C build --network none --cgroup-parent /mine /tmp/context 2>&1)"
$C build -q --network none --cgroup-parent steps.slice /tmp/context >/dev/null 2>&1 &
for _ in $(seq 60); do found=$(ls /sys/fs/cgroup/steps.slice 2>/dev/null | grep -o 'clipper-.*scope') && break; sleep 0.2; done
check build "${found:-none} steps.slice" "$(scopes | awk '{print $1}') $(systemctl show "$found" -p Slice --value)"
wait $!; check build-ends 0 $?
check nothing-left "" "$(scopes)"
down -TERM
echo finished
