#!/usr/bin/env bash
# The checks of ../README.md with kcat: metadata, every codec, group reading, seeks by time, offset queries.
set -uo pipefail
name=kcat
prefix=${PREFIX:-matrix}-$name
failed=0

# The shared data set as key<TAB>value lines: the same bytes in every language.
dataset() {
  python3 - "$1" "$2" <<'PY'
import hashlib, sys
for i in range(int(sys.argv[1]), int(sys.argv[2])):
    digest = hashlib.sha256(f"goatq-{i}".encode()).hexdigest()
    length = i * 37 % 2000
    print(f"key-{i}\t{(digest * (length // 64 + 1))[:length]}")
PY
}
checksum() { LC_ALL=C sort | sha256sum | cut -d' ' -f1; }
expected=$(dataset 0 1000 | checksum)

verdict() { # name status detail
  if [ "$2" = 0 ]; then echo "PASS $name $1${3:+ $3}"; else echo "FAIL $name $1: ${3:-}"; failed=1; fi
}

codec() {
  local topic=$prefix-codec-$1
  dataset 0 1000 | kcat -b "$BOOTSTRAP" -P -t "$topic" -K $'\t' -z "$1" -H n=1 -X acks=all 2>/tmp/kcat.$$ || return 1
  local got
  got=$(kcat -b "$BOOTSTRAP" -C -t "$topic" -o beginning -e -q -f '%k\t%s\n' | checksum)
  echo "$got"
  [ "$got" = "$expected" ]
}

group() { # two runs of one group: the second one starts where the first one stopped
  local topic=$prefix-group first second
  dataset 0 1000 | kcat -b "$BOOTSTRAP" -P -t "$topic" -K $'\t' || return 1
  first=$(timeout 60 kcat -b "$BOOTSTRAP" -G "$prefix-group" -q -c 400 -X auto.offset.reset=earliest -f '%k\t%s\n' "$topic") || return 1
  second=$(timeout 60 kcat -b "$BOOTSTRAP" -G "$prefix-group" -q -c 600 -X auto.offset.reset=earliest -f '%k\t%s\n' "$topic") || return 1
  local got
  got=$(printf '%s\n%s\n' "$first" "$second" | checksum)
  echo "$got"
  [ "$got" = "$expected" ]
}

query() { # log start, log end, and the first record at or after a time
  local topic=$prefix-query now
  now=$(($(date +%s) * 1000))
  dataset 0 100 | kcat -b "$BOOTSTRAP" -P -t "$topic" -p 0 -K $'\t' || return 1
  kcat -b "$BOOTSTRAP" -Q -t "$topic:0:-2" | grep -q 'offset 0$' || { echo "log start"; return 1; }
  kcat -b "$BOOTSTRAP" -Q -t "$topic:0:-1" | grep -q 'offset 100$' || { echo "log end"; return 1; }
  kcat -b "$BOOTSTRAP" -Q -t "$topic:0:$((now - 3600000))" | grep -q 'offset 0$' || { echo "by time"; return 1; }
  kcat -b "$BOOTSTRAP" -L -t "$topic" | grep -q "partition 0, leader" || { echo "metadata"; return 1; }
}

for c in none gzip snappy lz4 zstd; do out=$(codec $c); verdict "codec-$c" $? "$out"; done
out=$(group); verdict group-resume $? "$out"
out=$(query); verdict offset-queries $? "$out"
rm -f /tmp/kcat.$$
exit $failed
