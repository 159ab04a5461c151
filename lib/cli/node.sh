#!/bin/sh
# Runs Node with these arguments: the machine's, or else the one that fixtures/setup.sh has put into this clone, which is then first in PATH
# for its child processes. SIGUSR1 never opens Node's debugger. Exit status 69 if no Node is new enough (EX_UNAVAILABLE, sysexits.h).
#
#     sh lib/cli/node.sh FILE ...
MINIMUM_NODE='22.18'
own=$(dirname "$(readlink -f "$0")")/../../.node/bin

is_new_enough() {
  version=$("$1" --version 2>/dev/null) || return 1
  version=${version#v}
  minor=${version#*.}
  major=${version%%.*}
  minor=${minor%%.*}
  [ "$major" -gt "${MINIMUM_NODE%.*}" ] || { [ "$major" -eq "${MINIMUM_NODE%.*}" ] && [ "$minor" -ge "${MINIMUM_NODE#*.}" ]; }
}

if is_new_enough node; then exec node --disable-sigusr1 "$@"; fi
if is_new_enough "$own/node"; then
  PATH=$(readlink -f "$own"):$PATH
  export PATH
  exec node --disable-sigusr1 "$@"
fi
echo "Node.js $MINIMUM_NODE or newer is missing: install it, or run fixtures/setup.sh, which fetches one" >&2
exit 69
