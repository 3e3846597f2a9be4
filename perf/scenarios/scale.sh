#!/usr/bin/env bash
# A cluster of three nodes with many partitions: made, restarted, its controller killed; time and memory of each step.
#
#   perf/scenarios/scale.sh                              100,000 partitions of one replica
#   PARTITIONS=30000 REPLICAS=3 perf/scenarios/scale.sh
#
# Env: GOATQ, PERF  the programs (target/release/...)     DATA   folder (a new one in /tmp; removed at the end)
#      PARTITIONS   in topics of at most 10,000           REPLICAS of each (1)
#      PORT         the first of six (35100)
#
# Needs a limit of open files of about 4 x PARTITIONS x REPLICAS / 3 for each node, which it sets if it may.
set -euo pipefail
here=$(cd "$(dirname "$0")/../.." && pwd)
GOATQ=${GOATQ:-$here/target/release/goatq} PERF=${PERF:-$here/target/release/goatq-perf}
PARTITIONS=${PARTITIONS:-100000} REPLICAS=${REPLICAS:-1} PORT=${PORT:-35100}
DATA=${DATA:-$(mktemp -d /tmp/goatq-scale.XXXXXX)}
ulimit -n $((2 * PARTITIONS * REPLICAS + 10000)) 2>/dev/null || ulimit -n "$(ulimit -Hn)"
voters=1@127.0.0.1:$((PORT + 4)),2@127.0.0.1:$((PORT + 5)),3@127.0.0.1:$((PORT + 6))
bootstrap=127.0.0.1:$((PORT + 1))
declare -A node

start() { # id
  "$GOATQ" serve --set node.id="$1" --set cluster.id=goats-goats-goats-goaw --set log.dirs="$DATA/$1" --set http.listener= \
    --set controller.quorum.voters=$voters --set listeners=PLAINTEXT://127.0.0.1:$((PORT + $1)),CONTROLLER://127.0.0.1:$((PORT + 3 + $1)) \
    >>"$DATA/$1.log" 2>&1 &
  node[$1]=$!
}
finish() {
  kill -9 "${node[@]}" 2>/dev/null || true
  wait 2>/dev/null || true
  rm -rf "$DATA"
}
trap finish EXIT
status() { "$GOATQ" cluster status -b "${1:-$bootstrap}" 2>/dev/null; }
rss() { for id in "${!node[@]}"; do sed -n 's/^VmRSS:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/${node[$id]}/status"; done | paste -sd+ | bc; }
now() { date +%s.%N; }
since() { printf %.2f "$(bc <<<"$(now) - $1")"; }
# Waits until a pattern stands in the status that a node gives.
until_says() { # bootstrap pattern
  until status "$1" | grep -qE "$2"; do sleep 0.1; done
}
all_led="^[0-9]+ topics, $PARTITIONS partitions: 0 without leader, 0 under-replicated"

mkdir -p "$DATA"
for id in 1 2 3; do start $id; done
until_says "$bootstrap" '3 nodes'
sleep 2
empty=$(rss)
echo "empty: $((empty / 1024)) MiB RSS in three nodes"

begun=$(now)
for ((left = PARTITIONS, index = 0; left > 0; left -= 10000, index++)); do
  "$PERF" topic create --bootstrap "$bootstrap" --topic "many-$index" --partitions $((left < 10000 ? left : 10000)) --replication-factor "$REPLICAS"
done
echo "$PARTITIONS partitions, $REPLICAS replicas each: made and led after $(since "$begun") s"
until_says "$bootstrap" "$all_led"
sleep 5
full=$(rss)
echo "at rest: $((full / 1024)) MiB RSS, $(((full - empty) * 1024 / (PARTITIONS * REPLICAS))) B per replica"

leader=$(status | sed -nE 's/^quorum: node ([0-9]+) leads.*/\1/p')
other=$((leader % 3 + 1))
begun=$(now)
kill -9 "${node[$leader]}"
until_says 127.0.0.1:$((PORT + other)) "^quorum: node [^$leader] leads"
echo "controller killed: another leads after $(since "$begun") s"
if [ "$REPLICAS" -gt 1 ]; then
  until_says 127.0.0.1:$((PORT + other)) "$PARTITIONS partitions: 0 without leader"
  echo "all partitions led again after $(since "$begun") s"
fi
begun=$(now)
start "$leader"
until_says 127.0.0.1:$((PORT + other)) "$all_led"
echo "killed node back, all led and in sync after $(since "$begun") s"

begun=$(now)
kill "${node[@]}"
wait "${node[@]}" || true
echo "all stopped in order in $(since "$begun") s"
begun=$(now)
for id in 1 2 3; do start $id; done
until_says "$bootstrap" "$all_led"
echo "all started again: all led after $(since "$begun") s"
sleep 5
echo "afterwards: $(($(rss) / 1024)) MiB RSS"
