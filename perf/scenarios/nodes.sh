# Sourced by the scenarios with three nodes: how nodes of goatQ or of Kafka start and end, and what they say of themselves.
#
# Env: SYSTEM       goatq (the default) or kafka          GOATQ, PERF  the programs (target/release/...)
#      KAFKA        script that starts one node of Kafka, as for cluster.sh
#      DATA         folder (a new one in /tmp; removed at the end)
#      PORT         the first of six (35100)
# shellcheck shell=bash
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
GOATQ=${GOATQ:-$here/target/release/goatq} PERF=${PERF:-$here/target/release/goatq-perf}
SYSTEM=${SYSTEM:-goatq} KAFKA=${KAFKA:-} PORT=${PORT:-35100}
DATA=${DATA:-$(mktemp -d "/tmp/$SYSTEM-nodes.XXXXXX")}
cluster=goats-goats-goats-goaw
voters=1@127.0.0.1:$((PORT + 4)),2@127.0.0.1:$((PORT + 5)),3@127.0.0.1:$((PORT + 6))
bootstrap=127.0.0.1:$((PORT + 1))
declare -A node

start() { # id
  if [ "$SYSTEM" = kafka ]; then
    local client=$((PORT + $1)) quorum=$((PORT + 3 + $1))
    node[$1]=$(PORT=$client CTRL_PORT=$quorum DATA="$DATA/$1" NODE_ID=$1 VOTERS=$voters CLUSTER_ID=$cluster WAIT=0 \
      "${KAFKA:?a script that starts a node}" 2>>"$DATA/$1.log" | tail -n 1)
    return
  fi
  "$GOATQ" serve --set node.id="$1" --set cluster.id=$cluster --set log.dirs="$DATA/$1" --set http.listener= \
    --set controller.quorum.voters="$voters" --set listeners=PLAINTEXT://127.0.0.1:$((PORT + $1)),CONTROLLER://127.0.0.1:$((PORT + 3 + $1)) \
    >>"$DATA/$1.log" 2>&1 &
  node[$1]=$!
  disown # The shell has nothing to say of its end.
}
end() { # signal id...
  local signal=$1 id
  for id in "${@:2}"; do kill -"$signal" "${node[$id]}" 2>/dev/null || true; done
  for id in "${@:2}"; do
    while kill -0 "${node[$id]}" 2>/dev/null; do sleep 0.01; done
  done
}
finish() {
  end KILL "${!node[@]}"
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
start_all() {
  mkdir -p "$DATA"
  for id in 1 2 3; do start $id; done
  until_says "$bootstrap" '3 nodes'
}
