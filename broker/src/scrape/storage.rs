//! Logs and the directories they lie in.

use std::fmt;
use std::path::Path;

use prometheus_client::encoding::DescriptorEncoder;

use super::{View, by_partition, count, gauges};
use crate::metrics::encode::Metric;
use crate::partition::Partition;

impl View {
    pub(super) fn storage(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        self.logs(encoder)?;
        self.directories(encoder)?;
        self.reads(encoder)?;
        self.commits(encoder)
    }

    fn logs(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let partitions = &self.partitions;
        let size = |p: &Partition| i64::try_from(p.log().size()).unwrap_or(i64::MAX);
        by_partition(encoder, "kafka_log_log_size", "Bytes on disk.", partitions, size)?;
        let (name, help) = ("kafka_log_log_logstartoffset", "First offset.");
        by_partition(encoder, name, help, partitions, Partition::log_start_offset)?;
        let (name, help) = ("kafka_log_log_logendoffset", "Offset of the next record.");
        by_partition(encoder, name, help, partitions, Partition::log_end_offset)?;
        let segments = |p: &Partition| count(p.log().segment_count());
        by_partition(encoder, "kafka_log_log_numlogsegments", "Segments.", partitions, segments)
    }

    fn directories(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let dirs = self.node.directories.open();
        let failed =
            dirs.iter().filter(|dir| dir.health().is_poisoned()).count() + self.node.directories.failed().len();
        let full = dirs.iter().filter(|dir| !dir.health().has_room()).count();
        gauges(
            encoder,
            &[
                ("kafka_log_logmanager_offlinelogdirectorycount", "Directories that failed.", count(failed)),
                ("goatq_log_dirs_without_room", "Directories whose reserve is reached: no produce.", count(full)),
            ],
        )?;
        let uncleanable = |dir: &Path| {
            let here = self.partitions.iter().filter(|p| p.log().dir().parent() == Some(dir));
            here.filter(|p| p.log().uncleanable().is_some()).count()
        };
        let mut metric = Metric::gauge(
            encoder,
            "kafka_log_logcleanermanager_uncleanable_partitions_count",
            "Logs that are not compacted any more because data in them cannot be read.",
        )?;
        for dir in dirs {
            let path = dir.path().display().to_string();
            metric.whole(&[("logDirectory", &path)], count(uncleanable(dir.path())))?;
        }
        let spaces: Vec<_> = dirs
            .iter()
            .filter_map(|dir| Some((dir.path().display().to_string(), dir.health().check_space().ok()?)))
            .collect();
        let mut metric = Metric::gauge(encoder, "goatq_log_dir_total_bytes", "Size of the directory's disk.")?;
        for (dir, space) in &spaces {
            metric.whole(&[("dir", dir)], i64::try_from(space.total).unwrap_or(i64::MAX))?;
        }
        let mut metric = Metric::gauge(encoder, "goatq_log_dir_available_bytes", "Free space on it.")?;
        for (dir, space) in &spaces {
            metric.whole(&[("dir", dir)], i64::try_from(space.available).unwrap_or(i64::MAX))?;
        }
        Ok(())
    }

    /// Where readers found records.
    fn reads(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let counts: Vec<_> = self.node.directories.open().iter().map(|dir| dir.resources().read_counts()).collect();
        let help = "Bytes of records read: from memory, sent from the page cache, loaded from files.";
        let mut metric = Metric::counter(encoder, "goatq_log_read_bytes", help)?;
        metric.count(&[("from", "memory")], counts.iter().map(|counts| counts.tail_bytes).sum())?;
        metric.count(&[("from", "page_cache")], counts.iter().map(|counts| counts.cached_bytes).sum())?;
        metric.count(&[("from", "file")], counts.iter().map(|counts| counts.loaded_bytes).sum())
    }

    /// Syncs to disk: `commits / turns` logs shared a turn.
    fn commits(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let stats: Vec<_> = self.node.directories.open().iter().map(|dir| dir.commit().stats()).collect();
        let counters = [
            (
                "kafka_log_logflushstats_logflushrateandtimems_count",
                "Files synced to disk.",
                stats.iter().map(|stats| stats.syncs).sum::<u64>(),
            ),
            ("goatq_group_commit_turns", "Turns of group commit.", stats.iter().map(|stats| stats.turns).sum()),
            (
                "goatq_group_commit_commits",
                "Times a log became durable further.",
                stats.iter().map(|stats| stats.commits).sum(),
            ),
            (
                "goatq_group_commit_journaled",
                "How many of these by the journal.",
                stats.iter().map(|stats| stats.journaled).sum(),
            ),
            (
                "goatq_journal_frames",
                "Frames written to the journal.",
                stats.iter().map(|stats| stats.journal.frames).sum(),
            ),
            ("goatq_journal_bytes", "Bytes of them.", stats.iter().map(|stats| stats.journal.bytes).sum()),
            (
                "goatq_journal_checkpoints",
                "Times that room was made in the journal.",
                stats.iter().map(|stats| stats.journal.checkpoints).sum(),
            ),
            (
                "goatq_journal_synced_files",
                "Files synced to make room in the journal.",
                stats.iter().map(|stats| stats.journal.files).sum(),
            ),
        ];
        for (name, help, value) in counters {
            if name.ends_with("_count") {
                // Kafka's reporters show the count of a timer as a plain number; a counter would get a suffix.
                gauges(encoder, &[(name, help, i64::try_from(value).unwrap_or(i64::MAX))])?;
            } else {
                Metric::counter(encoder, name, help)?.count(&[], value)?;
            }
        }
        Ok(())
    }
}
