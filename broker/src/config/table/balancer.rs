//! What keeps brokers even. None of these keys is Kafka's.

use crate::config::key::Valid::{Any, AtLeast, OneOf};
use crate::config::key::keys;

keys! { pub(super) KEYS:
    "balancer.drain" List Some(""), Medium Cluster Any, Honoured
        "Ids of brokers that shall have no replicas: they get no new ones, and what they have moves to others. Set by goatq \
         cluster drain.";
    "balancer.interval.ms" Long Some("300000"), Low Cluster AtLeast(1), Honoured
        "How often the active controller looks whether brokers have about as many replicas, bytes and leaders as one another.";
    "balancer.mode" Text Some("even"), Medium Cluster OneOf(&["off", "repair", "even"]), Honoured
        "What the active controller does by itself. repair: it replaces what a lost broker held, and empties those of \
         balancer.drain. even: it keeps brokers even besides. off: nothing.";
    "balancer.moves.per.broker" Int Some("10"), Low Cluster AtLeast(1), Honoured
        "Replicas that the active controller has one broker get at a time.";
    "balancer.repair.delay.ms" Long Some("600000"), Medium Cluster AtLeast(0), Honoured
        "A broker that does not serve for this long is lost: others get what it held.";
}
