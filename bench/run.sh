#!/bin/sh
# Measures Sijill beside the programs that users would otherwise pick, on this
# machine, in one run, on loopback only. Quote the ratios.
#
# usage: bench/run.sh BINARY [capture|checks|imap|submit|outbound|personal|import|search|audit|proof|idle]...
#
# The side-by-side scripts and the corpora stand beside the repository in
# ../shared (or $SIJILL_BENCH and $SIJILL_DATA). What is missing is said and left
# out. Capture, checks and imap need root, for Postfix and Dovecot. SCALE=20 makes
# checks, imap, submit, outbound and personal so many times smaller, to try them
# out; each of them ends by itself, after 15 minutes at the latest.
set -eu
bin=$(realpath "$1"); shift
here=$(cd "$(dirname "$0")/.." && pwd)
peers=${SIJILL_BENCH:-$here/../shared/bench}
data=${SIJILL_DATA:-$here/../shared/data}
export SIJILL_DATA="$data"
[ $# -gt 0 ] || set -- capture checks imap submit outbound personal import search audit proof idle

# Each part runs by itself: what fails in one doesn't keep the others away.
if [ $# -gt 1 ]; then
  failed=0
  for what in "$@"; do sh "$0" "$bin" "$what" || { echo "FAILED: $what"; failed=1; }; done
  exit $failed
fi
tmp=$(mktemp -d)
chmod 711 "$tmp" # Dovecot's processes have users of their own.
trap 'kill $server 2>/dev/null || true; rm -rf "$tmp"' EXIT
server=

# start serves a new office at $tmp/$1 and sets $server and $port. It judges no
# mail: "checks" measures that.
start() {
  "$bin" init --dir "$tmp/$1" --office Bench --domain bench.test --account u1@bench.test </dev/null >/dev/null
  sed -i 's/^\[checks\]$/&\noff = true/' "$tmp/$1/sijill.toml"
  "$bin" serve --dir "$tmp/$1" --smtp 127.0.0.1:0 --submission off --submissions off --imap off --imaps off \
    --lmtp off --http 127.0.0.1:0 --metrics off >"$tmp/$1.out" 2>"$tmp/$1.log" &
  server=$!
  for _ in $(seq 100); do grep -q '"door":"http"' "$tmp/$1.log" && break; sleep 0.1; done
  port=$(sed -n 's/.*"door":"smtp","address":"127.0.0.1:\([0-9]*\)".*/\1/p' "$tmp/$1.log")
}

stop() { kill "$server"; wait "$server" || true; server=; }

capture() {
  if [ ! -x "$peers/capture-peers" ] || [ "$(id -u)" != 0 ]; then echo "left out: capture-peers needs root and $peers"; return; fi
  start capture
  "$peers/capture-peers" "$port" "$server" u1@bench.test "${ROUNDS:-3}"
  stop
  "$bin" audit --dir "$tmp/capture"
}

import() {
  if [ ! -x "$peers/import-peers" ] || [ ! -f "$data/enron.mbox.zst" ]; then echo "left out: import-peers needs $peers and $data"; return; fi
  zstd -dqf "$data/enron.mbox.zst" -o "$tmp/enron.mbox"
  "$peers/import-peers" "$bin" --mbox "$tmp/enron.mbox"
  "$bin" init --dir "$tmp/import" --office Bench --domain bench.test --account u1@bench.test </dev/null >/dev/null
  memory "import of enron.mbox" "$bin" import --dir "$tmp/import" --account u1@bench.test --quiet "$tmp/enron.mbox"
}

# memory runs a command and prints its peak resident memory.
memory() {
  what=$1; shift
  python3 - "$what" "$@" <<'PY'
import resource, subprocess, sys
subprocess.run(sys.argv[2:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(f'{sys.argv[1]}: peak {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss/1024:.0f} MB resident')
PY
}

search() { (cd "$here" && go test -run '^$' -bench . -benchtime 1x ./internal/search); }
audit() { (cd "$here" && go test -run '^$' -bench Run -benchtime 8x ./internal/audit); }
proof() { (cd "$here" && go test -run '^$' -bench 'Verify|Proof' .); }

# part runs a part of the program beside this script.
part() {
  [ -x "$tmp/bench" ] || (cd "$here" && go build -o "$tmp/bench" ./bench)
  TMPDIR="$tmp" "$tmp/bench" -bin "$bin" -data "$data" -scale "${SCALE:-1}" "$1"
}

checks() { part checks; }
imap() { part imap; }
submit() { part submit; }
outbound() { part outbound; }

personal() {
  part personal
  (cd "$here" && go test -run '^$' -bench Fill -benchtime 1x ./internal/shelf)
}

idle() {
  start idle
  sleep 3
  echo "idle server: $(awk '/VmRSS/ {printf "%.0f", $2/1024}' "/proc/$server/status") MB resident"
  stop
}

echo "== $1 (load $(cut -d' ' -f1 /proc/loadavg))"
"$1"
