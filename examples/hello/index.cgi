#!/bin/sh
# Served for every request of "/" by busybox httpd. One line a visit: appending is atomic, so no visit is lost.
echo "$(date -u '+%Y-%m-%dT%H:%M:%SZ') ${REMOTE_ADDR:-?}" >> /data/visits
visits=$(wc -l < /data/visits)

# cgroup v2, then v1. "max", and numbers near 2^63, mean that there is no limit.
memory=none
for file in /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes; do
    [ -r "$file" ] || continue
    bytes=$(cat "$file")
    case "$bytes" in
    max | ????????????????*) ;;
    *) memory="$((bytes / 1048576)) MiB" ;;
    esac
    break
done

printf 'Content-Type: text/html; charset=utf-8\r\nCache-Control: no-store\r\n\r\n'
sed -e "s/@VISITS@/$visits/" -e "s/@MEMORY@/$memory/" -e "s/@HOSTNAME@/$(hostname)/" -e "s/@PID@/$$/" "${SITE:-/srv/site}/index.tmpl"
