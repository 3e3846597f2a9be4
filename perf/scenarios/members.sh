#!/usr/bin/env bash
# A cluster of three nodes whose members come and go: how many topics it makes in a second, how long a node takes to catch up after a kill,
# and how long one takes to be emptied.
#
#   perf/scenarios/members.sh
#   SYSTEM=kafka KAFKA=kafka-up.sh KAFKA_TOOL=kafka-tool.sh perf/scenarios/members.sh
#
# Env: TOPICS       made one after the other (200)        MIB  that a node misses, and that one is emptied of (1024)
#      KAFKA_TOOL   script that runs a tool of Kafka by its class: brokers of Kafka are emptied with kafka-reassign-partitions
#      and that of nodes.sh
set -euo pipefail
TOPICS=${TOPICS:-200} MIB=${MIB:-1024}
. "$(dirname "$0")/nodes.sh"
sound='0 without leader, 0 under-replicated'

write() { # topic MiB
  "$PERF" produce --bootstrap "$bootstrap" --topic "$1" --batch-bytes 64k --record-size 1k --warm-up 0 --records $(($2 * 1024)) --quiet >/dev/null
}
make() { # topic partitions replicas
  "$PERF" topic create --bootstrap "$bootstrap" --topic "$1" --partitions "$2" --replication-factor "$3"
}
# Empties node 3.
drain() {
  if [ "$SYSTEM" = goatq ]; then
    "$GOATQ" cluster drain 3 -b "$bootstrap" >/dev/null
    return
  fi
  local plan=$DATA/plan.json partition replicas
  for ((partition = 0; partition < 12; partition++)); do
    replicas=$((partition % 2 + 1)),$((2 - partition % 2))
    printf '{"topic":"emptied","partition":%d,"replicas":[%s]}\n' "$partition" "$replicas"
  done | paste -sd, | sed 's/.*/{"version":1,"partitions":[&]}/' >"$plan"
  "${KAFKA_TOOL:?a script that runs tools of Kafka}" org.apache.kafka.tools.reassign.ReassignPartitionsCommand \
    --bootstrap-server "$bootstrap" --execute --reassignment-json-file "$plan" >/dev/null
  until status | awk '$1 == 3 { exit $6 }'; do sleep 0.1; done
}

start_all
sleep 2
begun=$(now)
for ((index = 0; index < TOPICS; index++)); do make "one-$index" 1 3; done
taken=$(since "$begun")
echo "$TOPICS topics, one after the other: $taken s, $(bc <<<"$TOPICS / $taken") a second"

make missed 12 3
write missed 64
until_says "$bootstrap" "$sound"
end KILL 3
until_says "$bootstrap" '^ +3 .* fenced '
until_says "$bootstrap" ' 0 without leader'
write missed "$MIB"
begun=$(now)
start 3
until_says "$bootstrap" "$sound"
echo "killed, missed $MIB MiB of 12 partitions, started: in sync after $(since "$begun") s"

"$PERF" topic delete --bootstrap "$bootstrap" --topic "missed$(printf ',one-%d' $(seq 0 $((TOPICS - 1))))"
make emptied 12 2
write emptied "$MIB"
until_says "$bootstrap" "$sound"
begun=$(now)
drain
echo "a node that holds two thirds of $MIB MiB emptied in $(since "$begun") s"
