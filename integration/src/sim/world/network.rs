//! The network's faults.

use super::super::machine::host;
use super::super::nemesis::Fault;
use super::{TICK, World};
use crate::traffic;

impl World {
    fn others(&self, id: i32) -> Vec<String> {
        let machines = self.machines.iter().filter(|machine| machine.id != id).map(|machine| machine.host.clone());
        machines.chain(traffic::names()).collect()
    }

    pub(super) fn break_network(&self, fault: &Fault) {
        match fault {
            Fault::Isolate(id) => {
                self.others(*id).iter().for_each(|other| self.sim.partition(host(*id), other.as_str()))
            }
            Fault::Cut(one, other) => self.sim.partition(host(*one), host(*other)),
            Fault::OneWay(from, to) => self.sim.partition_oneway(host(*from), host(*to)),
            Fault::Hold(one, other) => self.sim.hold(host(*one), host(*other)),
            Fault::HoldAll(id) => self.others(*id).iter().for_each(|other| self.sim.hold(host(*id), other.as_str())),
            Fault::Slow(latency) => self.sim.set_max_message_latency(*latency),
            Fault::End(..) | Fault::EndAll(_) | Fault::Stop(_) | Fault::Jump(..) | Fault::Disk(..) => {}
        }
    }

    pub(super) fn repair_network(&self, fault: &Fault) {
        match fault {
            Fault::Isolate(id) => self.others(*id).iter().for_each(|other| self.sim.repair(host(*id), other.as_str())),
            Fault::Cut(one, other) => self.sim.repair(host(*one), host(*other)),
            Fault::OneWay(from, to) => self.sim.repair_oneway(host(*from), host(*to)),
            Fault::Hold(one, other) => self.sim.release(host(*one), host(*other)),
            Fault::HoldAll(id) => self.others(*id).iter().for_each(|other| self.sim.release(host(*id), other.as_str())),
            Fault::Slow(_) => self.sim.set_max_message_latency(TICK * 5),
            Fault::End(..) | Fault::EndAll(_) | Fault::Stop(_) | Fault::Jump(..) | Fault::Disk(..) => {}
        }
    }
}
