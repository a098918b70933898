#!/bin/bash
# Runs a command of this checkout on a kernel of its own, where cgroup v2 is all there is: how the sandbox is checked
# with it on a machine that has v1, or no cgroups for its users. It needs no privilege and changes nothing here.
#
#   tests/judge/on_another_kernel.sh LINUX COMMAND [ARG...]
#
# LINUX is User Mode Linux, a kernel that runs as a process, 5.19 or newer. On Debian:
#   apt-get download user-mode-linux && dpkg-deb -x user-mode-linux_*.deb uml    (LINUX is uml/usr/bin/linux.uml)
#
# It has this machine's files, read-only, a /tmp of its own and one CPU. The command runs as root, in a cgroup that
# `nobody` may divide, too: as whom the hostile suite runs a second time. Programs compute as fast as they do here, but
# page faults and system calls take ten times as long or more, and so do compilers: see SLOWNESS in hostile_runner.py.
set -eu

if [ $$ != 1 ]; then
    kernel=$(realpath "$1")
    shift
    here=$(mktemp -d)
    trap 'rm -rf "$here"' EXIT
    printf '%q ' "$@" > "$here/command"
    "$kernel" quiet mem=3G rootfstype=hostfs rootflags=/ ro init="$(realpath "$0")" con=null con0=null,fd:1 \
        HERE="$here" TREE="$PWD" < /dev/null
    exit "$(cat "$here/status" || echo 125)"
fi

export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp PYTHONDONTWRITEBYTECODE=1
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs tmpfs /run
mkdir /run/here /run/tree
mount -t hostfs -o "$HERE" hostfs /run/here
mount --bind "$TREE" /run/tree
for folder in /tmp /dev/shm; do
    mkdir -p $folder
    mount -t tmpfs -o mode=1777 tmpfs $folder
done

# Groups with limits may hold no processes of their own, so these are in one beside those of the judge.
jobs=/sys/fs/cgroup/jobs
echo "+memory +pids" > /sys/fs/cgroup/cgroup.subtree_control
mkdir -p $jobs/mine
echo "+memory +pids" > $jobs/cgroup.subtree_control
chown nobody $jobs $jobs/cgroup.{procs,subtree_control} $jobs/mine $jobs/mine/cgroup.procs
echo $$ > $jobs/mine/cgroup.procs

cd /run/tree
status=0
bash /run/here/command || status=$?
echo $status > /run/here/status
echo o > /proc/sysrq-trigger
sleep 60
