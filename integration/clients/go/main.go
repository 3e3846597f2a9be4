// The checks of ../README.md with franz-go, a client written in Go alone.
package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	name       = "franz-go"
	records    = 1000
	partitions = 3
)

var (
	bootstrap = kgo.SeedBrokers(os.Getenv("BOOTSTRAP"))
	prefix    = os.Getenv("PREFIX") + "-" + name
	codecs    = map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
)

type checks struct {
	ctx   context.Context
	admin *kadm.Client
}

// record gives record i of the shared data set: the same bytes in every language.
func record(i int) (string, string) {
	digest := fmt.Sprintf("%x", sha256.Sum256([]byte(fmt.Sprintf("goatq-%d", i))))
	length := i * 37 % 2000
	return fmt.Sprintf("key-%d", i), strings.Repeat(digest, length/64+1)[:length]
}

func checksum(lines []string) string {
	sort.Strings(lines)
	return fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join(lines, ""))))
}

func line(key, value string) string { return key + "\t" + value + "\n" }

func expected() string {
	var lines []string
	for i := range records {
		lines = append(lines, line(record(i)))
	}
	return checksum(lines)
}

func client(opts ...kgo.Opt) *kgo.Client {
	c, err := kgo.NewClient(append(opts, bootstrap, kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		panic(err)
	}
	return c
}

func (c *checks) topic(suffix string, count int32) (string, error) {
	topic := prefix + "-" + suffix
	_, err := c.admin.CreateTopic(c.ctx, count, 1, nil, topic)
	return topic, err
}

func (c *checks) produce(topic, codec string, from, to int, base int64) error {
	producer := client(kgo.ProducerBatchCompression(codecs[codec]), kgo.ProducerLinger(20*time.Millisecond))
	defer producer.Close()
	var batch []*kgo.Record
	for i := from; i < to; i++ {
		key, value := record(i)
		r := &kgo.Record{Topic: topic, Key: []byte(key), Value: []byte(value)}
		r.Headers = []kgo.RecordHeader{{Key: "n", Value: []byte(fmt.Sprint(i))}}
		if base > 0 {
			r.Timestamp = time.UnixMilli(base + int64(i)*1000)
		}
		batch = append(batch, r)
	}
	return producer.ProduceSync(c.ctx, batch...).FirstErr()
}

func (c *checks) codec(codec string) (string, error) {
	topic, err := c.topic("codec-"+codec, partitions)
	if err != nil {
		return "", err
	}
	if err := c.produce(topic, codec, 0, records, 0); err != nil {
		return "", err
	}
	consumer := client(kgo.ConsumeTopics(topic))
	defer consumer.Close()
	var lines []string
	for len(lines) < records {
		fetches := consumer.PollFetches(c.ctx)
		if err := fetches.Err(); err != nil {
			return "", fmt.Errorf("after %d records: %w", len(lines), err)
		}
		fetches.EachRecord(func(r *kgo.Record) { lines = append(lines, line(string(r.Key), string(r.Value))) })
	}
	got := checksum(lines)
	if want := expected(); got != want {
		return "", fmt.Errorf("read back %s, produced %s", got, want)
	}
	return got, nil
}

// A member of a group, and what it reads and owns.
type member struct {
	client *kgo.Client
	mu     sync.Mutex
	owned  map[int32]bool
}

func (m *member) owns() int { m.mu.Lock(); defer m.mu.Unlock(); return len(m.owned) }

func (m *member) change(partitions []int32, add bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range partitions {
		if add {
			m.owned[p] = true
		} else {
			delete(m.owned, p)
		}
	}
}

func join(topic, group string, seen *sync.Map, balancer kgo.GroupBalancer) *member {
	m := &member{owned: map[int32]bool{}}
	gone := func(_ context.Context, _ *kgo.Client, lost map[string][]int32) { m.change(lost[topic], false) }
	m.client = client(kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.Balancers(balancer),
		kgo.DisableAutoCommit(), kgo.HeartbeatInterval(500*time.Millisecond),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, got map[string][]int32) { m.change(got[topic], true) }),
		kgo.OnPartitionsRevoked(gone), kgo.OnPartitionsLost(gone))
	go func() {
		for {
			fetches := m.client.PollFetches(context.Background())
			if fetches.IsClientClosed() {
				return
			}
			fetches.EachRecord(func(r *kgo.Record) { seen.Store(line(string(r.Key), string(r.Value)), true) })
			_ = m.client.CommitUncommittedOffsets(context.Background())
		}
	}()
	return m
}

