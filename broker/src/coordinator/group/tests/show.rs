//! Answers, records and requests as text.

use bytes::Bytes;
use bytestring::ByteString;
use goatq_protocol::message::internal::{ConsumerProtocolSubscription, encode_versioned, split_version};
use goatq_protocol::record::{self, Limits};
use goatq_protocol::wire::Versioned;

use super::super::error::GroupError;
use super::super::records::GroupRecord;
use super::super::request::{FetchedTopic, GroupResponse, TopicOutcomes};
use crate::coordinator::runtime::shard::CallError;

/// A consumer's subscription to `topics`.
pub(super) fn subscription(topics: &str) -> Bytes {
    let topics = topics.split('+').filter(|topic| !topic.is_empty()).map(ByteString::from).collect();
    let subscription = ConsumerProtocolSubscription { topics, ..Default::default() };
    encode_versioned(&subscription, 3).expect("short names fit")
}

fn metadata(bytes: &Bytes) -> String {
    let subscription =
        split_version(bytes.clone()).and_then(|(_, body)| ConsumerProtocolSubscription::from_bytes(body, 0));
    match subscription {
        Ok(subscription) => subscription.topics.join("+"),
        Err(_) => text(bytes),
    }
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn opt(value: Option<&ByteString>) -> &str {
    value.map_or("-", |text| text.as_ref())
}

fn outcome(error: Option<GroupError>) -> String {
    error.map_or_else(|| "ok".to_owned(), |error| format!("{error:?}"))
}

fn outcomes(topics: &TopicOutcomes) -> String {
    let parts = topics.iter().flat_map(|(topic, parts)| {
        parts.iter().map(move |(partition, error)| format!("{topic}/{partition}={}", outcome(*error)))
    });
    parts.collect::<Vec<_>>().join(" ")
}

fn fetched(topics: &[FetchedTopic]) -> String {
    let parts = topics.iter().flat_map(|topic| {
        topic.offsets.iter().map(move |offset| match offset.error {
            Some(error) => format!("{}/{}={error:?}", topic.topic, offset.partition),
            None => {
                let note = if offset.metadata.is_empty() { String::new() } else { format!("({})", offset.metadata) };
                let epoch = if offset.leader_epoch < 0 { String::new() } else { format!("@{}", offset.leader_epoch) };
                format!("{}/{}={}{epoch}{note}", topic.topic, offset.partition, offset.offset)
            }
        })
    });
    let parts: Vec<_> = parts.collect();
    if parts.is_empty() { "no offsets".to_owned() } else { parts.join(" ") }
}

pub(super) fn answer(answer: Result<GroupResponse, CallError>) -> String {
    let response = match answer {
        Ok(response) => response,
        Err(error) => return format!("failed: {error:?}"),
    };
    match response {
        GroupResponse::Join(Ok(joined)) => {
            let (kind, protocol) = (opt(joined.protocol_type.as_ref()), opt(joined.protocol.as_ref()));
            let members = joined.members.iter().map(|one| format!("{}[{}]", one.member, metadata(&one.metadata)));
            let members = members.collect::<Vec<_>>().join(" ");
            let skip = if joined.skip_assignment { " skip-assignment" } else { "" };
            let (member, generation, leader) = (&joined.member, joined.generation, &joined.leader);
            format!(
                "joined as {member}, generation {generation}, {kind}/{protocol}, leader {leader}{skip}, members [{members}]"
            )
        }
        GroupResponse::Join(Err(refused)) => format!("{:?} id={:?}", refused.error, &*refused.member),
        GroupResponse::Sync(Ok(synced)) => {
            let (kind, protocol) = (opt(synced.protocol_type.as_ref()), opt(synced.protocol.as_ref()));
            format!("assigned {:?}, {kind}/{protocol}", text(&synced.assignment))
        }
        GroupResponse::Sync(Err(error)) | GroupResponse::Leave(Err(error)) => format!("{error:?}"),
        GroupResponse::Heartbeat(result) => outcome(result.err()),
        GroupResponse::Leave(Ok(all)) | GroupResponse::DeleteGroups(all) => {
            all.into_iter().map(outcome).collect::<Vec<_>>().join(" ")
        }
        GroupResponse::Commit(Ok(topics)) | GroupResponse::DeleteOffsets(Ok(topics)) => outcomes(&topics),
        GroupResponse::Commit(Err(error)) | GroupResponse::DeleteOffsets(Err(error)) => format!("{error:?}"),
        GroupResponse::Fetch(topics) => fetched(&topics),
        GroupResponse::Describe(Ok(group)) => {
            let mut lines = format!("{} type={} protocol={}", group.state.name(), group.protocol_type, group.protocol);
            for member in group.members {
                let (id, instance, host) = (&member.member, opt(member.instance.as_ref()), &member.client_host);
                let (said, got) = (metadata(&member.metadata), text(&member.assignment));
                lines += &format!("\n  {id} instance={instance} {}@{host} [{said}] {got:?}", member.client_id);
            }
            lines
        }
        GroupResponse::Describe(Err(error)) => format!("{error:?}"),
        GroupResponse::List(groups) => {
            let groups = groups.iter().map(|one| format!("{}({},{})", one.group, one.protocol_type, one.state.name()));
            groups.collect::<Vec<_>>().join(" ")
        }
        GroupResponse::TopicsDeleted => "done".to_owned(),
    }
}

/// The records of a batch, a line each.
pub(super) fn batch(bytes: &Bytes) -> Vec<String> {
    let mut lines = Vec::new();
    for batch in record::split(bytes) {
        let batch = batch.expect("the log holds batches");
        for record in batch.records(Limits::default()) {
            let record = record.expect("batches hold records");
            let key = record.key.unwrap_or_default();
            lines.push(match GroupRecord::decode(&key, record.value.as_ref()) {
                Ok(Some(typed)) => self::record(&typed),
                Ok(None) => "record of another kind".to_owned(),
                Err(error) => format!("bad record: {error}"),
            });
        }
    }
    lines
}

fn record(record: &GroupRecord) -> String {
    match record {
        GroupRecord::Group { group, value: None } => format!("record: group {group} ends"),
        GroupRecord::Group { group, value: Some(stored) } => {
            let (kind, protocol) = (opt(stored.protocol_type.as_ref()), opt(stored.protocol.as_ref()));
            let members = stored.members.iter().map(|member| {
                let id = match &member.instance {
                    Some(instance) => format!("{}({instance})", member.id),
                    None => member.id.to_string(),
                };
                format!("{id}[{}]={:?}", metadata(&member.subscription), text(&member.assignment))
            });
            let members = members.collect::<Vec<_>>().join(" ");
            let (generation, leader) = (stored.generation, opt(stored.leader.as_ref()));
            format!(
                "record: group {group} generation {generation} {kind}/{protocol} leader {leader} members [{members}]"
            )
        }
        GroupRecord::Offset { group, topic, partition, value: None } => {
            format!("record: offset {group} {topic}/{partition} ends")
        }
        GroupRecord::Offset { group, topic, partition, value: Some(stored) } => {
            let expires = stored.expire_ms.map(|ms| format!(" expires at {ms}")).unwrap_or_default();
            let (offset, at) = (stored.offset, stored.commit_ms);
            format!("record: offset {group} {topic}/{partition} = {offset} at {at}{expires}")
        }
    }
}
