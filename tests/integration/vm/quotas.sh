# Project quotas through clipperd: on xfs with pquota, on ext4 with prjquota, and where there are none.
. /payload/common.sh
modprobe -a loop xfs quota_v2
export LD_LIBRARY_PATH=/payload
NOT="--storage-opt is supported only for overlay over xfs with 'pquota' mount option"
disk() { # disk NAME OPTION MKFS...: a filesystem of its own, mounted on /NAME
    truncate -s 400M "/tmp/$1.img" && mkdir "/$1" && "${@:3}" -q "/tmp/$1.img" && mount -o "loop,$2" "/tmp/$1.img" "/$1"
}
up() { # up NAME ROOT [OPTION...]: a daemon; `c` asks it from now on
    N=$1
    /payload/clipperd --data-root "$2" --exec-root "/run/$1" -H "unix:///run/$1.sock" --pidfile "/run/$1.pid" \
        --cgroup-parent "/$1" "${@:3}" >"/tmp/$1.log" 2>&1 </dev/null &
    D=$!
    for _ in $(seq 300); do c version >/dev/null 2>&1 && return; kill -0 $D || break; sleep 0.2; done
    echo "FAILED start-$1: $(tail -n 3 "/tmp/$1.log")"
}
down() { kill "${1:--TERM}" $D; wait $D 2>/dev/null; rm -f "/run/$N.pid"; }
c() { /payload/clipper -H "unix:///run/$N.sock" "$@"; }
run() { c run --network none "$@" 2>&1; }
load() { c import /payload/base.tar base >/dev/null; }
# The project whose limit a directory has, and what is written down of it: blocks of 1 KiB.
project() { lsattr -dp "$1" | awk '{print $1}'; }
limit() { xfs_quota -x -c "quota -p -N -b -v $1" "$2" 2>/dev/null | awk 'END {print $3 + 0}'; }
upper() { c inspect -f '{{index .GraphDriver.Data "UpperDir"}}' "$1"; }
fill() { echo "dd if=/dev/zero of=$1 bs=1M count=40 2>&1; stat -c %s $1; df -k $1 | tail -n 1 | awk '{print \$2}'"; }
fills() { # fills NAME KIBIBYTES TEXT FOUND: the limit was met, with this error, and df has it
    contains "$1-error" "$3" "$4"
    set -- "$1" "$2" $(echo "$4" | tail -n 2)
    check "$1-df" "$2" "$4"
    if [ "$3" -gt $(($2 * 800)) ] && [ "$3" -le $(($2 * 1024)) ]; then echo "ok $1-size"; else echo "FAILED $1-size: $3"; fi
}

disk xfs pquota mkfs.xfs
disk ext prjquota mkfs.ext4 -O quota,project
disk none defaults mkfs.xfs
head -c 30000000 /dev/urandom >/tmp/large

up one /xfs/one; load
contains backing "Backing Filesystem: xfs" "$(c info)"
contains types "Supports d_type: true" "$(c info)"
fills run 20480 "No space left" "$(run --name ca --storage-opt size=20m base sh -c "$(fill /big)")"
check inspect 'map[size:20m]' "$(c inspect -f '{{.HostConfig.StorageOpt}}' ca)"
check project 1073741824 "$(project "$(upper ca)")"
check project-of-work 1073741824 "$(project "$(dirname "$(upper ca)")/work")"
check limit 20480 "$(limit 1073741824 /xfs)"
# What the limit is of: the image's files are not counted, the log is not, and whoever writes is.
check commit 0 "$(c commit ca full >/dev/null 2>&1; echo $?)"
check committed 1 "$(run --rm full sh -c 'test $(stat -c %s /big) -gt 16000000 && echo 1')"
contains again "No space left" "$(c start -a ca; c logs ca 2>&1)"
run -d --name cb --storage-opt size=10M base sleep 10000 >/dev/null
check next-project 1073741825 "$(project "$(upper cb)")"
contains cp-running "no space left" "$(c cp /tmp/large cb:/ 2>&1)"
c exec cb rm -f /large
c create --name stopped --network none --storage-opt size=8m base true >/dev/null
check cp-fits 0 "$(head -c 1000000 /dev/zero >/tmp/small; c cp /tmp/small stopped:/small >/dev/null 2>&1; echo $?)"
contains cp-stopped "no space left" "$(c cp /tmp/large stopped:/ 2>&1)"
check no-limit 0 "$(run --rm --storage-opt size=0 base dd if=/dev/zero of=/x bs=1M count=30 >/dev/null 2>&1; echo $?)"
for size in nonsense 1x -1; do contains "invalid-$size" "invalid s" "$(c create --storage-opt size=$size base true 2>&1)"; done
contains unknown "Unknown option foo" "$(c create --storage-opt foo=1 base true 2>&1)"