func lines(seen *sync.Map) (found []string) {
	seen.Range(func(key, _ any) bool { found = append(found, key.(string)); return true })
	return found
}

// Two members share a topic; one leaves; nothing stays unread and every offset is committed.
func (c *checks) groupRebalance(kind string, balancer kgo.GroupBalancer) (string, error) {
	topic, err := c.topic("group-"+kind, 4)
	if err != nil {
		return "", err
	}
	var seen sync.Map
	group := prefix + "-group-" + kind
	a, b := join(topic, group, &seen, balancer), join(topic, group, &seen, balancer)
	defer a.client.Close()
	if !within(func() bool { return a.owns() == 2 && b.owns() == 2 }) {
		return "", fmt.Errorf("two members own %d and %d partitions", a.owns(), b.owns())
	}
	if err := c.produce(topic, "none", 0, 500, 0); err != nil {
		return "", err
	}
	if !within(func() bool { return len(lines(&seen)) == 500 }) {
		return "", errors.New("500 records not read by two members")
	}
	b.client.Close()
	if !within(func() bool { return a.owns() == 4 }) {
		return "", errors.New("the member that stays does not own all partitions")
	}
	if err := c.produce(topic, "none", 500, records, 0); err != nil {
		return "", err
	}
	if !within(func() bool { sum, _ := c.committed(group); return sum == records }) {
		return "", errors.New("1000 records not read and committed")
	}
	return checksum(lines(&seen)), nil
}

func (c *checks) committed(group string) (sum int64, err error) {
	offsets, err := c.admin.FetchOffsets(c.ctx, group)
	offsets.Each(func(o kadm.OffsetResponse) { sum += o.At })
	return sum, err
}

func (c *checks) offsetCommit() (string, error) {
	topic, err := c.topic("commit", 1)
	if err != nil {
		return "", err
	}
	if err := c.produce(topic, "none", 0, 100, 0); err != nil {
		return "", err
	}
	group, offsets := prefix+"-commit", kadm.Offsets{}
	offsets.AddOffset(topic, 0, 42, -1)
	if err := c.admin.CommitAllOffsets(c.ctx, group, offsets); err != nil {
		return "", err
	}
	if sum, err := c.committed(group); sum != 42 || err != nil {
		return "", fmt.Errorf("committed %d, %w", sum, err)
	}
	consumer := client(kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit())
	defer consumer.Close()
	fetches := consumer.PollFetches(c.ctx)
	if first := fetches.RecordIter().Next(); first.Offset != 42 {
		return "", fmt.Errorf("a group committed at 42 starts at %d", first.Offset)
	}
	return "", fetches.Err()
}

func (c *checks) seekByTime() (string, error) {
	topic, err := c.topic("time", 1)
	if err != nil {
		return "", err
	}
	base := time.Now().UnixMilli() - 100_000
	if err := c.produce(topic, "none", 0, 100, base); err != nil {
		return "", err
	}
	for at, want := range map[int64]int64{base: 0, base + 41_500: 42, base + 99_000: 99} {
		found, err := c.admin.ListOffsetsAfterMilli(c.ctx, at, topic)
		if err != nil {
			return "", err
		}
		if o, _ := found.Lookup(topic, 0); o.Offset != want {
			return "", fmt.Errorf("offset at %d: %d, not %d", at-base, o.Offset, want)
		}
	}
	return "", nil
}

