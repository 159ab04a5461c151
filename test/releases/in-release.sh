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
mount --rbind /dev "$root/dev"
mount --rbind /sys "$root/sys"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs tmpfs "$root/run"
# A clone below /tmp is in what was just covered.
mkdir -p "$root$clone"
mount --bind "$clone" "$root$clone"
mount --bind "$node" "$root/usr/local/bin/node"
exec chroot "$root" env -i PATH=/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin HOME=/root LANG=C.UTF-8 sh -c 'cd "$0" && exec "$@"' "$clone" "$@"
