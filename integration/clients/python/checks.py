"""The checks of ../README.md for a Python client: each client module brings the same small set of calls."""

import hashlib
import os
import sys
import threading
import time
import traceback

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
RECORDS = 1000
PARTITIONS = 3


def record(i):
    """Record i of the shared data set: the same bytes in every language."""
    digest = hashlib.sha256(f"goatq-{i}".encode()).hexdigest()
    length = i * 37 % 2000
    return f"key-{i}", (digest * (length // 64 + 1))[:length]


def checksum(pairs):
    lines = sorted(f"{key}\t{value}\n" for key, value in pairs)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


EXPECTED = checksum(record(i) for i in range(RECORDS))


class Checks:
    """Runs every check with `client`; a failing check never stops the ones after it."""

    def __init__(self, client):
        self.client = client
        self.name = client.NAME
        self.prefix = f"{os.environ.get('PREFIX', 'matrix')}-{self.name}"
        self.failed = 0

    def run(self):
        checks = [(f"codec-{codec}", lambda codec=codec: self.codec(codec)) for codec in CODECS]
        checks += [
            ("group-rebalance", self.group_rebalance),
            ("offset-commit", self.offset_commit),
            ("seek-by-time", self.seek_by_time),
            ("admin", self.admin),
        ]
        for name, check in checks:
            try:
                print(f"PASS {self.name} {name} {check() or ''}".rstrip(), flush=True)
            except Exception as error:  # a check reports whatever went wrong and the next one runs
                self.failed += 1
                traceback.print_exc()
                print(f"FAIL {self.name} {name}: {error!r}", flush=True)
        sys.exit(1 if self.failed else 0)

    def topic(self, suffix, partitions=PARTITIONS):
        topic = f"{self.prefix}-{suffix}"
        self.client.create_topic(topic, partitions)
        return topic

    def codec(self, codec):
        topic = self.topic(f"codec-{codec}")
        self.client.produce(topic, [record(i) for i in range(RECORDS)], codec)
        got = checksum(self.client.read_all(topic, PARTITIONS, RECORDS))
        assert got == EXPECTED, f"read back {got}, produced {EXPECTED}"
        return got

    def group_rebalance(self):
        """Two members share a topic; the second one leaves; nothing is left unread and offsets are committed."""
        topic, group = self.topic("group", 4), f"{self.prefix}-group"
        seen, lock, stop = [], threading.Lock(), [threading.Event(), threading.Event()]
        owned = [set(), set()]

        def member(n):
            def on_records(pairs):
                with lock:
                    seen.extend(pairs)

            self.client.join(topic, group, on_records, owned[n], stop[n])

        threads = [threading.Thread(target=member, args=(n,)) for n in range(2)]
        for thread in threads:
            thread.start()
        wait_for(lambda: len(owned[0]) == 2 and len(owned[1]) == 2, "both members own two partitions")
        self.client.produce(topic, [record(i) for i in range(500)], "none")
        wait_for(lambda: len(set(seen)) == 500, "500 records read by two members")
        stop[1].set()
        threads[1].join(30)
        wait_for(lambda: len(owned[0]) == 4, "the member that stays owns all partitions")
        self.client.produce(topic, [record(i) for i in range(500, 1000)], "none")
        wait_for(lambda: len(set(seen)) == 1000, "1000 records read")
        stop[0].set()
        threads[0].join(30)
        committed = self.client.committed(topic, group, range(4))
        assert sum(committed) == 1000, f"committed {committed}"
        return checksum(set(seen))

    def offset_commit(self):
        topic, group = self.topic("commit", 1), f"{self.prefix}-commit"
        self.client.produce(topic, [record(i) for i in range(100)], "none")
        self.client.commit(topic, group, 42)
        assert self.client.committed(topic, group, [0]) == [42]
        first = self.client.first_of_group(topic, group)
        assert first == 42, f"a group committed at 42 starts at {first}"

    def seek_by_time(self):
        topic, base = self.topic("time", 1), int(time.time() * 1000) - 100_000
        self.client.produce(topic, [record(i) for i in range(100)], "none", [base + i * 1000 for i in range(100)])
        found = [self.client.offset_at(topic, at) for at in (base, base + 41_500, base + 99_000, base + 99_001)]
        assert found == [0, 42, 99, None], f"offsets by time: {found}"

    def admin(self):
        topic = self.topic("admin", 1)
        assert self.client.broker_ids(), "no brokers in the cluster description"
        self.client.set_config(topic, "retention.ms", "3600000")
        assert self.client.get_config(topic, "retention.ms") == "3600000"
        assert self.client.get_config(topic, "cleanup.policy") == "delete"
        self.client.grow(topic, 3)
        wait_for(lambda: self.client.partitions(topic) == 3, "three partitions")
        group = f"{self.prefix}-commit"
        assert group in self.client.groups(), "the group is listed"
        self.client.delete_group(group)
        wait_for(lambda: group not in self.client.groups(), "the group is gone")
        self.client.delete_topic(topic)
        wait_for(lambda: self.client.partitions(topic) == 0, "the topic is gone")


def wait_for(condition, what, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"did not happen in {seconds} s: {what}")
        time.sleep(0.05)
