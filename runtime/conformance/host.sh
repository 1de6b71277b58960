#!/bin/sh
# The host's side of a comparison: a chroot of the tree, read-only, in namespaces of its own, with what `isopod spec` gives a container:
# a tmpfs on /tmp, proc, sysfs, devices, and the cases' folder on /mnt. Everything it mounts ends with its mount namespace.
# MORE_CAPABILITIES (",+sys_admin") adds to the capabilities; only for programs that stay inside their mount namespace.
# Usage: unshare -mpfuin --propagation private sh host.sh TREE CASES POINT ro|rw PROGRAM ARGUMENTS...
set -e
tree=$1 cases=$2 point=$3 mode=$4
shift 4
ip link set lo up
mount --bind "$tree" "$point"
mount -o remount,bind,ro "$point"
mount -t proc proc "$point/proc"
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs "$point/sys"
# This network namespace's own; a container's may ping, too.
echo '0 2147483647' >"$point/proc/sys/net/ipv4/ping_group_range"
# Device nodes of its own: the cases run as root, and one that removes or changes /dev/null must not do it to the machine's.
mount -t tmpfs -o mode=755 tmpfs "$point/dev"
for node in null:3 zero:5 full:7 random:8 urandom:9; do
	mknod -m 666 "$point/dev/${node%:*}" c 1 "${node#*:}"
done
mknod -m 666 "$point/dev/tty" c 5 0
mkdir "$point/dev/pts"
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts "$point/dev/pts"
ln -s pts/ptmx "$point/dev/ptmx"
mkdir -m 1777 "$point/dev/shm"
ln -s /proc/self/fd "$point/dev/fd"
for link in stdin:0 stdout:1 stderr:2; do
	ln -s "/proc/self/fd/${link#*:}" "$point/dev/${link%:*}"
done
mount -t tmpfs -o mode=1777 tmpfs "$point/tmp"
mount --bind "$cases" "$point/mnt"
[ "$mode" = rw ] || mount -o remount,bind,ro "$point/mnt"
cd /
umask 022
ulimit -n 1024
kept=-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,+sys_chroot${MORE_CAPABILITIES:-}
exec setpriv --bounding-set "$kept" --inh-caps -all --no-new-privs \
	env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LANG=C.UTF-8 TERM=xterm \
	chroot "$point" "$@"
