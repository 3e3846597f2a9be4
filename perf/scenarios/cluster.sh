#!/usr/bin/env bash
# Three nodes of goatQ and of Kafka, workload by workload, in turn: what compare.sh is for one node.
#
#   KAFKA=kafka-up.sh perf/scenarios/cluster.sh --rounds 5
#
# Everything behind the name goes to `goatq-perf compare`; without --workload these are the cluster-goals. Env:
#   PERF, BROKER  the programs                      (target/release/goatq-perf, target/release/goatq)
#   KAFKA            script that formats and starts one node of Kafka in $DATA at $PORT with $CTRL_PORT, $NODE_ID, $VOTERS and
#                    $CLUSTER_ID, waits $WAIT seconds at most, and prints its process id last. Empty: goatQ alone.
#   DIR, OUT         as for compare.sh
set -euo pipefail
here=$(cd "$(dirname "$0")/../.." && pwd)
PERF=${PERF:-$here/target/release/goatq-perf}
export BROKER=${BROKER:-$here/target/release/goatq}
OUT=${OUT:-.}

goatq() { # port dir: runs until its nodes end
  local port=$1 dir=$2 id voters=
  for id in 1 2 3; do voters+=${voters:+,}$id@127.0.0.1:$((port + 2 + id)); done
  for id in 1 2 3; do
    "$BROKER" serve --set node.id=$id --set cluster.id=goats-goats-goats-goaw --set log.dirs="$dir/$id" --set http.listener= \
      --set controller.quorum.voters=$voters --set log.retention.check.interval.ms=1000 --set max.connections.per.ip=100000 \
      --set listeners=PLAINTEXT://127.0.0.1:$((port + id - 1)),CONTROLLER://127.0.0.1:$((port + 2 + id)) &
  done
  wait
}

kafka() { # port dir: leaves three nodes behind and prints their process ids
  local port=$1 dir=$2 id pids= voters=
  for id in 1 2 3; do voters+=${voters:+,}$id@127.0.0.1:$((port + 2 + id)); done
  for id in 1 2 3; do
    pids+=$(PORT=$((port + id - 1)) CTRL_PORT=$((port + 2 + id)) DATA="$dir/$id" NODE_ID=$id VOTERS=$voters \
      CLUSTER_ID=goats-goats-goats-goaw WAIT=0 "$KAFKA" | tail -n 1)" "
  done
  echo "$pids"
}

case ${1:-} in
serve-goatq) goatq "$2" "$3"; exit ;;
serve-kafka) kafka "$2" "$3"; exit ;;
esac
if [ -z "${DIR:-}" ]; then
  DIR=$(mktemp -d /tmp/goatq-perf.XXXXXX)
  trap 'rm -rf "$DIR"' EXIT
fi
mkdir -p "$OUT"
case " $* " in *" --workload"*) ;; *) set -- --workload cluster-goals "$@" ;; esac
"$PERF" compare --dir "$DIR" --start "goatq=exec $0 serve-goatq {port} {dir}" \
  ${KAFKA:+--start "kafka=exec $0 serve-kafka {port} {dir}"} \
  --json "$OUT/cluster.json" --html "$OUT/cluster.html" "$@" | tee "$OUT/cluster.md"
