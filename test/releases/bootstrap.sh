#!/bin/sh
# Unpacks a bare Debian release, as its installer would leave it, with the package lists of today. Does nothing if it is there. Needs root.
#
#     sh test/releases/bootstrap.sh RELEASE ROOT [option of debootstrap ...]
set -eu
release=$1 root=$2
shift 2
mirror=${DEBIAN_MIRROR:-http://deb.debian.org}
if [ -e "$root/.unpacked" ]; then exit 0; fi
rm -rf "$root"
mkdir -p "$root"
debootstrap "$@" "$release" "$root" "$mirror/debian"
printf 'deb %s/debian %s main\ndeb %s/debian-security %s-security main\n' "$mirror" "$release" "$mirror" "$release" >"$root/etc/apt/sources.list"
cp /etc/resolv.conf "$root/etc/resolv.conf"
# What this machine trusts beyond Debian's certificates, for npm.
if [ -n "${NODE_EXTRA_CA_CERTS:-}" ]; then install -D -m 644 "$NODE_EXTRA_CA_CERTS" "$root/etc/ssl/extra-ca.pem"; fi
# It is thrown away after a crash.
echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/unsafe-io"
chroot "$root" apt-get update -q
touch "$root/.unpacked"
