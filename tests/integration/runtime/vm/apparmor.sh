# AppArmor: what clipper-runtime makes of a bundle's profile, beside runc, and what clipperd gives its containers.
. /payload/common.sh
mount -t securityfs securityfs /sys/kernel/security
profiles=/sys/kernel/security/apparmor/profiles
load() { # load NAME [RULE]: a profile that allows everything else
    printf 'profile %s flags=(attach_disconnected,mediate_deleted) {\n %s\n' "$1" "$2"
    printf ' %s,\n' file network capability mount umount pivot_root signal ptrace change_profile; echo '}'
}
remove() { echo "profile $1 { }" | apparmor_parser -R; }
load clp-mine 'deny /dev/denied w,' | apparmor_parser -Kr
load clp-other | apparmor_parser -Kr

for R in /payload/clipper-runtime runc; do
    n=${R##*/}
    bundle one
    up run -d one >/dev/null
    check $n-first "clp-mine (enforce)" "$(cat /proc/$($R state one | sed -n 's/.*"pid": *\([0-9]*\).*/\1/p')/attr/current)"
    check $n-exec "clp-mine (enforce)" "$($R exec one /busybox cat /proc/self/attr/current 2>&1)"
    check $n-exec-other "clp-other (enforce)" "$($R exec --apparmor clp-other one /busybox cat /proc/self/attr/current 2>&1)"
    check $n-exec-out "unconfined" "$($R exec --apparmor unconfined one /busybox cat /proc/self/attr/current 2>&1)"
    check $n-exec-sealed "clp-mine (enforce)" "$($R exec --no-new-privs one /busybox cat /proc/self/attr/current 2>&1)"
    contains $n-exec-unknown "no such file or directory" "$($R exec --apparmor clp-nothere one /busybox true 2>&1)"
    contains $n-rule "Permission denied" "$($R exec one /busybox touch /dev/denied 2>&1)"
    end one
    for name in sealed mapped; do
        bundle $name; chown -R 1000:1000 rootfs
        check $n-$name "clp-mine (enforce)" "$($R run $name 2>&1)"
    done
    bundle unconfined
    check $n-unconfined unconfined "$($R run unconfined 2>&1)"
    bundle unknown
    contains $n-unknown "no such file or directory" "$($R run unknown 2>&1)"
    bundle rootless; chown -R 1000:1000 /tmp/rootless
    check $n-rootless "clp-mine (enforce)" \
        "$(setpriv --reuid 1000 --regid 1000 --clear-groups env XDG_RUNTIME_DIR=/tmp/rootless $R --root /tmp/rootless/state run rootless 2>&1)"
done
bundle unknown
contains names-the-profile "apparmor profile clp-nothere, which is not loaded" "$(/payload/clipper-runtime run unknown 2>&1)"

# The daemon.
export CLIPPER_HOST=unix:///run/d.sock
C=/payload/clipper
start() { # start [BEFORE...]: the daemon, until it answers
    LD_LIBRARY_PATH=/payload "$@" /payload/clipperd --data-root /payload/data --exec-root /run/clipper --add-runtime runc="$(command -v runc)" \
        -H $CLIPPER_HOST --pidfile /run/d.pid </dev/null >>/tmp/clipperd.log 2>&1 &
    daemon=$!
    for _ in $(seq 600); do $C version >/dev/null 2>&1 && return; sleep 0.1; done
    echo "FAILED clipperd does not answer: $(tail -n 5 /tmp/clipperd.log)"; exit 1
}
stop() { kill $daemon; wait $daemon; }
loaded() { grep -c '^docker-default (enforce)$' $profiles; }
profile() { $C inspect -f '{{.AppArmorProfile}}' "$1"; }
start
check loads-at-start 1 "$(loaded)"
contains info "[name=apparmor name=seccomp" "$($C info -f '{{.SecurityOptions}}')"
case "$($C info -f '{{.Warnings}}')" in *AppArmor*) echo "FAILED no-warning" ;; *) echo "ok no-warning" ;; esac
$C import /payload/base.tar base >/dev/null
ran() { $C run --rm --network none "$@" 2>&1; }
attr() { ran "$@" base cat /proc/self/attr/current; }

$C create --network none --name one base sleep 1000 >/dev/null
check created "" "$(profile one)"
$C start one >/dev/null
check started docker-default "$(profile one)"
check exec "docker-default (enforce)" "$($C exec one cat /proc/self/attr/current)"
check exec-privileged "docker-default (enforce)" "$($C exec --privileged one cat /proc/self/attr/current)"
check bridged "docker-default (enforce)" "$($C run --rm -t base cat /proc/self/attr/current | tr -d '\r')"
check with-init "docker-default (enforce)" "$(attr --init)"
check read-only-sealed "docker-default (enforce)" "$(attr --read-only --security-opt no-new-privileges)"
check by-runc "docker-default (enforce)" "$(attr --runtime runc)"
check unconfined unconfined "$(attr --security-opt apparmor=unconfined)"
check privileged unconfined "$(attr --privileged)"
contains privileged-told "profile clp-mine is not applied" "$(attr --privileged --security-opt apparmor=clp-mine)"
check named "clp-mine (enforce)" "$(attr --security-opt apparmor=clp-mine)"
check named-last "docker-default (enforce)" "$(attr --security-opt apparmor=clp-mine --security-opt apparmor=)"
contains named-rule "Permission denied" "$(ran --security-opt apparmor=clp-mine base touch /dev/denied)"
contains named-unknown "apparmor profile clp-nothere, which is not loaded" "$($C run --name two --security-opt apparmor=clp-nothere base true 2>&1)"
check named-unknown-shown "clp-nothere 128" "$(profile two) $($C inspect -f '{{.State.ExitCode}}' two)"
mkdir /tmp/context; printf 'FROM base\nRUN cat /proc/self/attr/current >/found\n' >/tmp/Dockerfile
$C build -q --network none -t built -f /tmp/Dockerfile /tmp/context >/dev/null
check build "docker-default (enforce)" "$(ran built cat /found)"

