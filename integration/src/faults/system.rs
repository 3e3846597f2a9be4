//! What runs on the nodes of a campaign: goatq, or Kafka.

use std::path::{Path, PathBuf};

use super::site::{CONTROLLER_PORT, PORT, Role, Site};
use crate::cluster::CLUSTER_ID;
use crate::node;

/// Of every node, of whichever kind.
const COMMON: &[&str] = &[
    "auto.create.topics.enable=false",
    "default.replication.factor=3",
    "log.segment.bytes=4194304",
    "min.insync.replicas=2",
    "offsets.topic.num.partitions=4",
    "offsets.topic.replication.factor=3",
];

/// What runs on the nodes.
#[derive(Debug, Clone)]
pub enum System {
    /// goatq.
    Goatq {
        /// `log.durability`.
        durability: &'static str,
        /// `controller.quorum.voters`.
        voters: String,
    },
    /// Kafka.
    Kafka {
        /// A script that starts one node (PORT, CTRL_PORT, DATA, NODE_ID, VOTERS, EXTRA, WAIT) and prints its process id.
        script: PathBuf,
        /// `controller.quorum.voters`.
        voters: String,
    },
}

impl System {
    /// Program and arguments.
    ///
    /// # Errors
    /// There is no program.
    pub fn command(&self, site: &Site) -> anyhow::Result<Vec<String>> {
        match self {
            Self::Goatq { durability, voters } => goatq(site, durability, voters),
            Self::Kafka { script, .. } => Ok(vec![script.display().to_string()]),
        }
    }

    /// Environment of the program; writes what it is to find.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub fn environment(&self, site: &Site) -> anyhow::Result<Vec<(&'static str, String)>> {
        let Self::Kafka { voters, .. } = self else { return Ok(Vec::new()) };
        let extra = site.folder.join("extra.properties");
        let listeners = format!("PLAINTEXT://{0}:{PORT},CONTROLLER://{0}:{CONTROLLER_PORT}", site.address);
        let mut lines =
            vec![format!("listeners={listeners}"), format!("advertised.listeners=PLAINTEXT://{}:{PORT}", site.address)];
        lines.extend(COMMON.iter().map(|line| (*line).to_owned()).chain(site.settings.iter().cloned()));
        std::fs::write(&extra, lines.join("\n"))?;
        Ok(vec![
            ("PORT", PORT.to_string()),
            ("CTRL_PORT", CONTROLLER_PORT.to_string()),
            ("DATA", site.folder.display().to_string()),
            ("NODE_ID", site.id.to_string()),
            ("VOTERS", voters.clone()),
            ("EXTRA", extra.display().to_string()),
            ("HEAP", "512M".to_owned()),
            ("WAIT", "0".to_owned()),
        ])
    }

    /// Whether its program ends and leaves a process behind.
    pub fn leaves_a_process(&self) -> bool {
        matches!(self, Self::Kafka { .. })
    }

    /// Where the partitions of a node are.
    pub fn logs(&self, site: &Site) -> PathBuf {
        match self {
            Self::Goatq { .. } => site.data.clone(),
            Self::Kafka { .. } => Path::new(&site.folder).join("log"),
        }
    }
}

fn goatq(site: &Site, durability: &str, voters: &str) -> anyhow::Result<Vec<String>> {
    let client = format!("PLAINTEXT://{}:{PORT}", site.address);
    let controller = format!("CONTROLLER://{}:{CONTROLLER_PORT}", site.address);
    let (roles, listeners) = match site.role {
        Role::Both => ("broker,controller", format!("{client},{controller}")),
        Role::Broker => ("broker", client),
        Role::Controller => ("controller", controller),
    };
    let servers: Vec<_> = voters.split(',').filter_map(|voter| voter.split_once('@')).collect();
    let quorum = if site.role == Role::Broker || site.joins {
        let servers: Vec<_> = servers.iter().map(|(_, address)| *address).collect();
        format!("controller.quorum.bootstrap.servers={}", servers.join(","))
    } else {
        format!("controller.quorum.voters={voters}")
    };
    let mut settings = vec![
        format!("node.id={}", site.id),
        format!("cluster.id={CLUSTER_ID}"),
        format!("process.roles={roles}"),
        format!("listeners={listeners}"),
        format!("log.dirs={}", site.data.display()),
        format!("log.durability={durability}"),
        "allow.insecure.listeners=true".to_owned(),
        "http.listener=".to_owned(),
        quorum,
    ];
    settings.extend(
        (site.joins && site.role != Role::Broker).then(|| "controller.quorum.auto.join.enable=true".to_owned()),
    );
    settings.extend(COMMON.iter().map(|line| (*line).to_owned()).chain(site.settings.iter().cloned()));
    let mut words = vec![node::binary()?.display().to_string(), "serve".to_owned()];
    words.extend(settings.into_iter().flat_map(|setting| ["--set".to_owned(), setting]));
    Ok(words)
}
