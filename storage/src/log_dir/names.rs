//! Names of the directories inside a log directory.

use std::fmt::Write;

use goatq_protocol::Uuid;

/// Most bytes of a file name on the file systems in use.
const MAX_NAME: usize = 255;

/// What the name of a directory that waits for its removal ends with.
const DELETED: &str = "-delete";

/// The directory of a partition: `<topic>-<partition>`.
pub fn partition_dir(topic: &str, partition: i32) -> String {
    format!("{topic}-{partition}")
}

/// The topic and partition of a directory name; `None` for anything else, such as directories being deleted or moved.
pub fn parse_partition_dir(name: &str) -> Option<(&str, i32)> {
    let (topic, partition) = name.rsplit_once('-')?;
    let digits = !partition.is_empty() && partition.bytes().all(|byte| byte.is_ascii_digit());
    let plain = partition == "0" || !partition.starts_with('0');
    (!topic.is_empty() && digits && plain).then(|| partition.parse().ok().map(|partition| (topic, partition)))?
}

/// What a partition's directory is called from its deletion until its removal: `<topic>-<partition>.<unique>-delete`, cut
/// where the whole would be too long for a file name, as Kafka does it.
pub(super) fn deleted_dir(name: &str, unique: Uuid) -> String {
    let suffix = unique.0.iter().fold(String::from("."), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    }) + DELETED;
    let mut kept = name.len().min(MAX_NAME - suffix.len());
    while !name.is_char_boundary(kept) {
        kept -= 1;
    }
    format!("{}{suffix}", &name[..kept])
}

/// Whether a directory of that name waits for its removal.
pub(super) fn is_deleted_dir(name: &str) -> bool {
    name.strip_suffix(DELETED)
        .and_then(|rest| rest.rsplit_once('.'))
        .is_some_and(|(_, unique)| unique.len() == 32 && unique.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partition_directories_are_told_from_others() {
        for (name, expected) in [
            ("a-0", Some(("a", 0))),
            ("a.b-c_1-12", Some(("a.b-c_1", 12))),
            ("a--1", Some(("a-", 1))),
            ("__cluster_metadata-0", Some(("__cluster_metadata", 0))),
            ("t-2147483647", Some(("t", i32::MAX))),
            ("t-2147483648", None),
            ("-1", None),
            ("a-", None),
            ("a-+1", None),
            ("a-01", None),
            ("lost+found", None),
            ("a-0.0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f-delete", None),
            ("a-0.0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f-future", None),
        ] {
            assert_eq!(parse_partition_dir(name), expected, "{name}");
        }
        assert_eq!(partition_dir("a-b", 7), "a-b-7");
    }

    #[test]
    fn deleted_directories_have_kafkas_form_and_fit() {
        let unique = Uuid([0x6a; 16]);
        let name = deleted_dir("gone-0", unique);
        assert_eq!(name, "gone-0.6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a-delete");
        assert!(is_deleted_dir(&name));
        assert!(!is_deleted_dir("topic-delete"));
        assert!(!is_deleted_dir("topic.x-delete"));
        let long = deleted_dir(&partition_dir(&"t".repeat(249), i32::MAX), unique);
        assert_eq!(long.len(), 255);
        assert!(is_deleted_dir(&long));
    }
}
