#!/bin/sh
# The command proxy-manager of this clone; fixtures/setup.sh --install links it from /usr/local/bin.
here=$(dirname "$(readlink -f "$0")")
exec sh "$here/node.sh" "$here/main.ts" "$@"
