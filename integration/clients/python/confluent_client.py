"""librdkafka through confluent-kafka."""

import os

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic

from checks import Checks

NAME = "confluent-kafka"
COMMON = {"bootstrap.servers": os.environ["BOOTSTRAP"]}
admin_client = AdminClient(COMMON)


def create_topic(topic, partitions):
    admin_client.create_topics([NewTopic(topic, partitions, 1)], operation_timeout=30)[topic].result()


def produce(topic, pairs, codec, timestamps=None):
    errors = []
    producer = Producer({**COMMON, "compression.type": codec, "enable.idempotence": True, "linger.ms": 20})
    for n, (key, value) in enumerate(pairs):
        extra = {"timestamp": timestamps[n]} if timestamps else {}
        producer.produce(topic, value, key, headers={"n": str(n)}, on_delivery=lambda e, _: e and errors.append(e), **extra)
        producer.poll(0)
    assert producer.flush(30) == 0 and not errors, f"not delivered: {errors[:3]}"


def consumer(group, **extra):
    return Consumer({**COMMON, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False, **extra})


def pair(message):
    if message.error():
        raise KafkaException(message.error())
    assert [name for name, _ in message.headers()] == ["n"], message.headers()
    return message.key().decode(), (message.value() or b"").decode()


def read_all(topic, partitions, count):
    c = consumer("unused")
    c.assign([TopicPartition(topic, p, 0) for p in range(partitions)])
    pairs = []
    while len(pairs) < count:
        messages = c.consume(500, 30)
        assert messages, f"only {len(pairs)} records in 30 s"
        pairs += [pair(m) for m in messages]
    c.close()
    return pairs


def join(topic, group, on_records, owned, stop):
    c = consumer(group, **{"session.timeout.ms": 10_000, "heartbeat.interval.ms": 500})

    def assigned(_, partitions):
        owned.update(p.partition for p in partitions)

    def revoked(_, partitions):
        owned.difference_update(p.partition for p in partitions)

    c.subscribe([topic], on_assign=assigned, on_revoke=revoked)
    while not stop.is_set():
        messages = c.consume(100, 0.2)
        if messages:
            on_records([pair(m) for m in messages])
            c.commit(asynchronous=False)
    c.close()


def commit(topic, group, offset):
    c = consumer(group)
    c.commit(offsets=[TopicPartition(topic, 0, offset)], asynchronous=False)
    c.close()


def committed(topic, group, partitions):
    request = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, p) for p in partitions])
    found = admin_client.list_consumer_group_offsets([request])[group].result().topic_partitions
    return [max(0, p.offset) for p in sorted(found, key=lambda p: p.partition)]


def first_of_group(topic, group):
    c = consumer(group)
    c.subscribe([topic])
    message = c.poll(30)
    assert message is not None and not message.error(), "nothing in 30 s"
    c.close()
    return message.offset()


def offset_at(topic, timestamp):
    c = consumer("unused")
    found = c.offsets_for_times([TopicPartition(topic, 0, timestamp)], timeout=30)[0].offset
    c.close()
    return None if found < 0 else found


def broker_ids():
    return [n.id for n in admin_client.describe_cluster().result().nodes]


def set_config(topic, key, value):
    entry = ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
    admin_client.incremental_alter_configs([resource])[resource].result()


def get_config(topic, key):
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    return admin_client.describe_configs([resource])[resource].result()[key].value


def grow(topic, count):
    admin_client.create_partitions([NewPartitions(topic, count)])[topic].result()


def partitions(topic):
    found = admin_client.list_topics(timeout=30).topics.get(topic)
    return len(found.partitions) if found else 0


def groups():
    return [g.group_id for g in admin_client.list_consumer_groups().result().valid]


def delete_group(group):
    admin_client.delete_consumer_groups([group])[group].result()


def delete_topic(topic):
    admin_client.delete_topics([topic])[topic].result()


if __name__ == "__main__":
    import confluent_client

    Checks(confluent_client).run()
