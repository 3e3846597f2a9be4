//! Logs on their way from one log directory to another (KIP-113).
//!
//! The copy grows in `<topic>-<partition>.<id>-future`, as with Kafka, and counts for nothing until it is taken over. It is taken over in an
//! order that leaves, wherever a crash comes between, a log with all records that were there:
//!
//! 1. The copy is synced to its end. Nothing is appended to the log from here on.
//! 2. The copy says how often the log has moved, one more than the log itself, and gets the log's name. Now both are there, and equal; at a
//!    start the one that has moved more often counts.
//! 3. The log is deleted where it was. Only then may records be appended to the copy.

use std::{io, path::PathBuf, sync::Arc};

use goatq_protocol::Uuid;

use super::{
    LogDir, LogRequest, OpenLogError,
    names::{future_dir, parse_future_dir, partition_dir},
    offset_checkpoint::Remembered,
};
use crate::{
    config::Durability,
    error::{LogError, OpenError},
    group_commit::NoListener,
    io::{read_small_file, replace_file},
    log::Log,
};

/// Says how often the log has moved; missing where it never has.
const MOVES: &str = ".goatq-moves";
/// Bytes of that file at most.
const MAX_MOVES_LEN: usize = 32;

/// The copy of a log that is on its way into a directory.
#[derive(Debug)]
pub struct FutureLog {
    log: Arc<Log>,
    path: PathBuf,
}

impl FutureLog {
    /// The copy.
    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }
}

impl LogDir {
    /// Partitions that were on their way here when the last process ended. Their copies are removed when they begin anew.
    pub fn found_futures(&self) -> &[(String, i32)] {
        &self.found_futures
    }

    /// How often the log of a partition here has come from another directory; 0 where there is none.
    pub fn moves(&self, topic: &str, partition: i32) -> u64 {
        let path = self.path.join(partition_dir(topic, partition)).join(MOVES);
        let content = read_small_file(&*self.disk, &path, MAX_MOVES_LEN).unwrap_or_default();
        std::str::from_utf8(&content).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }

    /// Makes an empty copy for a log that is to come here, in place of earlier ones. `unique` is a random id. It is synced by its checkpoints
    /// and when it is taken over, whatever the settings of the topic say. Blocks.
    ///
    /// # Errors
    /// See [`OpenLogError`]; the directory has the log already, or cannot take it.
    pub fn begin_future(&self, request: LogRequest, unique: Uuid, now_ms: i64) -> Result<FutureLog, OpenLogError> {
        let name = self.check_name(&request)?;
        let future = future_dir(&name, unique).ok_or(OpenLogError::UnusableName(name))?;
        let made = |error: io::Error| OpenLogError::Make(Arc::new(error));
        self.remove_futures(&request.topic, request.partition).map_err(made)?;
        let path = self.path.join(&future);
        let config = crate::config::LogConfig { durability: Durability::PageCache, ..request.config };
        let request = LogRequest { config, listener: Arc::new(NoListener), ..request };
        let opened =
            self.open_one(future, request, now_ms, Remembered { recovery_point: Some(0), ..Remembered::default() })?;
        opened.unsynced.iter().try_for_each(|file| file.sync_now()).map_err(made)?;
        Ok(FutureLog { log: opened.log, path })
    }

    /// Removes the copies of a log that was to come here. Blocks.
    ///
    /// # Errors
    /// When the disk refuses to.
    pub fn remove_futures(&self, topic: &str, partition: i32) -> io::Result<()> {
        for entry in self.disk.list(&self.path)? {
            if parse_future_dir(&entry.name) == Some((topic, partition)) {
                self.disk.remove_dir_all(&self.path.join(&entry.name))?;
            }
        }
        Ok(())
    }

    /// Gives up a copy. Blocks.
    ///
    /// # Errors
    /// When the disk refuses to remove it; then it is removed when the log is to come here again.
    pub fn discard_future(&self, future: &FutureLog) -> io::Result<()> {
        future.log.abandon();
        match self.disk.remove_dir_all(&future.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    /// Steps 1 and 2 of the module: the copy becomes the log of this directory, and is opened as such. `moves` is one more than the log's own
    /// [`Self::moves`]. The caller sees to it that nothing is appended to either before the log is deleted where it was. Blocks.
    ///
    /// # Errors
    /// See [`OpenLogError`]. Where the copy has the log's name by then, the directory has failed.
    pub fn take_over(
        &self,
        future: &FutureLog,
        moves: u64,
        request: LogRequest,
        now_ms: i64,
    ) -> Result<Arc<Log>, OpenLogError> {
        let name = self.check_name(&request)?;
        let made = |error: io::Error| OpenLogError::Make(Arc::new(error));
        let log_start_offset = future.log.log_start_offset();
        let end = future.log.close(now_ms).map_err(|error| match error {
            LogError::Io(error) => made(error),
            other => OpenLogError::Log(OpenError::from(io::Error::other(other))),
        })?;
        future.log.abandon();
        // What was remembered of a log that was here before proves nothing of this one.
        self.forget_predecessors(std::slice::from_ref(&name)).map_err(made)?;
        replace_file(&*self.disk, &future.path.join(MOVES), format!("{moves}\n").as_bytes()).map_err(made)?;
        self.disk.rename(&future.path, &self.path.join(&name)).map_err(made)?;
        let remembered = Remembered { recovery_point: Some(end), log_start_offset, first_dirty_offset: 0 };
        let opened = self.sync_names().map_err(made).and_then(|()| {
            let opened = self.open_one(name.clone(), request, now_ms, remembered);
            self.sync_opened(vec![opened]).pop().unwrap_or(Err(OpenLogError::UnusableName(name.clone())))
        });
        let log = opened.inspect_err(|error| {
            self.health.fail(&format!("{name} came here and does not open: {error}"), error.may_pass());
        })?;
        self.checkpoints.know(&name, remembered);
        Ok(log)
    }

    /// Writes down what is remembered of logs that came here. Blocks.
    ///
    /// # Errors
    /// When the disk refuses to.
    pub fn remember_arrivals(&self) -> io::Result<()> {
        self.checkpoints.write()
    }
}
