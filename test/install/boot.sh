#!/bin/sh
# Boots a root with its own systemd, processes and network (loopback only), in a control group of its own. Ends when the machine is off.
#
#     sh test/install/boot.sh ROOT NAME [option of systemd-nspawn ...]
set -eu
root=$1 name=$2
shift 2
# Version 2, and beside it the tree that systemd keeps on a machine with version 1.
for tree in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
  if [ -e "$tree/cgroup.procs" ]; then
    mkdir -p "$tree/$name"
    echo $$ >"$tree/$name/cgroup.procs"
  fi
done
export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
exec systemd-nspawn --quiet --boot --keep-unit --register=no --private-network --console=pipe --machine="$name" --directory="$root" "$@"
