#!/bin/sh
# Runs a command in the root of another Debian, in namespaces of its own: nothing stays mounted or running. The devices are its own, too.
# Needs root.
#
#     [OFFLINE=1] [BINDS=SOURCE:TARGET] sh test/releases/enter.sh ROOT USER DIRECTORY COMMAND ...
#
# With OFFLINE it has a network of its own, with nothing but loopback. BINDS has one mount a line.
set -eu
if [ "$1" != '--inside' ]; then
  net=$([ -z "${OFFLINE:-}" ] || echo --net)
  # shellcheck disable=SC2086 # an option, or none
  exec unshare --mount --pid --fork --kill-child --propagation private $net sh "$0" --inside "$@"
fi
root=$2 user=$3 directory=$4
shift 4
[ -z "${OFFLINE:-}" ] || ip link set lo up
# A mount point, so that a command can make further mount namespaces inside.
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0; do
  minor=${device##*:} major=${device#*:}
  mknod -m 666 "$root/dev/${device%%:*}" c "${major%:*}" "$minor"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666,mode=620 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
for stream in stdin:0 stdout:1 stderr:2; do ln -s "fd/${stream#*:}" "$root/dev/${stream%:*}"; done
printf '%s' "${BINDS:-}" | while IFS= read -r bind || [ -n "$bind" ]; do
  source=${bind%%:*} target=$root${bind#*:}
  if [ -d "$source" ]; then mkdir -p "$target"; else : >>"$target"; fi
  mount --bind "$source" "$target"
done
home=/root
[ "$user" = root ] || home=/home/$user
extra=$([ ! -e "$root/etc/ssl/extra-ca.pem" ] || echo NODE_EXTRA_CA_CERTS=/etc/ssl/extra-ca.pem)
# As a machine has it: in a root of chroot(2) nobody could make a user namespace (user_namespaces(7)).
cd "$root"
pivot_root . .
umount -l .
# shellcheck disable=SC2016,SC2086 # the inner shell expands; an assignment, or none
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME="$home" USER="$user" LANG=C.UTF-8 $extra \
  chroot --userspec="$user:$user" / sh -c 'cd "$0" && exec "$@"' "$directory" "$@"
