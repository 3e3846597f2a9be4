// The checks of ../README.md with kafkajs, a client written in JavaScript alone.
import { createHash } from 'node:crypto'
import * as zstd from '@bokuweb/zstd-wasm'
import kafkajs from 'kafkajs'
import lz4 from 'lz4-napi'
import snappy from 'snappyjs'

const { AssignerProtocol, CompressionCodecs, CompressionTypes, ConfigResourceTypes, Kafka, logLevel } = kafkajs
const NAME = 'kafkajs'
const RECORDS = 1000
const PARTITIONS = 3
const prefix = `${process.env.PREFIX ?? 'matrix'}-${NAME}`
const kafka = new Kafka({ brokers: [process.env.BOOTSTRAP], clientId: NAME, logLevel: logLevel.ERROR })

// kafkajs brings gzip and takes the other codecs as plug-ins.
CompressionCodecs[CompressionTypes.Snappy] = () => ({
  compress: async encoder => Buffer.from(snappy.compress(encoder.buffer)),
  decompress: async buffer => Buffer.from(snappy.uncompress(unframed(buffer))),
})
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: encoder => lz4.compressFrame(encoder.buffer),
  decompress: buffer => lz4.decompressFrame(buffer),
})
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async encoder => Buffer.from(zstd.compress(encoder.buffer, 3)),
  decompress: async buffer => Buffer.from(zstd.decompress(buffer)),
})

function unframed(buffer) {
  if (buffer.subarray(0, 8).toString('hex') === '82534e4150505900') throw new Error('a broker must not re-frame snappy')
  return buffer
}

/** Record i of the shared data set: the same bytes in every language. */
function record(i) {
  const digest = createHash('sha256').update(`goatq-${i}`).digest('hex')
  return { key: `key-${i}`, value: digest.repeat(32).slice(0, (i * 37) % 2000), headers: { n: String(i) } }
}

const range = (from, to) => Array.from({ length: to - from }, (_, i) => from + i)
const line = ({ key, value }) => `${key}\t${value}\n`
const checksum = lines => createHash('sha256').update([...lines].sort().join('')).digest('hex')
const expected = checksum(range(0, RECORDS).map(record).map(line))

function assert(condition, what) {
  if (!condition) throw new Error(what)
}

async function until(condition, what) {
  for (const end = Date.now() + 60_000; Date.now() < end; ) {
    if (await condition()) return
    await new Promise(done => setTimeout(done, 50))
  }
  throw new Error(`did not happen in 60 s: ${what}`)
}

const admin = kafka.admin()

async function topic(suffix, numPartitions) {
  const name = `${prefix}-${suffix}`
  await admin.createTopics({ waitForLeaders: true, topics: [{ topic: name, numPartitions, replicationFactor: 1 }] })
  return name
}

async function produce(topic, messages, compression = CompressionTypes.None) {
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  await producer.send({ topic, messages, compression, acks: -1 })
  await producer.disconnect()
}

/** A member of a group that hands every record to `seen` and tells what it owns. */
async function member(topic, groupId, seen) {
  const consumer = kafka.consumer({ groupId, sessionTimeout: 10_000, heartbeatInterval: 500, rebalanceTimeout: 10_000 })
  const state = { consumer, owned: 0 }
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => (state.owned = payload.memberAssignment[topic]?.length ?? 0))
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  const eachMessage = async ({ message }) => {
    assert(Object.keys(message.headers).join() === 'n', 'the header is there')
    seen.add(line({ key: message.key.toString(), value: message.value.toString() }))
  }
  await consumer.run({ eachMessage, autoCommitThreshold: 50, autoCommitInterval: 200 })
  return state
}

async function codec(name) {
  const type = { none: 'None', gzip: 'GZIP', snappy: 'Snappy', lz4: 'LZ4', zstd: 'ZSTD' }[name]
  const target = await topic(`codec-${name}`, PARTITIONS)
  await produce(target, range(0, RECORDS).map(record), CompressionTypes[type])
  const seen = new Set()
  const { consumer } = await member(target, `${prefix}-codec-${name}`, seen)
  await until(() => seen.size === RECORDS, `${RECORDS} records read`)
  await consumer.disconnect()
  assert(checksum(seen) === expected, `read back ${checksum(seen)}, produced ${expected}`)
  return checksum(seen)
}

