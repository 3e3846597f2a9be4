//! The network of a campaign: addresses that nobody else has, in namespaces that end with the process.
//!
//! ```text
//!  clients 10.77.0.1 ── bridge ─┬─ veth ── node 1, 10.77.0.11, a namespace of its own
//!                               ├─ veth ── node 2, 10.77.0.12
//!                               └─ ...
//! ```
//!
//! Or all of them in one namespace, on 127.0.1.x. Packets are dropped by iptables, in the namespace of the node that is to miss them.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::Command;

use crate::crash_image::disk::run;

/// Where namespaces have their names.
const NAMES: &str = "/run/netns";

/// How nodes are connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Each has a namespace, and a wire to a bridge.
    Bridge,
    /// They share the loopback device, with an address each.
    Loopback,
}

/// A network for nodes.
#[derive(Debug)]
pub struct Ground {
    kind: Kind,
    nodes: Vec<i32>,
}

impl Ground {
    /// Lays the network out, in the network namespace of this process, which is nobody else's.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn lay(kind: Kind, nodes: &[i32]) -> anyhow::Result<Self> {
        shell("ip link set lo up")?;
        let ground = Self { kind, nodes: nodes.to_vec() };
        if kind == Kind::Loopback {
            return Ok(ground);
        }
        shell("mount -t tmpfs none /run && mkdir -p /run/netns")?;
        shell("ip link add br0 type bridge && ip link set br0 up && ip addr add 10.77.0.1/24 dev br0")?;
        nodes.iter().try_for_each(|node| ground.plug(*node))?;
        Ok(ground)
    }

    /// A place for one more node, if it has none.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn add(&mut self, node: i32) -> anyhow::Result<()> {
        if !self.nodes.contains(&node) {
            self.nodes.push(node);
            if self.kind == Kind::Bridge {
                self.plug(node)?;
            }
        }
        Ok(())
    }

    fn plug(&self, node: i32) -> anyhow::Result<()> {
        shell(&format!("ip netns add g{node} && ip link add v{node} type veth peer name eth0 netns g{node}"))?;
        shell(&format!("ip link set v{node} master br0 up"))?;
        self.at(node, &["ip", "link", "set", "lo", "up"])?;
        self.at(node, &["ip", "addr", "add", &format!("{}/24", self.address(node)), "dev", "eth0"])?;
        self.at(node, &["ip", "link", "set", "eth0", "up"])
    }

    /// The address of a node.
    pub fn address(&self, node: i32) -> IpAddr {
        let host = u8::try_from(node).unwrap_or(u8::MAX);
        match self.kind {
            Kind::Bridge => Ipv4Addr::new(10, 77, 0, 10 + host),
            Kind::Loopback => Ipv4Addr::new(127, 0, 1, host),
        }
        .into()
    }

    /// What a command has to begin with to run at a node's place.
    pub fn entrance(&self, node: i32) -> Vec<String> {
        match self.kind {
            Kind::Bridge => vec!["nsenter".to_owned(), format!("--net={NAMES}/g{node}"), "--".to_owned()],
            Kind::Loopback => Vec::new(),
        }
    }

    fn at(&self, node: i32, command: &[&str]) -> anyhow::Result<()> {
        let entrance = self.entrance(node);
        let mut words = entrance.iter().map(String::as_str).chain(command.iter().copied());
        let program = words.next().unwrap_or_default();
        run(Command::new(program).args(words)).map(drop)
    }

    /// Adds a rule to a chain at a node.
    fn rule(&self, node: i32, rule: &str) -> anyhow::Result<()> {
        let words: Vec<_> = ["iptables", "-w", "-A"].into_iter().chain(rule.split(' ')).collect();
        self.at(node, &words)
    }

    /// What `from` sends does not arrive at `at`; the other direction works.
    ///
    /// # Errors
    /// What `iptables` says, here and below.
    pub fn deafen(&self, at: i32, from: i32) -> anyhow::Result<()> {
        self.rule(at, &format!("INPUT -s {} -j DROP", self.address(from)))
    }

    /// Nothing passes between two nodes.
    ///
    /// # Errors
    /// As above.
    pub fn cut(&self, one: i32, other: i32) -> anyhow::Result<()> {
        self.deafen(one, other)?;
        self.deafen(other, one)
    }

    /// Nothing passes between a node and the others; clients still reach it.
    ///
    /// # Errors
    /// As above.
    pub fn cut_off(&self, node: i32) -> anyhow::Result<()> {
        self.others(node).try_for_each(|other| self.cut(node, other))
    }

    /// Nothing passes between a node and anybody.
    ///
    /// # Errors
    /// As above.
    pub fn isolate(&self, node: i32) -> anyhow::Result<()> {
        self.rule(node, "INPUT ! -i lo -j DROP")?;
        self.rule(node, "OUTPUT ! -o lo -j DROP")
    }

    /// Whatever is sent to the address of a node is dropped: the light variant, where all share a namespace.
    ///
    /// # Errors
    /// As above.
    pub fn drop_to(&self, node: i32) -> anyhow::Result<()> {
        self.rule(node, &format!("OUTPUT -d {} -j DROP", self.address(node)))
    }

    /// Connections to a node are refused, and those that are there are reset.
    ///
    /// # Errors
    /// As above.
    pub fn reset(&self, node: i32) -> anyhow::Result<()> {
        self.rule(node, "INPUT ! -i lo -p tcp -j REJECT --reject-with tcp-reset")
    }

    /// Everything passes again.
    ///
    /// # Errors
    /// As above.
    pub fn heal(&self) -> anyhow::Result<()> {
        let nodes = if self.kind == Kind::Bridge { self.nodes.as_slice() } else { &self.nodes[..1] };
        nodes.iter().try_for_each(|node| self.at(*node, &["iptables", "-w", "-F"]))
    }

    /// Takes the wire of a node down, or up.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn wire(&self, node: i32, up: bool) -> anyhow::Result<()> {
        let how = if up { "up" } else { "down" };
        shell(&format!("ip link set v{node} {how}"))
    }

    /// The other nodes.
    pub fn others(&self, node: i32) -> impl Iterator<Item = i32> + '_ {
        self.nodes.iter().copied().filter(move |other| *other != node)
    }
}

/// Whether all that this needs is there.
///
/// # Errors
/// What is missing.
pub fn needs() -> anyhow::Result<()> {
    anyhow::ensure!(rustix::process::geteuid().is_root(), "this is not root");
    shell("command -v ip iptables nsenter unshare >/dev/null")?;
    anyhow::ensure!(Path::new("/proc/self/ns/net").exists(), "the kernel has no network namespaces");
    shell("unshare --net --mount --pid --fork --mount-proc -- iptables -w -A INPUT -s 10.77.0.1 -j DROP")
}

fn shell(script: &str) -> anyhow::Result<()> {
    run(Command::new("sh").args(["-ec", script])).map(drop)
}
