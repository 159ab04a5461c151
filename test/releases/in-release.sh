#!/bin/sh
# Runs a command in the root of another Debian release, with this clone at its own path and this machine's Node. Needs root.
#
#     sh test/releases/in-release.sh ROOT NODE COMMAND ...
set -eu
root=$1 node=$2 clone=$(pwd)
shift 2
BINDS="$clone:$clone
$node:/usr/local/bin/node" exec sh test/releases/enter.sh "$root" root "$clone" "$@"
