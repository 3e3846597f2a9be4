#!/usr/bin/env bash
# What many partitions and many connections cost: memory of each, time to make them, latency of light traffic over all of them.
#
#   perf/scenarios/many.sh
#
# Env: GOATQ, PERF  the programs (target/release/...)     DATA   folder (a new one in /tmp; removed at the end)
#      PARTITIONS   of one topic (10000)                  CONNECTIONS (5000)
#      RATE         records per second (1000)             DURATION  measured seconds (15)
#      PORT         of the broker (35093)
#
# Every open file counts: needs a limit of about 4 x PARTITIONS + 2 x CONNECTIONS, which it sets if it may.
set -euo pipefail
here=$(cd "$(dirname "$0")/../.." && pwd)
GOATQ=${GOATQ:-$here/target/release/goatq} PERF=${PERF:-$here/target/release/goatq-perf}
PARTITIONS=${PARTITIONS:-10000} CONNECTIONS=${CONNECTIONS:-5000} RATE=${RATE:-1000} DURATION=${DURATION:-15} PORT=${PORT:-35093}
DATA=${DATA:-$(mktemp -d /tmp/goatq-many.XXXXXX)}
address=127.0.0.1:$PORT
ulimit -n $((4 * PARTITIONS + 2 * CONNECTIONS + 1000)) 2>/dev/null || ulimit -n "$(ulimit -Hn)"
"$GOATQ" serve --set "listeners=PLAINTEXT://$address" --set "log.dirs=$DATA/data" --set http.listener= \
  --set max.connections.per.ip=$((CONNECTIONS + 100)) >"$DATA/log" 2>&1 &
broker=$!
trap 'kill -9 $broker 2>/dev/null || true; wait $broker 2>/dev/null || true; rm -rf "$DATA"' EXIT
rss() { sed -n 's/^VmRSS:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$broker/status"; }
files() { ls "/proc/$broker/fd" | wc -l; }
say() { printf '%-44s %7.1f MiB RSS, %6d open files%s\n' "$1" "$(bc <<<"scale=1; $2 / 1024")" "$(files)" "${3:-}"; }

for _ in $(seq 100); do "$PERF" topic create --bootstrap "$address" --topic first 2>/dev/null && break; sleep 0.1; done
sleep 2
empty=$(rss)
say "empty" "$empty"
begun=$(date +%s.%N)
"$PERF" topic create --bootstrap "$address" --topic many --partitions "$PARTITIONS"
took=$(bc <<<"$(date +%s.%N) - $begun")
sleep 3
idle=$(rss)
say "$PARTITIONS partitions" "$idle" "; made in $(printf %.1f "$took") s; $(bc <<<"($idle - $empty) * 1024 / $PARTITIONS") B per partition"
"$PERF" produce --bootstrap "$address" --topic many --record-size 100 --batch-records 1 --rate "$RATE" --acks all \
  --connections "$CONNECTIONS" --in-flight 1 --warm-up 5 --duration "$DURATION" --broker-pid "$broker" &
load=$!
sleep $((DURATION + 4))
busy=$(rss)
say "$CONNECTIONS connections, $RATE records/s" "$busy" "; $(bc <<<"($busy - $idle) * 1024 / $CONNECTIONS") B per connection"
wait "$load"
sleep 2
say "afterwards" "$(rss)"