async function committed(groupId) {
  const [found] = await admin.fetchOffsets({ groupId })
  return found.partitions.map(p => Math.max(0, Number(p.offset))).reduce((a, b) => a + b, 0)
}

async function groupRebalance() {
  const target = await topic('group', 4)
  const seen = new Set()
  const [a, b] = await Promise.all([member(target, `${prefix}-group`, seen), member(target, `${prefix}-group`, seen)])
  await until(() => a.owned === 2 && b.owned === 2, 'both members own two partitions')
  await produce(target, range(0, 500).map(record))
  await until(() => seen.size === 500, '500 records read by two members')
  await b.consumer.disconnect()
  await until(() => a.owned === 4, 'the member that stays owns all partitions')
  await produce(target, range(500, RECORDS).map(record))
  await until(() => seen.size === RECORDS, 'all records read')
  await until(async () => (await committed(`${prefix}-group`)) === RECORDS, 'all offsets committed')
  await a.consumer.disconnect()
  return checksum(seen)
}

async function offsetCommit() {
  const target = await topic('commit', 1)
  await produce(target, range(0, 100).map(record))
  const groupId = `${prefix}-commit`
  await admin.setOffsets({ groupId, topic: target, partitions: [{ partition: 0, offset: '42' }] })
  assert((await committed(groupId)) === 42, 'the offset reads back as 42')
  const seen = new Set()
  const { consumer } = await member(target, groupId, seen)
  await until(() => seen.size === 58, 'the 58 records from offset 42 on are read')
  await consumer.disconnect()
}

async function seekByTime() {
  const target = await topic('time', 1)
  const base = Date.now() - 100_000
  await produce(target, range(0, 100).map(i => ({ ...record(i), timestamp: String(base + i * 1000) })))
  for (const [at, want] of [[0, '0'], [41_500, '42'], [99_000, '99']]) {
    const [{ offset }] = await admin.fetchTopicOffsetsByTimestamp(target, base + at)
    assert(offset === want, `offset at +${at} ms: ${offset}, not ${want}`)
  }
}

async function adminCalls() {
  const target = await topic('admin', 1)
  assert((await admin.describeCluster()).brokers.length > 0, 'there are brokers')
  const resource = { type: ConfigResourceTypes.TOPIC, name: target }
  await admin.alterConfigs({ resources: [{ ...resource, configEntries: [{ name: 'retention.ms', value: '3600000' }] }] })
  const { resources } = await admin.describeConfigs({ resources: [resource] })
  const entry = resources[0].configEntries.find(e => e.configName === 'retention.ms')
  assert(entry.configValue === '3600000', `retention.ms is ${entry.configValue}`)
  await admin.createPartitions({ topicPartitions: [{ topic: target, count: 3 }] })
  const count = async () => (await admin.fetchTopicMetadata({ topics: [target] })).topics[0].partitions.length
  await until(async () => (await count()) === 3, 'three partitions')
  const listed = async id => (await admin.listGroups()).groups.some(g => g.groupId === id)
  const group = `${prefix}-commit`
  assert(await listed(group), 'the group is listed')
  await admin.deleteGroups([group])
  assert(!(await listed(group)), 'the group is gone')
  await admin.deleteTopics({ topics: [target] })
  await until(async () => !(await admin.listTopics()).includes(target), 'the topic is gone')
}

async function main() {
  await zstd.init()
  await admin.connect()
  const checks = ['none', 'gzip', 'snappy', 'lz4', 'zstd'].map(c => [`codec-${c}`, () => codec(c)])
  checks.push(['group-rebalance', groupRebalance], ['offset-commit', offsetCommit])
  checks.push(['seek-by-time', seekByTime], ['admin', adminCalls])
  let failed = 0
  for (const [name, check] of checks) {
    try {
      console.log(`PASS ${NAME} ${name} ${(await check()) ?? ''}`.trimEnd())
    } catch (error) {
      failed += 1
      console.log(`FAIL ${NAME} ${name}: ${error.stack}`)
    }
  }
  await admin.disconnect()
  process.exit(failed ? 1 : 0)
}

await main()
