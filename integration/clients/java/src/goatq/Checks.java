package goatq;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** The checks of ../README.md with Kafka's own Java client. */
public final class Checks {
    static final String NAME = "java";
    static final int RECORDS = 1000;
    static final int PARTITIONS = 3;

    interface Check {
        String run() throws Exception;
    }

    private final String bootstrap = System.getenv("BOOTSTRAP");
    private final String prefix = System.getenv().getOrDefault("PREFIX", "matrix") + "-" + NAME;
    private final Admin admin = Admin.create(Map.<String, Object>of("bootstrap.servers", bootstrap));
    private int failed;

    public static void main(String[] args) {
        Checks checks = new Checks();
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            checks.run("codec-" + codec, () -> checks.codec(codec));
        }
        for (String assignor : List.of("Range", "RoundRobin", "Sticky", "CooperativeSticky")) {
            checks.run("group-rebalance-" + assignor, () -> checks.groupRebalance(assignor));
        }
        checks.run("offset-commit", checks::offsetCommit);
        checks.run("seek-by-time", checks::seekByTime);
        checks.run("admin", checks::adminCalls);
        checks.admin.close();
        System.exit(checks.failed > 0 ? 1 : 0);
    }

    private void run(String name, Check check) {
        try {
            System.out.println(("PASS " + NAME + " " + name + " " + check.run()).stripTrailing());
        } catch (Exception | AssertionError error) {
            failed++;
            error.printStackTrace();
            System.out.println("FAIL " + NAME + " " + name + ": " + error);
        }
    }

    /** Value i of the shared data set: the same bytes in every language. */
    private static String value(int i) throws Exception {
        return sha256("goatq-" + i).repeat(32).substring(0, i * 37 % 2000);
    }

    private static String line(String key, String value) {
        return key + "\t" + value + "\n";
    }

    private static String sha256(String text) throws Exception {
        byte[] digest = MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8));
        return HexFormat.of().formatHex(digest);
    }

    private static String checksum(Collection<String> lines) throws Exception {
        return sha256(String.join("", lines.stream().sorted().toList()));
    }

    private static void check(boolean condition, String what) {
        if (!condition) {
            throw new AssertionError(what);
        }
    }

    private static void until(java.util.concurrent.Callable<Boolean> condition, String what) throws Exception {
        for (long end = System.nanoTime() + 60_000_000_000L; System.nanoTime() < end; Thread.sleep(50)) {
            if (condition.call()) {
                return;
            }
        }
        throw new AssertionError("did not happen in 60 s: " + what);
    }

    private String topic(String suffix, int partitions) throws Exception {
        String topic = prefix + "-" + suffix;
        admin.createTopics(List.of(new NewTopic(topic, partitions, (short) 1))).all().get();
        return topic;
    }

    private void produce(String topic, String codec, int from, int to, long base) throws Exception {
        Properties p = new Properties();
        p.put("bootstrap.servers", bootstrap);
        p.put("compression.type", codec);
        p.put("linger.ms", "20");
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (var producer = new KafkaProducer<>(p, new StringSerializer(), new StringSerializer())) {
            for (int i = from; i < to; i++) {
                Long at = base > 0 ? base + i * 1000L : null;
                var header = new RecordHeader("n", Integer.toString(i).getBytes(StandardCharsets.UTF_8));
                sent.add(producer.send(new ProducerRecord<>(topic, null, at, "key-" + i, value(i), List.of(header))));
            }
        }
        for (Future<RecordMetadata> f : sent) {
            f.get();
        }
    }

    private KafkaConsumer<String, String> consumer(String group, String assignor) {
        Properties p = new Properties();
        p.put("bootstrap.servers", bootstrap);
        p.put("group.id", group);
        p.put("auto.offset.reset", "earliest");
        p.put("enable.auto.commit", "false");
        p.put("session.timeout.ms", "10000");
        p.put("heartbeat.interval.ms", "500");
        p.put("partition.assignment.strategy", "org.apache.kafka.clients.consumer." + assignor + "Assignor");
        return new KafkaConsumer<>(p, new StringDeserializer(), new StringDeserializer());
    }

    private static String line(ConsumerRecord<String, String> r) {
        check(r.headers().toArray().length == 1 && r.headers().lastHeader("n") != null, "the header is there");
        return line(r.key(), r.value());
    }

    private String codec(String codec) throws Exception {
        String topic = topic("codec-" + codec, PARTITIONS);
        produce(topic, codec, 0, RECORDS, 0);
        List<String> lines = new ArrayList<>();
        try (var consumer = consumer(prefix + "-unused", "Range")) {
            consumer.assign(IntStream.range(0, PARTITIONS).mapToObj(p -> new TopicPartition(topic, p)).toList());
            consumer.seekToBeginning(consumer.assignment());
            until(() -> {
                consumer.poll(Duration.ofMillis(500)).forEach(r -> lines.add(line(r)));
                return lines.size() >= RECORDS;
            }, "all records read");
        }
        List<String> produced = new ArrayList<>();
        for (int i = 0; i < RECORDS; i++) {
            produced.add(line("key-" + i, value(i)));
        }
        check(checksum(lines).equals(checksum(produced)), "read back " + checksum(lines));
        return checksum(lines);
    }

    /** A group member on its own thread. */
    private final class Member extends Thread {
        private final String topic;
        private final KafkaConsumer<String, String> consumer;
        private final Set<String> seen;
        volatile int owned;
        volatile boolean stop;

        Member(String topic, String group, String assignor, Set<String> seen) {
            this.topic = topic;
            this.consumer = consumer(group, assignor);
            this.seen = seen;
            start();
        }

        @Override
        public void run() {
            consumer.subscribe(List.of(topic));
            while (!stop) {
                var records = consumer.poll(Duration.ofMillis(100));
                owned = consumer.assignment().size();
                records.forEach(r -> seen.add(line(r)));
                if (!records.isEmpty()) {
                    try {
                        consumer.commitSync();
                    } catch (org.apache.kafka.common.KafkaException rebalanced) {
                        // What is not committed is read again by the partition's next owner.
                    }
                }
            }
            consumer.close();
        }
    }

    private long committed(String group) throws Exception {
        var found = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
        return found.values().stream().mapToLong(OffsetAndMetadata::offset).sum();
    }

    private String groupRebalance(String assignor) throws Exception {
        String topic = topic("group-" + assignor, 4);
        String group = prefix + "-group-" + assignor;
        Set<String> seen = ConcurrentHashMap.newKeySet();
        Member a = new Member(topic, group, assignor, seen);
        Member b = new Member(topic, group, assignor, seen);
        until(() -> a.owned == 2 && b.owned == 2, "both members own two partitions");
        produce(topic, "none", 0, 500, 0);
        until(() -> seen.size() == 500, "500 records read by two members");
        b.stop = true;
        b.join();
        until(() -> a.owned == 4, "the member that stays owns all partitions");
        produce(topic, "none", 500, RECORDS, 0);
        until(() -> seen.size() == RECORDS && committed(group) == RECORDS, "all records read and committed");
        a.stop = true;
        a.join();
        return checksum(seen);
    }

    private String offsetCommit() throws Exception {
        String topic = topic("commit", 1);
        produce(topic, "none", 0, 100, 0);
        String group = prefix + "-commit";
        admin.alterConsumerGroupOffsets(group, Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(42))).all().get();
        check(committed(group) == 42, "the offset reads back as 42");
        try (var consumer = consumer(group, "Range")) {
            consumer.subscribe(List.of(topic));
            List<Long> offsets = new ArrayList<>();
            until(() -> {
                consumer.poll(Duration.ofMillis(500)).forEach(r -> offsets.add(r.offset()));
                return !offsets.isEmpty();
            }, "a record is read");
            check(offsets.get(0) == 42, "a group committed at 42 starts at " + offsets.get(0));
        }
        return "";
    }

    private String seekByTime() throws Exception {
        String topic = topic("time", 1);
        long base = System.currentTimeMillis() - 100_000;
        produce(topic, "none", 0, 100, base);
        TopicPartition p = new TopicPartition(topic, 0);
        try (var consumer = consumer(prefix + "-unused", "Range")) {
            var wanted = new HashMap<>(Map.of(0L, 0L, 41_500L, 42L, 99_000L, 99L));
            for (var at : wanted.entrySet()) {
                long offset = consumer.offsetsForTimes(Map.of(p, base + at.getKey())).get(p).offset();
                check(offset == at.getValue(), "offset at +" + at.getKey() + " ms: " + offset);
            }
            check(consumer.offsetsForTimes(Map.of(p, base + 99_001)).get(p) == null, "nothing after the last record");
        }
        return "";
    }

    private String adminCalls() throws Exception {
        String topic = topic("admin", 1);
        check(!admin.describeCluster().nodes().get().isEmpty(), "there are brokers");
        check(!admin.describeFeatures().featureMetadata().get().finalizedFeatures().isEmpty(), "there are features");
        var resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        var set = new AlterConfigOp(new ConfigEntry("retention.ms", "3600000"), AlterConfigOp.OpType.SET);
        admin.incrementalAlterConfigs(Map.of(resource, List.of(set))).all().get();
        var config = admin.describeConfigs(List.of(resource)).all().get().get(resource);
        check(config.get("retention.ms").value().equals("3600000"), "retention.ms is set");
        check(config.get("retention.ms").source() == ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, "source of retention.ms");
        check(config.get("cleanup.policy").source() == ConfigEntry.ConfigSource.DEFAULT_CONFIG, "source of cleanup.policy");
        admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(3))).all().get();
        until(() -> admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size() == 3, "grown");
        produce(topic, "none", 0, 100, 0);
        var p = new TopicPartition(topic, 1);
        admin.deleteRecords(Map.of(p, RecordsToDelete.beforeOffset(5))).all().get();
        var start = admin.listOffsets(Map.of(p, org.apache.kafka.clients.admin.OffsetSpec.earliest())).all().get();
        check(start.get(p).offset() == 5, "the log starts at 5");
        adminGroups();
        admin.deleteTopics(List.of(topic)).all().get();
        until(() -> !admin.listTopics().names().get().contains(topic), "the topic is gone");
        return "";
    }

    private void adminGroups() throws Exception {
        String group = prefix + "-commit";
        var described = admin.describeConsumerGroups(List.of(group)).all().get().get(group);
        check(described.groupState().toString().equals("Empty"), "group state " + described.groupState());
        admin.deleteConsumerGroups(List.of(group)).all().get();
        check(admin.listGroups().all().get().stream().noneMatch(g -> g.groupId().equals(group)), "the group is gone");
        try {
            admin.describeConsumerGroups(List.of(group)).all().get();
            throw new AssertionError("a deleted group is described");
        } catch (ExecutionException gone) {
            check(gone.getCause() instanceof org.apache.kafka.common.errors.GroupIdNotFoundException, "" + gone.getCause());
        }
    }
}
