//! Names of the directories inside a log directory.

use std::fmt::Write;

use goatq_protocol::Uuid;

/// Most bytes of a file name on the file systems in use.
const MAX_NAME: usize = 255;

/// What the name of a directory that waits for its removal ends with.
const DELETED: &str = "-delete";

/// What the name of a directory ends with that is the copy of a log on its way here.
const FUTURE: &str = "-future";

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
    let suffix = suffix(unique, DELETED);
    let mut kept = name.len().min(MAX_NAME - suffix.len());
    while !name.is_char_boundary(kept) {
        kept -= 1;
    }
    format!("{}{suffix}", &name[..kept])
}

/// What the copy of a log is called while it is on its way: `<topic>-<partition>.<unique>-future`; `None` where that is too long for a
/// file name.
pub(super) fn future_dir(name: &str, unique: Uuid) -> Option<String> {
    Some(format!("{name}{}", suffix(unique, FUTURE))).filter(|name| name.len() <= MAX_NAME)
}

fn suffix(unique: Uuid, kind: &str) -> String {
    unique.0.iter().fold(String::from("."), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    }) + kind
}

/// Whether a directory of that name waits for its removal.
pub(super) fn is_deleted_dir(name: &str) -> bool {
    before_suffix(name, DELETED).is_some()
}

/// The topic and partition of the copy of a log on its way.
pub(super) fn parse_future_dir(name: &str) -> Option<(&str, i32)> {
    before_suffix(name, FUTURE).and_then(parse_partition_dir)
}

fn before_suffix<'a>(name: &'a str, kind: &str) -> Option<&'a str> {
    let (rest, unique) = name.strip_suffix(kind)?.rsplit_once('.')?;
    (unique.len() == 32 && unique.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(rest)
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
        let future = future_dir("a.b-0", unique).unwrap();
        assert_eq!(future, "a.b-0.6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a-future");
        assert_eq!((parse_future_dir(&future), parse_future_dir(&name)), (Some(("a.b", 0)), None));
        assert_eq!((is_deleted_dir(&future), parse_partition_dir(&future)), (false, None));
        assert_eq!(future_dir(&partition_dir(&"t".repeat(249), 0), unique), None);
        let long = deleted_dir(&partition_dir(&"t".repeat(249), i32::MAX), unique);
        assert_eq!(long.len(), 255);
        assert!(is_deleted_dir(&long));
    }
}
