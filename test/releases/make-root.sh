#!/bin/sh
# Unpacks a Debian release with what the tests on a real host need: NGINX, certbot, the test CA. Does nothing if it is there. Needs root.
#
#     sh test/releases/make-root.sh RELEASE ROOT
set -eu
release=$1 root=$2
if [ -e "$root/.complete" ]; then exit 0; fi
sh test/releases/bootstrap.sh "$release" "$root" --variant=minbase
# No service starts in it.
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
chroot "$root" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends nginx-light certbot pebble openssl curl procps
touch "$root/.complete"
