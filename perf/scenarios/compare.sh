#!/usr/bin/env bash
# goatQ and another broker of the Kafka protocol, workload by workload, in turn: one report. Both are started and stopped here.
#
#   KAFKA_UP='PORT={port} DATA={dir} kafka-up.sh' perf/scenarios/compare.sh --workload goals --rounds 5
#
# Everything behind the name goes to `goatq-perf compare` (its --help lists the options; --list the workloads). Env:
#   PERF      the program                               (target/release/goatq-perf)
#   GOATQ     command that starts goatQ, with {port} and {dir} (target/release/goatq serve …)
#   KAFKA_UP  command that starts Kafka, with {port} and {dir}; if it ends once the broker runs it must print the broker's
#             process id last. Empty: goatQ alone.
#   DIR       folder for the brokers' data and for the floor (a new one in /tmp, deleted at the end)
#   OUT       where compare.json, compare.html and compare.md go (the folder of now)
#
# Page cache and synced are configs of the topics, so one process of each broker serves both.
set -euo pipefail
here=$(cd "$(dirname "$0")/../.." && pwd)
PERF=${PERF:-$here/target/release/goatq-perf}
GOATQ=${GOATQ:-"exec $here/target/release/goatq serve --set listeners=PLAINTEXT://127.0.0.1:{port} --set log.dirs={dir}/data \
--set log.retention.check.interval.ms=1000 --set max.connections.per.ip=100000"}
OUT=${OUT:-.}
if [ -z "${DIR:-}" ]; then
  DIR=$(mktemp -d /tmp/goatq-perf.XXXXXX)
  trap 'rm -rf "$DIR"' EXIT
fi
mkdir -p "$OUT"

"$PERF" compare --dir "$DIR" --start "goatq=$GOATQ" ${KAFKA_UP:+--start "kafka=$KAFKA_UP"} \
  --json "$OUT/compare.json" --html "$OUT/compare.html" "$@" | tee "$OUT/compare.md"
