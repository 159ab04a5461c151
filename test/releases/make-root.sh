#!/bin/sh
# Unpacks a Debian release with what the tests on a real host need: NGINX, certbot, the test CA. Does nothing if it is there. Needs root.
#
#     sh test/releases/make-root.sh RELEASE ROOT
set -eu
release=$1 root=$2
mirror=${DEBIAN_MIRROR:-http://deb.debian.org}
if [ -e "$root/.complete" ]; then exit 0; fi
rm -rf "$root"
mkdir -p "$root"
debootstrap --variant=minbase "$release" "$root" "$mirror/debian"
printf 'deb %s/debian %s main\ndeb %s/debian-security %s-security main\n' "$mirror" "$release" "$mirror" "$release" >"$root/etc/apt/sources.list"
# No service starts in it.
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
cp /etc/resolv.conf "$root/etc/resolv.conf"
chroot "$root" apt-get update -q
chroot "$root" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends nginx-light certbot pebble openssl curl procps
touch "$root/.complete"
