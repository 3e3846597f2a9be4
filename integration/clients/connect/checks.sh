#!/usr/bin/env bash
# Kafka Connect, standalone: a file source copies a text file into a topic and a file sink copies it out again; the bytes are the same.
# MIB (64) sets the size of the file. LIBS is a folder with Connect's jars (../run makes it).
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
LIBS=${LIBS:-$here/../java/target/libs}
prefix=${PREFIX:-matrix}-connect
mib=${MIB:-64}
work=$(mktemp -d)
trap 'kill $worker 2>/dev/null; wait $worker 2>/dev/null; rm -rf "$work"' EXIT
worker=

python3 - "$work/in.txt" "$mib" <<'PY'
import hashlib, sys
size, n = int(sys.argv[2]) << 20, 0
with open(sys.argv[1], "w") as out:
    while out.tell() < size:
        block = "".join(f"{i} {hashlib.sha256(str(i).encode()).hexdigest() * (i % 30)}\n" for i in range(n, n + 1000))
        out.write(block)
        n += 1000
PY

cat >"$work/worker.properties" <<P
bootstrap.servers=$BOOTSTRAP
key.converter=org.apache.kafka.connect.storage.StringConverter
value.converter=org.apache.kafka.connect.storage.StringConverter
offset.storage.file.filename=$work/offsets
offset.flush.interval.ms=1000
listeners=http://127.0.0.1:0
plugin.discovery=service_load
plugin.path=$work
consumer.max.poll.records=5000
P
cat >"$work/source.properties" <<P
name=$prefix-source
connector.class=org.apache.kafka.connect.file.FileStreamSourceConnector
tasks.max=1
file=$work/in.txt
topic=$prefix
batch.size=5000
P
cat >"$work/sink.properties" <<P
name=$prefix-sink
connector.class=org.apache.kafka.connect.file.FileStreamSinkConnector
tasks.max=1
file=$work/out.txt
topics=$prefix
P

java -Xmx768M -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp "$LIBS/*" \
  org.apache.kafka.connect.cli.ConnectStandalone "$work"/{worker,source,sink}.properties >"$work/log" 2>&1 &
worker=$!
want=$(stat -c %s "$work/in.txt")
for _ in $(seq "${LIMIT:-600}"); do
  sleep 1
  kill -0 $worker 2>/dev/null || break
  [ "$(stat -c %s "$work/out.txt" 2>/dev/null || echo 0)" -ge "$want" ] && break
done
if cmp -s "$work/in.txt" "$work/out.txt"; then
  echo "PASS connect file-source-to-sink $mib MiB $(sha256sum <"$work/out.txt" | cut -d' ' -f1)"
else
  grep -v WARN "$work/log" | tail -20 >&2
  echo "FAIL connect file-source-to-sink: $(stat -c %s "$work/out.txt" 2>/dev/null || echo 0) of $want bytes the same length, contents differ"
  exit 1
fi
