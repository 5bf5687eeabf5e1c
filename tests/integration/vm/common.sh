# Checks in the machine with cgroup v2; sourced. Each prints `ok NAME` or `FAILED NAME: what was found`.
R=/payload/clipper-runtime
check() { # check NAME WANTED FOUND
    if [ "$2" = "$3" ]; then echo "ok $1"; else echo "FAILED $1: wanted '$2', found '$3'"; fi
}
contains() { # contains NAME PART FOUND
    case "$3" in *"$2"*) echo "ok $1" ;; *) echo "FAILED $1: no '$2' in '$3'" ;; esac
}
bundle() { # bundle NAME: in /tmp/NAME, with the config.json that the test made for it
    mkdir -p "/tmp/$1/rootfs" && cp /payload/busybox "/tmp/$1/rootfs/" && cp "/payload/$1.json" "/tmp/$1/config.json" && cd "/tmp/$1"
}
end() { $R delete -f "$1"; }
up() { # up [GLOBAL OPTION] COMMAND...: what it says; the container that lives on must not hold the pipe that is read here
    $R "$@" </dev/null >/tmp/up.log 2>&1
    cat /tmp/up.log
}
