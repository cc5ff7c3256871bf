#!/bin/sh
# Installs what the tests need besides Go: by apt where this is root on Debian,
# else it says what is missing. Tests that lack their tool say so and are skipped.
set -eu
missing=""
need() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
need chromium chromium
need swaks swaks
need zstd zstd
need npm npm
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "installing:$missing"
  apt-get update -qq
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing >/dev/null
else
  echo "missing:$missing (as root: apt-get install$missing); tests that need them are skipped"
fi