func (c *checks) adminCalls() (string, error) {
	topic, err := c.topic("admin", 1)
	if err != nil {
		return "", err
	}
	value := "3600000"
	set := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: &value}}
	if _, err := c.admin.AlterTopicConfigs(c.ctx, set, topic); err != nil {
		return "", err
	}
	configs, err := c.admin.DescribeTopicConfigs(c.ctx, topic)
	if err != nil {
		return "", err
	}
	found := map[string]string{}
	for _, config := range configs[0].Configs {
		found[config.Key] = config.MaybeValue()
	}
	if found["retention.ms"] != value || found["cleanup.policy"] != "delete" {
		return "", fmt.Errorf("configs: %v", found)
	}
	if _, err := c.admin.CreatePartitions(c.ctx, 2, topic); err != nil {
		return "", err
	}
	if !within(func() bool { t, _ := c.admin.ListTopics(c.ctx, topic); return len(t[topic].Partitions) == 3 }) {
		return "", errors.New("the topic did not grow to three partitions")
	}
	if err := c.produce(topic, "none", 0, 100, 0); err != nil {
		return "", err
	}
	ends, err := c.admin.ListEndOffsets(c.ctx, topic)
	if err != nil {
		return "", err
	}
	if _, err := c.admin.DeleteRecords(c.ctx, ends.Offsets()); err != nil {
		return "", err
	}
	starts, err := c.admin.ListStartOffsets(c.ctx, topic)
	if err != nil {
		return "", err
	}
	var sum int64
	starts.Each(func(o kadm.ListedOffset) { sum += o.Offset })
	if sum != 100 {
		return "", fmt.Errorf("after deleting 100 records the start offsets add up to %d", sum)
	}
	return "", c.adminDeletes(topic)
}

func (c *checks) adminDeletes(topic string) error {
	group := prefix + "-commit"
	described, err := c.admin.DescribeGroups(c.ctx, group)
	if err != nil || !within(func() bool {
		described, _ = c.admin.DescribeGroups(c.ctx, group)
		return described[group].State == "Empty"
	}) {
		return fmt.Errorf("group state %q, %w", described[group].State, err)
	}
	if _, err := c.admin.DeleteGroups(c.ctx, group); err != nil {
		return err
	}
	if listed, err := c.admin.ListGroups(c.ctx); err != nil || listed.Groups() == nil {
		return fmt.Errorf("groups: %v, %w", listed.Groups(), err)
	} else if _, there := listed[group]; there {
		return errors.New("a deleted group is still listed")
	}
	if _, err := c.admin.DeleteTopics(c.ctx, topic); err != nil {
		return err
	}
	if !within(func() bool { t, _ := c.admin.ListTopics(c.ctx, topic); return t[topic].Err != nil }) {
		return errors.New("a deleted topic is still there")
	}
	return nil
}

func within(condition func() bool) bool {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if condition() {
			return true
		}
	}
	return condition()
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	plain := client()
	defer plain.Close()
	c := &checks{ctx: ctx, admin: kadm.NewClient(plain)}
	failed := 0
	run := func(check string, f func() (string, error)) {
		sum, err := f()
		if err != nil {
			failed++
			fmt.Printf("FAIL %s %s: %v\n", name, check, err)
			return
		}
		fmt.Println(strings.TrimSpace(fmt.Sprintf("PASS %s %s %s", name, check, sum)))
	}
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		run("codec-"+codec, func() (string, error) { return c.codec(codec) })
	}
	for _, kind := range []string{"range", "roundrobin", "sticky", "cooperative-sticky"} {
		balancer := map[string]kgo.GroupBalancer{"range": kgo.RangeBalancer(), "roundrobin": kgo.RoundRobinBalancer(),
			"sticky": kgo.StickyBalancer(), "cooperative-sticky": kgo.CooperativeStickyBalancer()}[kind]
		run("group-rebalance-"+kind, func() (string, error) { return c.groupRebalance(kind, balancer) })
	}
	run("offset-commit", c.offsetCommit)
	run("seek-by-time", c.seekByTime)
	run("admin", c.adminCalls)
	if failed > 0 {
		os.Exit(1)
	}
}