# Volumes.
c volume create --opt size=12m vol >/dev/null
fills volume 12288 "No space left" "$(run --rm -v vol:/v base sh -c "$(fill /v/big)")"
V=$(c volume inspect -f '{{.Mountpoint}}' vol)
check volume-project 1073741827 "$(project "$V")"
contains volume-size "invalid size: 'much'" "$(c volume create --opt size=much wol 2>&1)"
contains volume-mounted "not what is mounted" "$(c volume create --opt size=1m --opt type=tmpfs --opt device=tmpfs wol 2>&1)"

# A daemon that dies and one beside it: limits stay, and nobody gets a number twice.
down -KILL; up one /xfs/one
contains after-kill "No space left" "$(c exec cb dd if=/dev/zero of=/more bs=1M count=40 2>&1)"
one=$D
up two /xfs/two; load
c create --name ce --storage-opt size=5m base true >/dev/null
check other-daemon 1073741828 "$(project "$(upper ce)")"
down; N=one; D=$one
c rm -f ca cb stopped >/dev/null; c volume rm vol >/dev/null
for _ in $(seq 50); do [ "$(limit 1073741825 /xfs)" = 0 ] && [ "$(limit 1073741824 /xfs)" = 0 ] && break; sleep 0.2; done
check released "0 0 0 0" "$(limit 1073741824 /xfs) $(limit 1073741825 /xfs) $(limit 1073741826 /xfs) $(limit 1073741827 /xfs)"
c create --name cf --storage-opt size=5m base true >/dev/null
check taken-again 1073741824 "$(project "$(upper cf)")"
check others-limit 5120 "$(limit 1073741828 /xfs)"
down

# The daemon's default, and mapped ids.
echo root:100000:65536 >/etc/subuid; cp /etc/subuid /etc/subgid
up three /xfs/three --storage-opt overlay2.size=15m --userns-remap root; load
fills mapped 15360 "No space left" "$(run --rm base sh -c "$(fill /big)")"
fills mapped-own 6144 "No space left" "$(run --rm --storage-opt size=6m base sh -c "$(fill /big)")"
down

# ext4, which has its own word for it.
up four /ext/four; load
contains ext-backing "Backing Filesystem: extfs" "$(c info)"
fills ext-run 20480 "quota exceeded" "$(run --name ca --storage-opt size=20m base sh -c "$(fill /big)")"
contains ext-cp "quota exceeded" "$(c cp /tmp/large ca:/ 2>&1)"
check ext-commit 0 "$(c commit ca full >/dev/null 2>&1; echo $?)"
c volume create --opt size=12m vol >/dev/null
fills ext-volume 12288 "quota exceeded" "$(run --rm -v vol:/v base sh -c "$(fill /v/big)")"
c rm ca >/dev/null; c volume rm vol >/dev/null; sleep 1
c create --name cf --storage-opt size=5m base true >/dev/null
check ext-taken-again 1073741824 "$(project "$(upper cf)")"
down

# No quotas here.
up five /none/five; load
contains not-here "$NOT" "$(c create --storage-opt size=5m base true 2>&1)"
contains no-volume "quota size requested but no quota support" "$(c volume create --opt size=5m vol 2>&1)"
check no-volume-left "" "$(c volume ls -q)$(ls -A /none/five/volumes)"
check nothing-left "" "$(ls -A /none/five/containers)"
down
contains no-default "overlay2.size not supported" "$(/payload/clipperd --data-root /none/six --exec-root /run/six --storage-opt overlay2.size=1g 2>&1)"
contains unknown-default "overlay2: unknown option overlay2.foo" "$(/payload/clipperd --storage-opt overlay2.foo=1 2>&1)"
echo finished
