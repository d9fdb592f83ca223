//! Maintenance: which machines are scheduled or down, and what frameworks said when they were asked to leave.

use std::{collections::BTreeMap, sync::Arc};

use tepui_messages::change::AgentRecord;
use tepui_protocol::v1::{
    InverseOffer, MachineId, MachineInfo, Unavailability, allocator::InverseOfferStatus,
    machine_info::Mode,
};

use super::World;

/// A machine as it is compared: hostname in lower case, and ip.
type Key = (String, String);

impl World {
    pub(super) fn add_inverse_offer(&mut self, offer: &Arc<InverseOffer>) -> bool {
        let framework = self.frameworks.get_mut(&offer.framework_id.value);
        let Some(framework) = framework else {
            return false;
        };
        let offers = &mut framework.inverse_offers;
        offers.insert(offer.id.value.clone(), Arc::clone(offer));
        true
    }

    pub(super) fn end_inverse_offer(&mut self, framework: &str, id: &str) -> bool {
        let framework = self.frameworks.get_mut(framework);
        framework.is_some_and(|framework| framework.inverse_offers.remove(id).is_some())
    }

    pub(super) fn note_answers(&mut self, agent: &str, answers: &Arc<[InverseOfferStatus]>) {
        if answers.is_empty() {
            self.answers.remove(agent);
        } else {
            self.answers.insert(agent.to_owned(), Arc::clone(answers));
        }
    }

    /// What was answered about the agents of each machine, by how machines are compared.
    pub fn answers_by_machine(&self) -> BTreeMap<Key, Vec<InverseOfferStatus>> {
        let mut by_machine: BTreeMap<Key, Vec<InverseOfferStatus>> = BTreeMap::new();
        for (agent, answers) in &self.answers {
            if let Some(agent) = self.agents.get(agent) {
                let machine = by_machine.entry(key_of(&agent.record)).or_default();
                machine.extend_from_slice(answers);
            }
        }
        by_machine
    }

    /// When the agents of each machine that is not up are away.
    pub fn unavailability_by_machine(&self) -> BTreeMap<Key, Unavailability> {
        let scheduled = self.maintenance.machines.iter();
        let scheduled = scheduled.filter(|machine| machine.mode() != Mode::Up);
        let scheduled = scheduled.filter_map(|it| Some((key(&it.id), it.unavailability?)));
        scheduled.collect()
    }

    /// Machines whose agents are not let in.
    pub fn machines_down(&self) -> impl Iterator<Item = &MachineId> {
        let machines = self.maintenance.machines.iter();
        let down = machines.filter(|machine| machine.mode() == Mode::Down);
        down.map(|machine: &MachineInfo| &machine.id)
    }
}

pub(crate) fn key(id: &MachineId) -> Key {
    (id.hostname().to_ascii_lowercase(), id.ip().to_owned())
}

/// Of the machine an agent is on; its ip stands in its pid `slave(1)@ip:port`.
pub(crate) fn key_of(record: &AgentRecord) -> Key {
    let address = record
        .pid
        .split_once('@')
        .map_or("", |(_, address)| address);
    let ip = address.rsplit_once(':').map_or(address, |(ip, _)| ip);
    (record.info.hostname.to_ascii_lowercase(), ip.to_owned())
}
