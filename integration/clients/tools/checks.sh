#!/usr/bin/env bash
# Kafka's own command-line tools, unchanged, against one node. LIBS is a folder with their jars (../run makes it).
# LOG_DIR, when set, is the broker's data directory: dump-log then reads the files in it.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
LIBS=${LIBS:-$here/../java/target/libs}
topic=${PREFIX:-matrix}-tools
group=$topic-group
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

tool() { # class args...
  java -Xmx256M -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dorg.slf4j.simpleLogger.defaultLogLevel=error -cp "$LIBS/*" "$@" 2>>"$work/err"
}
t() { local class=$1; shift; tool "org.apache.kafka.tools.$class" "$@" --bootstrap-server "$BOOTSTRAP"; }

check() { # name pattern command...: the command ends well and what it prints matches
  local name=$1 pattern=$2 out
  shift 2
  : >"$work/err"
  if out=$("$@") && grep -qE "$pattern" <<<"$out"; then
    echo "PASS tools $name"
  else
    failed=1
    echo "FAIL tools $name: printed $(tail -c 600 <<<"$out" | tr '\n' '|') $(grep -v '^SLF4J' "$work/err" | head -3 | tr '\n' '|')"
  fi
}

groups() { t consumer.group.ConsumerGroupCommand "$@"; }
verifiable_producer() { t VerifiableProducer --topic "$topic" --max-messages 200 --acks -1; }
verifiable_consumer() {
  timeout 60 java -Xmx256M -Dorg.slf4j.simpleLogger.defaultLogLevel=error -cp "$LIBS/*" org.apache.kafka.tools.VerifiableConsumer \
    --bootstrap-server "$BOOTSTRAP" --topic "$topic" --group-id "$group" --reset-policy earliest --max-messages 200 2>>"$work/err"
}
console_producer() { seq 1 50 | t ConsoleProducer --topic "$topic"; echo "status $?"; }
delete_records() {
  echo "{\"partitions\": [{\"topic\": \"$topic\", \"partition\": 0, \"offset\": 10}], \"version\": 1}" >"$work/delete.json"
  t DeleteRecordsCommand --offset-json-file "$work/delete.json"
}
producer_perf() {
  tool org.apache.kafka.tools.ProducerPerformance --topic "$topic-perf" --num-records 20000 --record-size 1000 --throughput -1 \
    --producer-props "bootstrap.servers=$BOOTSTRAP" acks=all
}

check topics-create "Created topic $topic" t TopicCommand --create --topic "$topic" --partitions 1 --config segment.bytes=1048576
check topics-list "^$topic\$" t TopicCommand --list
check topics-describe "PartitionCount: 1.*segment.bytes=1048576" t TopicCommand --describe --topic "$topic"
check configs-alter "Completed updating config" tool kafka.admin.ConfigCommand --bootstrap-server "$BOOTSTRAP" --alter \
  --entity-type topics --entity-name "$topic" --add-config retention.ms=7200000
check configs-describe "retention.ms=7200000.*DYNAMIC_TOPIC_CONFIG" tool kafka.admin.ConfigCommand --bootstrap-server "$BOOTSTRAP" \
  --describe --entity-type topics --entity-name "$topic"
check configs-brokers "log.retention.ms|log.segment.bytes" tool kafka.admin.ConfigCommand --bootstrap-server "$BOOTSTRAP" \
  --describe --all --entity-type brokers --entity-name "${BROKER_ID:-1}"
check verifiable-producer '"acked":200' verifiable_producer
check verifiable-consumer '"totalCount":200|records_consumed' verifiable_consumer
check console-producer "status 0" console_producer
check console-consumer "^50\$" t consumer.ConsoleConsumer --topic "$topic" --from-beginning --max-messages 250 --timeout-ms 30000
check get-offsets "^$topic:0:250\$" t GetOffsetShell --topic "$topic"
check consumer-groups-list "^$group\$" groups --list
check consumer-groups-describe "$group +$topic +0 +200 +250 +50" groups --describe --group "$group"
check consumer-groups-state "$group.*Empty" groups --describe --group "$group" --state
check consumer-groups-reset "$group +$topic +0 +100" groups --reset-offsets --group "$group" --topic "$topic" --to-offset 100 --execute
check consumer-groups-delete-offsets "Request succeeded.*|$topic +0 +Successful" groups --delete-offsets --group "$group" --topic "$topic"
check consumer-groups-delete "Deletion of requested consumer groups .*$group.* was successful" groups --delete --group "$group"
check delete-records "partition: $topic-0.*low_watermark: 10" delete_records
check log-dirs "\"partition\":\"$topic-0\"" t LogDirsCommand --describe --topic-list "$topic"
check broker-api-versions "Produce\\(0\\): 0 to 13" t BrokerApiVersionsCommand
check features-describe "metadata.version.*FinalizedVersionLevel" tool org.apache.kafka.tools.FeatureCommand --bootstrap-server "$BOOTSTRAP" describe
check topics-alter "PartitionCount: 3" eval 't TopicCommand --alter --topic "$topic" --partitions 3; t TopicCommand --describe --topic "$topic"'
check producer-perf-test "20000 records sent.*99.9th" producer_perf
check consumer-perf-test "$(date +%Y)-.*, 20[0-9]{3}|, 20000" t ConsumerPerformance --topic "$topic-perf" --num-records 20000 --timeout 60000
if [ -n "${LOG_DIR:-}" ]; then
  check dump-log "baseOffset: 0 .*isvalid: true" tool org.apache.kafka.tools.DumpLogSegments --print-data-log \
    --files "$LOG_DIR/$topic-perf-0/00000000000000000000.log"
  check dump-index "passed sanity check" tool org.apache.kafka.tools.DumpLogSegments --index-sanity-check \
    --files "$LOG_DIR/$topic-perf-0/00000000000000000000.index"
fi
check topics-delete "status 0" eval 't TopicCommand --delete --topic "$topic"; echo "status $?"'
exit $failed
