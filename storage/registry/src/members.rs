//! The rules for the masters of the group. These records say what the operator wants; the leader brings Raft's
//! voters to it, step by step.

use crate::MAX_MASTERS;
use crate::command::{Command, Outcome};
use crate::keys::{RecordKey, Touched};
use crate::state::{MemberRecord, Registry};

const NOT_FOUNDED: &str =
    "the first leader has not written down who founded the group; try again in a moment";

impl MemberRecord {
    /// One that has not come with its disk yet.
    pub fn new(name: String, address: String) -> Self {
        Self {
            name,
            address,
            disk: None,
        }
    }
}

impl Registry {
    pub(crate) fn apply_to_members(&mut self, command: Command, touched: &mut Touched) -> Outcome {
        use Command as C;
        match command {
            C::FoundMembers { members } => self.found_members(members, touched),
            C::AddMember {
                name,
                address,
                replace,
            } => self.add_member(name, address, replace, touched),
            C::RemoveMember { name } => self.remove_member(&name, touched),
            C::ClaimMember { id, disk } => self.claim_member(id, disk, touched),
            C::MoveMember { id, address } => self.move_member(id, address, touched),
            other => unreachable!("{other:?} is dispatched before the members' commands"),
        }
    }

    /// The id under which a master of this name is, or is to be, a member.
    pub fn member_id(&self, name: &str) -> Option<u64> {
        let mut members = self.members.iter();
        members.find(|(_, it)| it.name == name).map(|(id, _)| *id)
    }

    pub(crate) fn check_members(&self) -> Result<(), String> {
        if self.members.len() > MAX_MASTERS {
            return Err("there are too many masters".to_owned());
        }
        for (id, member) in &self.members {
            if *id == 0 || *id > self.last_member_id {
                return Err(format!(
                    "master {} has an id that was never given",
                    member.name
                ));
            }
            if self.member_id(&member.name) != Some(*id) {
                return Err(format!("two masters are named {}", member.name));
            }
        }
        Ok(())
    }

    fn put_member(&mut self, id: u64, member: MemberRecord, touched: &mut Touched) {
        self.members.insert(id, member);
        touched.insert(RecordKey::Member(id));
        if id > self.last_member_id {
            self.last_member_id = id;
            touched.insert(RecordKey::LastMemberId);
        }
    }

    fn found_members(
        &mut self,
        founders: Vec<(u64, String, String)>,
        touched: &mut Touched,
    ) -> Outcome {
        if !self.members.is_empty() {
            return Outcome::changed(false);
        }
        let mut founded = self.clone();
        let mut news = Touched::new();
        for (id, name, address) in founders {
            founded.put_member(id, MemberRecord::new(name, address), &mut news);
        }
        if let Err(problem) = founded.check_members() {
            return Outcome::refused(problem);
        }
        touched.extend(news);
        *self = founded;
        Outcome::CHANGED
    }

    fn add_member(
        &mut self,
        name: String,
        address: String,
        replace: bool,
        touched: &mut Touched,
    ) -> Outcome {
        if self.members.is_empty() {
            return Outcome::refused(NOT_FOUNDED);
        }
        let known = self.member_id(&name);
        let old = known.and_then(|id| self.members.get(&id).map(|it| (id, it.address.clone())));
        let mut others = self.members.values().filter(|it| it.name != name);
        if let Some(other) = others.find(|it| it.address == address) {
            return Outcome::refused(format!(
                "{address} is the address of {} already; give {name} an address of its own",
                other.name
            ));
        }
        match old {
            Some((_, at)) if !replace && at == address => return Outcome::changed(false),
            Some((id, at)) if !replace => {
                return Outcome::refused(format!(
                    "{name} is a master of this group already, at {at} (id {id}); choose another name, or put a new \
                     master in its place with --replace"
                ));
            }
            Some((id, _)) => {
                self.members.remove(&id);
                touched.insert(RecordKey::Member(id));
            }
            None if replace => {
                return Outcome::refused(format!(
                    "{name} is no master of this group, so nothing can be replaced; add it without --replace"
                ));
            }
            None if self.members.len() >= MAX_MASTERS => {
                return Outcome::refused(format!(
                    "there are {MAX_MASTERS} masters, more only make each write wait for more disks; remove one first"
                ));
            }
            None => {}
        }
        let id = self.last_member_id + 1;
        self.put_member(id, MemberRecord::new(name, address), touched);
        Outcome::CHANGED
    }

    fn remove_member(&mut self, name: &str, touched: &mut Touched) -> Outcome {
        if self.members.is_empty() {
            return Outcome::refused(NOT_FOUNDED);
        }
        let Some(id) = self.member_id(name) else {
            return Outcome::refused(format!(
                "{name} is no master of this group, which is {}",
                self.member_names()
            ));
        };
        if self.members.len() == 1 {
            return Outcome::refused(format!(
                "{name} is the only master, and a group keeps one; add another first"
            ));
        }
        self.members.remove(&id);
        touched.insert(RecordKey::Member(id));
        Outcome::CHANGED
    }

    fn claim_member(&mut self, id: u64, disk: String, touched: &mut Touched) -> Outcome {
        let Some(member) = self.members.get_mut(&id) else {
            return Outcome::refused(format!("{id} is no master of this group"));
        };
        let name = &member.name;
        match &member.disk {
            Some(known) if *known == disk => Outcome::changed(false),
            Some(known) => Outcome::refused(format!(
                "{name} (id {id}) has the disk {known}, this is {disk}: its directory was wiped or is another one. \
                 Give it back the directory it had, or put it in its own place as a new master: `tepui cluster add \
                 {name}={} --replace`",
                member.address
            )),
            None => {
                member.disk = Some(disk);
                touched.insert(RecordKey::Member(id));
                Outcome::CHANGED
            }
        }
    }

    fn move_member(&mut self, id: u64, address: String, touched: &mut Touched) -> Outcome {
        match self.members.get_mut(&id) {
            Some(member) if member.address == address => Outcome::changed(false),
            Some(member) => {
                member.address = address;
                touched.insert(RecordKey::Member(id));
                Outcome::CHANGED
            }
            None => Outcome::refused(format!("{id} is no master of this group")),
        }
    }

    /// The masters' names, joined by commas.
    pub fn member_names(&self) -> String {
        let names: Vec<&str> = self.members.values().map(|it| it.name.as_str()).collect();
        names.join(",")
    }
}

#[cfg(test)]
#[path = "members_tests.rs"]
mod tests;