# What is denied is denied by the profile alone: without it, all of it works.
opened='for f in /proc/sysrq-trigger /proc/irq/default_smp_affinity /proc/sys/vm/swappiness /proc/sys/fs/file-max /proc/sys/kernel/sysrq
    /proc/sys/kernel/core_pattern /proc/sys/kernel/msgmax /proc/sys/kernel/sem /proc/sys/kernel/shmmax /proc/sys/kernel/shm_rmid_forced
    /proc/1/oom_score_adj /proc/self/comm /sys/kernel/profiling /sys/module/overlay/parameters/metacopy /sys/fs/cgroup/cgroup.procs; do
    (: >>$f) 2>/dev/null && echo $f; done; head -c 1 /proc/kcore >/dev/null 2>&1 && echo /proc/kcore'
opened=$(echo "$opened" | tr '\n' ' ')
allowed="/proc/sys/kernel/sem /proc/sys/kernel/shmmax /proc/sys/kernel/shm_rmid_forced /proc/1/oom_score_adj /proc/self/comm /sys/fs/cgroup/cgroup.procs"
writable="--security-opt systempaths=unconfined --cap-add ALL --cgroupns private"
# /sys is mounted read-only for all but the privileged: once more, writable.
inside="mount -o remount,rw /sys 2>/dev/null; mount -o remount,rw /sys/fs/cgroup 2>/dev/null; $opened"
check writes "${allowed% *}" "$(ran $writable base sh -c "$opened" | tr '\n' ' ' | sed 's/ $//')"
check writes-unconfined 16 "$(ran $writable --security-opt apparmor=unconfined --security-opt seccomp=unconfined base sh -c "$inside" | wc -l)"
# The rules for /sys, where it is writable: a privileged container that takes the profile itself.
check writes-sys "$allowed" "$(ran --privileged base sh -c 'echo exec docker-default >/proc/self/attr/exec; exec sh -c "$0"' "$opened" | tr '\n' ' ' | sed 's/ $//')"
mounts='mount -t tmpfs t /tmp 2>/dev/null && echo mounted; umount /dev/shm && echo unmounted'
check mount unmounted "$(ran --cap-add SYS_ADMIN --security-opt seccomp=unconfined base sh -c "$mounts")"
check mount-unconfined "mounted unmounted" \
    "$(ran --cap-add SYS_ADMIN --security-opt seccomp=unconfined --security-opt apparmor=unconfined base sh -c "$mounts" | xargs)"
check each-other "143 1" "$(ran base sh -c 'exec 2>/dev/null; sleep 100 & readlink /proc/$!/exe | grep -c /bin/; kill $!; wait $!; echo $?' | sort -r | xargs)"
$C exec one true && $C kill -s TERM one >/dev/null; $C kill one >/dev/null; check killed 137 "$($C wait one)"

# This kernel is too old for root filesystems that are mounted nowhere: what that takes away is refused.
mkdir /run/shared; mount -t tmpfs --make-shared shared /run/shared
contains shared "propagation shared before Linux 6.7" "$(ran -v /run/shared:/shared:shared base true)"
check slave given "$(ran -v /run/shared:/shared:slave base echo given)"

# Something has unloaded the profile: the next container, and the next command, have it again.
$C start one >/dev/null
remove docker-default; check removed 0 "$(loaded)"
check loads-for-exec "docker-default (enforce)" "$($C exec one cat /proc/self/attr/current)"
remove docker-default
check loads-for-run "docker-default (enforce)" "$(attr)"
remove docker-default
$C build -q --no-cache --network none -t built -f /tmp/Dockerfile /tmp/context >/dev/null
check loads-for-build "docker-default (enforce)" "$(ran built cat /found)"

# A daemon with a profile of its own: its signals arrive, and nobody inherits its profile.
stop; remove docker-default
load clp-daemon | apparmor_parser -Kr
start aa-exec -p clp-daemon --
check daemon "clp-daemon (enforce)" "$(cat /proc/$daemon/attr/current)"
check confined "docker-default (enforce)" "$(attr)"
check not-inherited unconfined "$(attr --privileged)"
$C run -d --network none --name three base sleep 1000 >/dev/null; $C kill three >/dev/null; check daemon-kills 137 "$($C wait three)"

# Without a parser: containers run, and it is told; what is asked for by name is still given.
parser=$(command -v apparmor_parser); stop; remove docker-default
mv "$parser" /tmp/parser; start
contains told "apparmor_parser is not installed: containers run without the AppArmor profile docker-default" "$($C info -f '{{.Warnings}}')"
check without unconfined "$(attr)"
check without-named "clp-mine (enforce)" "$(attr --security-opt apparmor=clp-mine)"
/tmp/parser -Kr /run/clipper/apparmor-docker-default
check loaded-by-hand "docker-default (enforce)" "$(attr)"
mv /tmp/parser "$parser"; $C rm -f one two three >/dev/null; stop
echo finished
