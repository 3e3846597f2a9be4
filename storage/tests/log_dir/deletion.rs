//! A log that is deleted while its checkpoint is being written.

use std::{
    path::Path,
    sync::{Arc, mpsc},
    time::Duration,
};

use goatq_protocol::Uuid;
use goatq_storage::{io::sim::SimDisk, log_dir::LogDir};
use parking_lot::Mutex;

use super::{
    DIR, append, config,
    hooked_disk::{Change, HookedDisk},
    request,
};

/// Whom a sync of a segment tells that it has begun, and whose word it then waits for.
type Gate = (mpsc::Sender<()>, mpsc::Receiver<()>);

/// A simulated disk whose next sync of a `.log` file waits at the gate.
fn gated_disk(gate: Arc<Mutex<Option<Gate>>>) -> HookedDisk {
    HookedDisk::new(SimDisk::new(1), move |change, path| {
        let is_log = path.extension().is_some_and(|extension| extension == "log");
        let gate = if change == Change::Sync && is_log { gate.lock().take() } else { None };
        if let Some((begun, go_on)) = gate {
            begun.send(()).unwrap();
            go_on.recv().unwrap();
        }
    })
}

#[test]
fn a_deletion_waits_for_a_checkpoint_and_never_takes_its_files_away() {
    let gate = Arc::default();
    let disk = gated_disk(Arc::clone(&gate));
    let dir = LogDir::open(Arc::new(disk), Path::new(DIR), config()).unwrap();
    append(&dir.open_log(request("t", 0), 0).unwrap(), b"value");

    let (begun, has_begun) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel();
    *gate.lock() = Some((begun, may_go_on));
    std::thread::scope(|scope| {
        scope.spawn(|| dir.checkpoint(0));
        has_begun.recv().unwrap();
        let (deleted, is_deleted) = mpsc::channel();
        let dir = &dir;
        scope.spawn(move || {
            dir.delete_logs(&[("t", 0)], 0, || Uuid([1; 16])).unwrap();
            deleted.send(()).unwrap();
        });
        // Long enough for a deletion that does not wait to be over.
        is_deleted.recv_timeout(Duration::from_millis(100)).unwrap_err();
        go_on.send(()).unwrap();
        is_deleted.recv().unwrap();
    });
    assert_eq!(dir.health().poison_reason(), None);
    dir.checkpoint(0).unwrap();
}
