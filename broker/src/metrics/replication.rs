//! Replication: who came into sync and fell out of it, what went between brokers, and what was lost or healed.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::encode::Metric;
use super::topics::Count;

/// What the partitions of a node count together.
#[derive(Debug, Default)]
pub struct ReplicationCounts {
    /// Times that the ISR of a partition led here lost a member.
    pub isr_shrinks: Count,
    /// Times that it got one.
    pub isr_expands: Count,
    /// Changes of it that the controller did not make.
    pub failed_isr_updates: Count,
    /// Bytes of records from leaders.
    pub bytes_in: Count,
    /// Bytes of records to followers.
    pub bytes_out: Count,
    /// How many of `bytes_in` by replicas that are on their way to this node.
    pub reassignment_bytes_in: Count,
    /// How many of `bytes_out` of partitions that are being reassigned.
    pub reassignment_bytes_out: Count,
    /// Records that followers here cut after an unclean election; some of them may have been acknowledged.
    pub lost_records: Count,
    /// Logs here that were found damaged and are fetched anew.
    pub healed_logs: Count,
    /// Logs here that ended before what they had acknowledged when they were opened.
    pub short_logs: Count,
}

impl Collector for ReplicationCounts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let counts = [
            ("kafka_server_replicamanager_isrshrinks", "Replicas that fell out of sync.", &self.isr_shrinks),
            ("kafka_server_replicamanager_isrexpands", "Replicas that came back into sync.", &self.isr_expands),
            (
                "kafka_server_replicamanager_failedisrupdates",
                "Changes of the in-sync set that failed.",
                &self.failed_isr_updates,
            ),
            ("kafka_server_brokertopicmetrics_replicationbytesin", "Bytes read from leaders.", &self.bytes_in),
            ("kafka_server_brokertopicmetrics_replicationbytesout", "Bytes sent to followers.", &self.bytes_out),
            (
                "kafka_server_brokertopicmetrics_reassignmentbytesin",
                "Bytes read by replicas on the move.",
                &self.reassignment_bytes_in,
            ),
            (
                "kafka_server_brokertopicmetrics_reassignmentbytesout",
                "Bytes sent to replicas on the move.",
                &self.reassignment_bytes_out,
            ),
            ("goatq_replication_lost_records", "Records that were cut after an unclean election.", &self.lost_records),
            ("goatq_replication_healed_logs", "Damaged logs that are fetched anew.", &self.healed_logs),
            (
                "goatq_replication_short_logs",
                "Logs that ended before what they had acknowledged when they were opened.",
                &self.short_logs,
            ),
        ];
        for (name, help, count) in counts {
            Metric::counter(&mut encoder, name, help)?.count(&[], count.get())?;
        }
        Ok(())
    }
}
