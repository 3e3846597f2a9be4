#!/usr/bin/env bash
# goatQ and Apache Kafka side by side, one node each, on one machine: prints a table in Markdown.
#
#   GOATQ=127.0.0.1:9092 GOATQ_PID=1 KAFKA=127.0.0.1:19092 KAFKA_PID=2 perf/scenarios/single-node.sh
#
# Both brokers run already and are idle. Leave out GOATQ or KAFKA to measure only the other. Env:
#   PERF      the program (target/release/goatq-perf)        OUT       folder for the reports (a new one in /tmp)
#   DURATION  measured seconds per run (15)                  WARM_UP   seconds before them (5)
#   RUNS      runs per row (3), brokers in turn               ONLY      regular expression that picks scenarios by name
#   BATCH     bytes of values per batch (16k)                FILL      MB to be fetched (1000)
#   RATE      records per second of the latency runs (5000)
#
# A row's cells are the median of its runs, with the smallest and largest value. Each run has a topic of its own; before each
# run everything dirty is written to disk, so that no run pays for another.
set -euo pipefail
here=$(cd "$(dirname "$0")/../.." && pwd)
PERF=${PERF:-$here/target/release/goatq-perf}
OUT=${OUT:-$(mktemp -d /tmp/goatq-perf.XXXXXX)}
DURATION=${DURATION:-15} WARM_UP=${WARM_UP:-5} RUNS=${RUNS:-3} ONLY=${ONLY:-.} BATCH=${BATCH:-16k} FILL=${FILL:-1000} RATE=${RATE:-5000}
TOPIC=goatq-perf-single-node
mkdir -p "$OUT"
number=0

# name, broker, process, topic config
durable=() cached=()
if [ -n "${GOATQ:-}" ]; then
  durable+=("goatQ, synced before ack|$GOATQ|${GOATQ_PID:-}|durability=fsync")
  cached+=("goatQ, page cache|$GOATQ|${GOATQ_PID:-}|durability=page-cache")
fi
if [ -n "${KAFKA:-}" ]; then
  durable+=("Kafka, flush.messages=1|$KAFKA|${KAFKA_PID:-}|flush.messages=1")
  cached+=("Kafka, page cache (its default)|$KAFKA|${KAFKA_PID:-}|flush.messages=9223372036854775807")
fi
if [ ${#cached[@]} = 0 ]; then
  sed -n 2,16p "$0" >&2
  exit 2
fi

# topic ACTION BROKER [PARTITIONS CONFIG]
topic() {
  "$PERF" topic "$1" --bootstrap "$2" --topic "$TOPIC" --partitions "${3:-1}" \
    ${4:+--config "$4" --config file.delete.delay.ms=1000}
}

# measure SCENARIO PARTITIONS SYSTEM COMMAND OPTIONS…: one run of one system in a new topic
measure() {
  local scenario=$1 partitions=$2 label broker pid config command=$4
  IFS='|' read -r label broker pid config <<<"$3"
  shift 4
  number=$((number + 1))
  topic recreate "$broker" "$partitions" "$config"
  if [ "$command" = consume ]; then
    local size=1024
    case " $* " in *" --record-size 100 "*) size=100 ;; esac
    "$PERF" produce --bootstrap "$broker" --topic "$TOPIC" --record-size "$size" --batch-bytes "$BATCH" --warm-up 0 \
      --records $((FILL * 1000000 / size)) --quiet >/dev/null
  fi
  sync
  echo "[$number] $scenario: $label" >&2
  "$PERF" "$command" --bootstrap "$broker" --topic "$TOPIC" --scenario "$scenario" --label "$label" \
    --duration "$DURATION" --warm-up "$WARM_UP" ${pid:+--broker-pid "$pid"} --quiet \
    --json "$OUT/$(printf %04d "$number").json" "$@" >&2
  topic delete "$broker"
}

bytes() { [ "$1" = 1k ] && echo "1 KiB" || echo "$1 B"; }

# scenario NAME PARTITIONS COMMAND OPTIONS… -- SYSTEM…: all runs of a row, systems in turn and in changing order
scenario() {
  local name=$1 partitions=$2 command=$3 options=() systems=() run i
  shift 3
  [[ $name =~ $ONLY ]] || return 0
  while [ "$1" != -- ]; do options+=("$1"); shift; done
  shift
  systems=("$@")
  for ((run = 0; run < RUNS; run++)); do
    for ((i = 0; i < ${#systems[@]}; i++)); do
      measure "$name" "$partitions" "${systems[((i + run) % ${#systems[@]})]}" "$command" "${options[@]}"
    done
  done
}

for partitions in 1 12; do
  for size in 100 1k; do
    for acks in 1 all; do
      scenario "produce, partitions $partitions, records $(bytes $size), acks=$acks" "$partitions" produce \
        --record-size "$size" --batch-bytes "$BATCH" --acks "$acks" -- "${durable[@]}" "${cached[@]}"
    done
  done
done
for partitions in 1 12; do
  for size in 100 1k; do
    scenario "fetch, partitions $partitions, records $(bytes $size)" "$partitions" consume --record-size "$size" -- "${cached[@]}"
  done
done
scenario "end to end, $RATE records/s of 1 KiB" 1 end-to-end --record-size 1k --rate "$RATE" --acks all \
  -- "${durable[@]}" "${cached[@]}"

echo
echo "$(nproc) CPUs ($(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)), Linux $(uname -r), $(date -u +%F)," \
  "$RUNS run(s) of $DURATION s, $BATCH of values per batch, reports in $OUT"
echo
"$PERF" table "$OUT"/*.json
