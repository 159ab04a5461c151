#!/bin/sh
# Runs a command in the root of another Debian release, with this clone at its own path and this machine's Node: in a mount namespace of its
# own, so that nothing stays mounted. Needs root.
#
#     sh test/releases/in-release.sh ROOT NODE COMMAND ...
set -eu
if [ "${1:-}" != '--mounted' ]; then exec unshare --mount --propagation private sh "$0" --mounted "$@"; fi
root=$2 node=$3
shift 3
clone=$(pwd)
mkdir -p "$root$clone"
: >>"$root/usr/local/bin/node"
mount --rbind /proc "$root/proc"
# Device nodes of its own: what a package of that release does to /dev must not reach this machine's.
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null:3 zero:5 full:7 random:8 urandom:9; do
  mknod -m 666 "$root/dev/${device%:*}" c 1 "${device#*:}"
done
mkdir -m 1777 "$root/dev/shm"
ln -s /proc/self/fd "$root/dev/fd"
for stream in stdin:0 stdout:1 stderr:2; do ln -s "fd/${stream#*:}" "$root/dev/${stream%:*}"; done
mount --rbind /sys "$root/sys"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs tmpfs "$root/run"
# A clone below /tmp is in what was just covered.
mkdir -p "$root$clone"
mount --bind "$clone" "$root$clone"
mount --bind "$node" "$root/usr/local/bin/node"
exec chroot "$root" env -i PATH=/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin HOME=/root LANG=C.UTF-8 sh -c 'cd "$0" && exec "$@"' "$clone" "$@"
