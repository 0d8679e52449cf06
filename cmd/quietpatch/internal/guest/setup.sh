#!/usr/bin/env bash
# Installs what the guest tests need: QEMU and a static busybox, as Debian packages, and the
# kernels, of which only the image is unpacked into a cache folder and nothing is installed.
# Does nothing if all is there. Works on Debian; elsewhere the tests are skipped.
set -euo pipefail

cache=${QUIETPATCH_GUEST_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/quietpatch/guest}
versions="6.1 6.12"
# Debian 12 has 6.1, and 6.12 as a backport. The images boot on any host.
suites="bookworm bookworm-backports"

fail() { echo "$0: $*" >&2; exit 1; }

install_tools() {
	local missing=()
	command -v qemu-system-x86_64 >/dev/null || missing+=(qemu-system-x86)
	[ -x /bin/busybox ] || missing+=(busybox-static)
	[ ${#missing[@]} -gt 0 ] || return 0
	[ "$(id -u)" = 0 ] || fail "as root: apt-get install --no-install-recommends ${missing[*]}"
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
}

# sources writes a copy of the system's entry for its own Debian release that names other
# suites: the same mirror, the same keys.
sources() {
	local own=$1 file
	for file in /etc/apt/sources.list.d/*.sources; do
		[ -f "$file" ] || continue
		awk -v RS= -v ORS='\n\n' "/(^|\n)Suites:[^\n]*[ \t]$own([ \t]|\n|\$)/" "$file" |
			sed -E "s/^Suites:.*/Suites: $suites/" >>"$tmp/etc/debian.sources"
	done
	for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
		[ -f "$file" ] || continue
		for suite in $suites; do
			sed -nE "s/^(deb .*[^ \t])[ \t]+$own[ \t]/\1 $suite /p" "$file" >>"$tmp/etc/debian.list"
		done
	done
	cat "$tmp"/etc/* 2>/dev/null | grep -q . || fail "no entry for $own in the sources of apt"
}

# with_sources runs a command of apt with these sources, and with folders of its own.
with_sources() {
	local cmd=$1
	shift
	"$cmd" -qq -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$tmp/etc" -o Dir::State::lists="$tmp/lists" \
		-o Dir::Cache="$tmp/cache" -o APT::Sandbox::User="$(id -un)" -o Acquire::Languages=none "$@"
}

kernel() {
	local version=$1 package
	package=$(with_sources apt-cache pkgnames "linux-image-$version" |
		grep -E "^linux-image-${version//./\\.}[.-][^ ]*-cloud-amd64\$" | sort -V | tail -n 1)
	[ -n "$package" ] || fail "no kernel $version among the packages of $suites"
	(cd "$tmp" && with_sources apt-get download "$package")
	dpkg-deb --extract "$tmp/$package"_*.deb "$tmp/$version"
	mv "$tmp/$version"/boot/vmlinuz-* "$cache/vmlinuz-$version"
	echo "kernel $version: $package"
}

install_tools
mkdir -p "$cache"
missing=()
for version in $versions; do
	[ -s "$cache/vmlinuz-$version" ] || missing+=("$version")
done
[ ${#missing[@]} -gt 0 ] || exit 0

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$tmp/etc" "$tmp/lists/partial" "$tmp/cache"
# shellcheck source=/dev/null
. /etc/os-release
[ "${ID:-}" = debian ] || fail "kernels are taken from Debian's packages, and this is ${PRETTY_NAME:-not Debian}"
sources "$VERSION_CODENAME"
with_sources apt-get update
for version in "${missing[@]}"; do
	kernel "$version"
done
