#!/bin/bash
# The first process of private namespaces (mount, pid, ipc, uts, cgroup, and net unless packages are wanted). It makes ROOT
# the root, with what a kernel gives and nothing of the machine but FOLDERs, read-only, runs the command, and is the
# parent of whatever that leaves behind. All of it ends with this process.
# Usage: enter.sh ROOT NAME [FOLDER...] -- COMMAND...
set -eu
root=$1 name=$2
shift 2
mount --make-rprivate /
mount --bind "$root" "$root"
cd "$root"
while [ "$1" != -- ]; do
    mkdir -p "./$1"
    mount --bind -o ro "$1" "./$1"
    shift
done
shift

mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777,size=4g tmpfs tmp
mount -t tmpfs -o mode=755,size=1m tmpfs dev
for node in null zero full random urandom tty; do
    touch "dev/$node"
    mount --bind "/dev/$node" "dev/$node"
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=666,mode=620 devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
for number in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${number%:*}" "dev/${number#*:}"; done
echo "$name" > proc/sys/kernel/hostname

pivot_root . mnt
cd /
umount --lazy /mnt
# Not yet there when packages are installed for the first time; then the network is the machine's.
if command -v ip > /dev/null; then ip link set lo up; fi
code=0
"$@" < /dev/null || code=$?
exit $code
