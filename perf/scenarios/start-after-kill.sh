#!/usr/bin/env bash
# How long goatQ takes to serve again after kill -9 with a lot of data: fills it, kills it, starts it, several times.
#
#   perf/scenarios/start-after-kill.sh
#
# Env: GOATQ, PERF  the programs (target/release/...)     DATA   folder (a new one in /tmp; removed at the end)
#      GB           written beforehand (10)               PARTITIONS  they lie in (1000)
#      RUNS         kills (5)                             PORT   of the broker (35092)
#      BATCH        bytes of values per batch (64k)       KEEP   keeps the folder, and uses what is in it, if set
#
# Each start is measured by goatq-perf start, which ends it by kill -9 as well. Between the starts it gets some load, so that
# each kill leaves something behind. COLD=1 drops the page cache before each start (needs root).
set -euo pipefail
here=$(cd "$(dirname "$0")/../.." && pwd)
GOATQ=${GOATQ:-$here/target/release/goatq} PERF=${PERF:-$here/target/release/goatq-perf}
GB=${GB:-10} PARTITIONS=${PARTITIONS:-1000} RUNS=${RUNS:-5} PORT=${PORT:-35092} BATCH=${BATCH:-64k}
DATA=${DATA:-$(mktemp -d /tmp/goatq-start.XXXXXX)}
address=127.0.0.1:$PORT
serve=("$GOATQ" serve --set "listeners=PLAINTEXT://$address" --set "log.dirs=$DATA/data" --set http.listener=)
broker=
trap '[ -z "$broker" ] || kill -9 "$broker" 2>/dev/null || true; [ -n "${KEEP:-}" ] || rm -rf "$DATA"' EXIT

up() {
  "${serve[@]}" >>"$DATA/log" 2>&1 &
  broker=$!
  for _ in $(seq 600); do
    "$PERF" topic create --bootstrap "$address" --topic "$1" --partitions "$2" 2>/dev/null && return
    sleep 0.1
  done
  echo "no answer: see $DATA/log" >&2
  exit 1
}
down() {
  kill -9 "$broker"
  wait "$broker" 2>/dev/null || true
  broker=
}
load() { # RECORDS
  "$PERF" produce --bootstrap "$address" --topic start --record-size 1k --batch-bytes "$BATCH" --warm-up 0 --connections 4 \
    --records "$1" --quiet >/dev/null
}

if [ ! -d "$DATA/data" ]; then
  up start "$PARTITIONS"
  load $((GB * 1000000000 / 1024))
  down
fi
du -sh --apparent-size "$DATA/data" | sed "s/$/ in $(ls -d "$DATA"/data/start-* | wc -l) partitions/"
for ((run = 0; run < RUNS; run++)); do
  up start "$PARTITIONS"
  load $((RUNS * 10000)) &
  loading=$!
  sleep 1
  down
  kill "$loading" 2>/dev/null || true
  wait "$loading" 2>/dev/null || true
  if [ -n "${COLD:-}" ]; then sync; echo 3 >/proc/sys/vm/drop_caches; fi
  "$PERF" start --bootstrap "$address" --topic start -- "${serve[@]}" 2>>"$DATA/log"
done
