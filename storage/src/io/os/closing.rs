//! Closing files that have no name any more.
//!
//! With the last descriptor of a removed file goes what is in it. For a big one that takes long: seconds on a file system that tells the disk at once
//! which blocks are free (ext4 with `discard` and without a journal), and whoever closes it waits. That can be anybody, since readers, the
//! journal and a sync under way all hold files; so a thread of its own does it, started for the first of them.

use std::{
    fs::File,
    io,
    ops::Deref,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
};

use parking_lot::Mutex;

/// Closes files for others. Dropping it waits until they are closed. What waits for it is bounded by the descriptors that there are.
#[derive(Debug, Default)]
pub(super) struct Closer {
    thread: Mutex<Option<Thread>>,
}

#[derive(Debug)]
struct Thread {
    files: mpsc::Sender<File>,
    handle: JoinHandle<()>,
}

impl Thread {
    fn start() -> io::Result<Thread> {
        let (files, waiting) = mpsc::channel::<File>();
        let thread = thread::Builder::new().name("disk-close".to_owned()).stack_size(128 << 10);
        Ok(Thread { files, handle: thread.spawn(move || waiting.into_iter().for_each(drop))? })
    }
}

impl Closer {
    fn close(&self, file: File) {
        let mut thread = self.thread.lock();
        if thread.is_none() {
            // Without one the file is closed here, which is merely slower.
            *thread = Thread::start().ok();
        }
        if let Some(thread) = &*thread {
            let _ = thread.files.send(file);
        }
    }
}

impl Drop for Closer {
    fn drop(&mut self) {
        if let Some(Thread { files, handle }) = self.thread.get_mut().take() {
            drop(files);
            let _ = handle.join();
        }
    }
}

/// An open file or directory. Whoever drops it does not wait for what goes with it.
#[derive(Debug)]
pub struct OpenFile {
    /// There until it is dropped.
    file: Option<File>,
    closer: Arc<Closer>,
}

impl OpenFile {
    pub(super) fn new(file: File, closer: &Arc<Closer>) -> Arc<OpenFile> {
        Arc::new(OpenFile { file: Some(file), closer: closer.clone() })
    }
}

impl Deref for OpenFile {
    type Target = File;

    fn deref(&self) -> &File {
        self.file.as_ref().expect("it is taken when dropped")
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        let nameless = |file: &mut File| rustix::fs::fstat(file).is_ok_and(|stat| stat.st_nlink == 0);
        if let Some(file) = self.file.take_if(nameless) {
            self.closer.close(file);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the descriptors of this process lead.
    fn open_files() -> Vec<String> {
        let links =
            std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        links.map(|link| link.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn removed_files_are_closed_by_the_thread_and_others_at_once() {
        let closer = Arc::default();
        let [(first, kept), (second, removed)] = [(); 2].map(|()| {
            let (file, path) = tempfile::NamedTempFile::new().unwrap().into_parts();
            (OpenFile::new(file, &closer), path)
        });
        let was = removed.to_string_lossy().into_owned();
        removed.close().unwrap();
        drop(first);
        assert!(closer.thread.lock().is_none(), "no thread for a file that has a name");
        assert!(!open_files().iter().any(|link| *link == kept.to_string_lossy()));
        drop(second);
        assert!(closer.thread.lock().is_some());
        drop(closer);
        assert!(!open_files().iter().any(|link| link.starts_with(&was)), "who drops the closer waits");
    }
}
