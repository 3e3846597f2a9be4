//! The `topic` command.

use anyhow::Result;

use crate::args::TopicArgs;
use crate::cluster::{self, TopicSpec};

pub(crate) async fn run(args: &TopicArgs) -> Result<()> {
    if args.action != "create" {
        cluster::delete(&args.bootstrap, &args.topic).await?;
    }
    if args.action == "delete" {
        return Ok(());
    }
    let (partitions, replication_factor) = (args.partitions, args.replication_factor);
    let spec = TopicSpec { partitions, replication_factor, configs: args.config.clone() };
    cluster::create(&args.bootstrap, &args.topic, &spec).await
}
