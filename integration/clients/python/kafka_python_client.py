"""kafka-python: a client written in Python alone."""

import os

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions, NewTopic
from kafka.structs import OffsetAndMetadata

from checks import Checks

NAME = "kafka-python"
COMMON = {"bootstrap_servers": os.environ["BOOTSTRAP"]}
admin_client = KafkaAdminClient(**COMMON)


def create_topic(topic, partitions):
    admin_client.create_topics([NewTopic(topic, partitions, 1)], timeout_ms=30_000)


def produce(topic, pairs, codec, timestamps=None):
    producer = KafkaProducer(**COMMON, compression_type=None if codec == "none" else codec, acks="all", linger_ms=20)
    futures = [
        producer.send(
            topic,
            value.encode(),
            key.encode(),
            headers=[("n", str(n).encode())],
            timestamp_ms=timestamps[n] if timestamps else None,
        )
        for n, (key, value) in enumerate(pairs)
    ]
    producer.flush(30)
    for future in futures:
        future.get(30)
    producer.close()


def consumer(group, *topics, **extra):
    return KafkaConsumer(
        *topics, **COMMON, group_id=group, auto_offset_reset="earliest", enable_auto_commit=False, **extra
    )


def pair(message):
    assert [name for name, _ in message.headers] == ["n"], message.headers
    return message.key.decode(), message.value.decode()


def read_all(topic, partitions, count):
    c = consumer(None)
    c.assign([TopicPartition(topic, p) for p in range(partitions)])
    c.seek_to_beginning()
    pairs = []
    while len(pairs) < count:
        found = c.poll(30_000)
        assert found, f"only {len(pairs)} records in 30 s"
        pairs += [pair(m) for messages in found.values() for m in messages]
    c.close()
    return pairs


def join(topic, group, on_records, owned, stop):
    c = consumer(group, topic, session_timeout_ms=10_000, heartbeat_interval_ms=500)
    while not stop.is_set():
        found = c.poll(200)
        owned.clear()
        owned.update(p.partition for p in c.assignment())
        if found:
            on_records([pair(m) for messages in found.values() for m in messages])
            c.commit()
    c.close(autocommit=False)


def commit(topic, group, offset):
    c = consumer(group)
    c.assign([TopicPartition(topic, 0)])
    c.commit({TopicPartition(topic, 0): OffsetAndMetadata(offset, "", -1)})
    c.close(autocommit=False)


def committed(topic, group, partitions):
    c = consumer(group)
    found = [c.committed(TopicPartition(topic, p)) or 0 for p in partitions]
    c.close(autocommit=False)
    return found


def first_of_group(topic, group):
    c = consumer(group, topic)
    found = {}
    for _ in range(30):
        found = c.poll(1000, max_records=1)
        if found:
            break
    c.close(autocommit=False)
    return next(iter(found.values()))[0].offset


def offset_at(topic, timestamp):
    c = consumer(None)
    found = c.offsets_for_times({TopicPartition(topic, 0): timestamp})[TopicPartition(topic, 0)]
    c.close()
    return found.offset if found else None


def broker_ids():
    return [b["broker_id"] for b in admin_client.describe_cluster()["brokers"]]


def set_config(topic, key, value):
    admin_client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {key: value})])


def get_config(topic, key):
    resource = ConfigResource(ConfigResourceType.TOPIC, topic)
    return admin_client.describe_configs([resource], config_filter="all")["topic"][topic][key]["value"]


def grow(topic, count):
    admin_client.create_partitions({topic: NewPartitions(count)})


def partitions(topic):
    found = [t for t in admin_client.describe_topics([topic]) if not t.get("error_code")]
    return len(found[0]["partitions"]) if found else 0


def groups():
    return [g["group_id"] for g in admin_client.list_groups()]


def delete_group(group):
    admin_client.delete_groups([group])


def delete_topic(topic):
    admin_client.delete_topics([topic])


if __name__ == "__main__":
    import kafka_python_client

    Checks(kafka_python_client).run()
