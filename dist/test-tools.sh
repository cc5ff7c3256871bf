#!/bin/sh
# Installs what the tests need besides Go: by apt where this is root on Debian,
# else it says what is missing. Tests that lack their tool say so and are skipped.
# Servers among the tools are not started, now or when the machine starts, and a
# machine that has a mail server of its own keeps it.
set -eu

missing=""
add() { case "$missing " in *" $1 "*) ;; *) missing="$missing $1" ;; esac; }
need() { command -v "$1" >/dev/null 2>&1 || add "$2"; }
module() { perl -M"$1" -e 1 >/dev/null 2>&1 || add "$2"; }

# Pages, proofs, containers.
need chromium chromium
need npm npm
need zstd zstd
need openssl openssl
# Mail programs.
need swaks swaks
need curl curl
need python3 python3
need mbsync isync
need offlineimap offlineimap3
need neomutt neomutt
need script bsdutils
module Net::SSLeay libnet-ssleay-perl # swaks with TLS
module IO::Socket::SSL libio-socket-ssl-perl
module Authen::SASL libauthen-sasl-perl
# Servers, each on a network of the tests' own.
need rspamd rspamd
need opendkim opendkim
need unshare util-linux
need ip iproute2
if ! command -v postfix >/dev/null 2>&1 && [ ! -e /usr/sbin/postfix ]; then
  if [ -e /usr/sbin/sendmail ]; then # The package would take the place of that server's.
    echo "this machine has another mail server than Postfix, which stays: tests with Postfix are skipped"
  else
    add postfix
  fi
fi

[ -z "$missing" ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "missing:$missing (as root: apt-get install$missing); tests that need them are skipped"
  exit 0
fi

# Packages ask policy-rc.d before they start a service: for the time of the
# installation it says no. One that is there already is put back.
policy=/usr/sbin/policy-rc.d
aside=$policy.put-aside-by-sijill-tests
restore() {
  rm -f "$policy"
  if [ -e "$aside" ]; then mv "$aside" "$policy"; fi
}
trap restore EXIT
trap 'exit 1' HUP INT TERM
if [ -e "$policy" ] && [ ! -e "$aside" ]; then mv "$policy" "$aside"; fi
printf '#!/bin/sh\nexit 101\n' >"$policy"
chmod 755 "$policy"

echo "installing:$missing"
# shellcheck disable=SC2086
if ! { apt-get update -qq &&
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends --no-remove $missing >/dev/null; }; then
  echo "not all of it could be installed: tests that lack their tool are skipped"
fi
for service in postfix rspamd opendkim; do
  case "$missing " in *" $service "*)
    if command -v systemctl >/dev/null 2>&1; then systemctl --quiet disable "$service" || true; fi ;;
  esac
done
