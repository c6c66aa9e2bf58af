#!/bin/bash
# The first process of private namespaces (mount, pid, cgroup, network). It makes them look like a machine on which one
# user is logged in, starts journald and that user's systemd, and ends when its standard input closes; the kernel then
# ends everything else in here, so nothing outlives the tests, however they end.
# Usage: boot.sh UID HOME VENV SCRIPTS   (folders of the machine, all seen from outside)
set -eu
uid=$1 home=$2 venv=$3 scripts=$4
user=gateway
slice=/sys/fs/cgroup/user.slice/user-$uid.slice

mount --make-rprivate /
umount --recursive /sys/fs/cgroup || true
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ip link set lo up

# Everything from the machine is bound into the new /run first: what comes after may hide the place where it lies.
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/e2e/home /run/e2e/venv /run/e2e/scripts
mount --bind "$home" /run/e2e/home
mount --bind "$venv" /run/e2e/venv
mount --bind "$scripts" /run/e2e/scripts
chown "$uid:$uid" /run/e2e/home
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t tmpfs -o mode=755 tmpfs /home
mount -t tmpfs -o mode=755 tmpfs /var/log
mkdir "/home/$user"
mount --bind /run/e2e/home "/home/$user"

{ echo "$user:x:$uid:$uid::/home/$user:/bin/bash"; cat /etc/passwd; } > /run/e2e/passwd
{ echo "$user:x:$uid:"; cat /etc/group; } > /run/e2e/group
mount --bind /run/e2e/passwd /etc/passwd
mount --bind /run/e2e/group /etc/group

# Persistent storage (on the tmpfs above) because only there journald gives each user a journal that he may read.
mkdir -p /run/systemd/system /run/systemd/journal /run/systemd/journald.conf.d /var/log/journal
touch /run/systemd/journal/flushed
printf '[Journal]\nStorage=persistent\nReadKMsg=no\nAudit=no\nRateLimitIntervalSec=0\nSyncIntervalSec=0\n' \
    > /run/systemd/journald.conf.d/e2e.conf
/lib/systemd/systemd-journald &

# Where systemd puts together what a unit with a mount namespace sees (252; later versions). Pid 1 makes them.
mkdir -p /run/systemd/unit-root /run/systemd/mount-rootfs

# The cgroups that logind would make, by the names that systemd and journald look for.
mkdir -p "$slice/user@$uid.service" "$slice/session-1.scope" "/run/user/$uid"
chown -R "$uid:$uid" "$slice/user@$uid.service" "/run/user/$uid"
chmod 700 "/run/user/$uid"
(
    echo "$BASHPID" > "$slice/user@$uid.service/cgroup.procs"
    ulimit -Sn 1024 # what user@.service gives
    cd /
    exec env -i HOME="/home/$user" USER="$user" LOGNAME="$user" SHELL=/bin/bash LANG=C.UTF-8 \
        PATH=/usr/local/bin:/usr/bin:/bin XDG_RUNTIME_DIR="/run/user/$uid" \
        setpriv --reuid "$uid" --regid "$uid" --clear-groups --inh-caps=-all \
        /lib/systemd/systemd --user --log-target=journal
) &
manager=$!
cat <&0 >/dev/null &
wait -n "$manager" $!
kill -0 "$manager" 2>/dev/null && exit
echo "the user manager ended; the journal says:"
journalctl --no-pager --lines=30
