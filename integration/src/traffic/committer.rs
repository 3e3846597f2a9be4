//! Commits offsets of a group without members, each greater than the last, and asks for them.
//!
//! A coordinator that is cut off does not know of its successor, and tells what it had last: so do Kafka's, which answer from memory. So
//! while faults strike, no node may fall behind what it acknowledged itself; in the end, the last one has to be told.

use std::rc::Rc;

use bytestring::ByteString;
use goatq_protocol::ErrorCode;
use rand::RngExt;

use super::client::Client;
use super::group::{self, Committer, committed, coordinator};
use super::{Shared, Task, rest};

const GROUP: &str = "group";
/// How often the last offset is asked for at the end, until it is there.
const LAST_CHECKS: u32 = 50;

pub(super) async fn run(shared: Rc<Shared>, task: Task) {
    let mut client = Client::once_ready(&shared, task.rng).await;
    let mut offset = 0;
    loop {
        let last = shared.draining();
        offset += 1;
        commit(&shared, &mut client, offset).await;
        if last {
            check(&shared, &mut client, LAST_CHECKS).await;
        } else if client.rng.random_bool(0.25) {
            check(&shared, &mut client, 0).await;
        }
        if last {
            return;
        }
        rest(&mut client.rng, 500).await;
    }
}

/// Tries until it is acknowledged.
async fn commit(shared: &Shared, client: &mut Client, offset: i64) {
    let who = Committer { group: GROUP, member: ByteString::new(), generation: -1 };
    loop {
        let node = coordinator(client, GROUP).await;
        let code = group::commit(client, node, &who, (0, offset)).await;
        {
            let mut history = shared.history.borrow_mut();
            history.trace.note(shared.now(), format_args!("commit {offset} at {node}: {code:?}"));
            match code {
                Some(ErrorCode::None) => {
                    history.committed = offset;
                    history.committed_by.insert(node, offset);
                    return;
                }
                Some(_) => {}
                None => {
                    history.doubted.insert(offset);
                }
            }
        }
        rest(&mut client.rng, 200).await;
    }
}

/// The group has the last offset that was acknowledged: an older one is borne so many times before that, or, where no number is given,
/// once and for all from a node that acknowledged none of the later ones.
async fn check(shared: &Shared, client: &mut Client, mut patience: u32) {
    let while_faults_strike = patience == 0;
    loop {
        let node = coordinator(client, GROUP).await;
        if let Some(found) = committed(client, node, GROUP, 0).await {
            let mut history = shared.history.borrow_mut();
            let acked = history.committed;
            history.trace.note(shared.now(), format_args!("committed {found}"));
            let least = history.committed_by.get(&node).copied().unwrap_or(-1);
            let older = (least..acked).contains(&found);
            if found == acked || history.doubted.contains(&found) || (older && while_faults_strike) {
                return;
            }
            if !older || patience == 0 {
                let what = format!("committed offsets: {acked} was acknowledged, {node} has {found}");
                history.violation(shared.now(), what);
                return;
            }
            patience -= 1;
        }
        rest(&mut client.rng, 200).await;
    }
}
