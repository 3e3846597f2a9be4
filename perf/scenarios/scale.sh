#!/usr/bin/env bash
# A cluster of three nodes with many partitions: made, restarted, its controller killed; time and memory of each step.
#
#   perf/scenarios/scale.sh                              100,000 partitions of one replica
#   PARTITIONS=30000 REPLICAS=3 perf/scenarios/scale.sh
#
# Env: PARTITIONS   in topics of at most 10,000           REPLICAS of each (1)
#      and that of nodes.sh: SYSTEM=kafka KAFKA=kafka-up.sh does the same with Kafka
#
# Needs a limit of open files of about 4 x PARTITIONS x REPLICAS / 3 for each node, which it sets if it may.
set -euo pipefail
PARTITIONS=${PARTITIONS:-100000} REPLICAS=${REPLICAS:-1}
ulimit -n $((2 * PARTITIONS * REPLICAS + 10000)) 2>/dev/null || ulimit -n "$(ulimit -Hn)"
. "$(dirname "$0")/nodes.sh"
all_led="^[0-9]+ topics, $PARTITIONS partitions: 0 without leader, 0 under-replicated"

start_all
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
end KILL "$leader"
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
end TERM 1 2 3
echo "all stopped in order in $(since "$begun") s"
begun=$(now)
for id in 1 2 3; do start $id; done
until_says "$bootstrap" "$all_led"
echo "all started again: all led after $(since "$begun") s"
sleep 5
echo "afterwards: $(($(rss) / 1024)) MiB RSS"
