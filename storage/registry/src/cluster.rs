//! The rules for what belongs to no agent and no framework: roles, maintenance, documents, and the table that
//! leads each command to its rule.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::command::{Command, Outcome};
use crate::keys::{RecordKey, Touched};
use crate::state::{Maintenance, Registry, is_weight};
use crate::{MAX_DOCUMENTS, MAX_MACHINES, MAX_ROLES, QUOTA_V2};

impl Registry {
    /// Applies a command and names the records it touched. Every precondition is checked here, whatever the
    /// proposer checked: its view may have been old.
    pub(crate) fn apply(&mut self, command: Command, touched: &mut Touched) -> Outcome {
        use Command as C;
        match command {
            C::SetClusterId { id } => self.set_cluster_id(id, touched),
            C::AdmitAgent { id, info } => self.admit_agent(&id, info, touched),
            C::UpdateAgent { id, info } => self.update_agent(&id, info, touched),
            C::MarkUnreachable { id, at_nanos } => self.mark_unreachable(&id, at_nanos, touched),
            C::MarkReachable { id, info } => self.mark_reachable(&id, info, touched),
            C::MarkGone { id, at_nanos } => self.mark_gone(&id, at_nanos, touched),
            C::RemoveAgent { id } => self.remove_agent(&id, touched),
            C::DrainAgent { id, drain } => {
                self.change_drain(&id, touched, |_| Ok((Some(drain), true)))
            }
            C::MarkDrained { id, drain } => self.change_drain(&id, touched, |before| {
                before.map_or_else(
                    || Err(format!("agent {id} does not drain")),
                    |_| Ok((Some(drain), true)),
                )
            }),
            C::DeactivateAgent { id } => {
                self.change_drain(&id, touched, |drain| Ok((drain.cloned(), true)))
            }
            C::ReactivateAgent { id } => self.change_drain(&id, touched, |_| Ok((None, false))),
            C::Prune { before_nanos, max } => {
                let max = usize::try_from(max).unwrap_or(usize::MAX);
                self.prune(before_nanos, max, touched)
            }
            C::UpdateWeights { weights } => self.update_weights(weights, touched),
            C::UpdateQuota { set, remove } => self.update_quota(set, &remove, touched),
            C::UpdateSchedule { maintenance }
            | C::StartMaintenance { maintenance }
            | C::StopMaintenance { maintenance } => self.set_maintenance(maintenance, touched),
            C::PutDocument {
                collection,
                name,
                value,
            } => self.put_document(collection, name, value, touched),
            C::DeleteDocument { collection, name } => {
                self.delete_document(collection, name, touched)
            }
            of_members @ (C::FoundMembers { .. }
            | C::AddMember { .. }
            | C::RemoveMember { .. }
            | C::ClaimMember { .. }
            | C::MoveMember { .. }) => self.apply_to_members(of_members, touched),
            of_framework => self.apply_to_framework(of_framework, touched),
        }
    }

    fn apply_to_framework(&mut self, command: Command, touched: &mut Touched) -> Outcome {
        use Command as C;
        match command {
            C::AdmitFramework {
                id,
                info,
                suppressed,
            } => self.admit_framework(&id, info, suppressed.into_iter().collect(), touched),
            C::UpdateFramework {
                id,
                info,
                suppressed,
            } => self.change_framework(&id, touched, |framework| {
                framework.info = info;
                framework.suppressed = suppressed.into_iter().collect();
            }),
            C::FrameworkConnected { id } => self.change_framework(&id, touched, |framework| {
                framework.failover_deadline_nanos = None;
                framework.failover_ends_nanos = None;
            }),
            C::FrameworksAway {
                now_nanos,
                deadlines,
            } => self.frameworks_away(now_nanos, deadlines, touched),
            C::RefuseOffers { now_nanos, refused } => {
                self.refuse_offers(now_nanos, refused, touched)
            }
            C::ForgetRefusals { id, roles } => self.forget_refusals(&id, &roles, touched),
            C::CountTime { now_nanos } => self.count_time(now_nanos, touched),
            C::FrameworkDisconnected { id, deadline_nanos } => {
                self.change_framework(&id, touched, |framework| {
                    framework.failover_deadline_nanos = Some(deadline_nanos);
                })
            }
            C::RemoveFramework { id, at_nanos } => self.remove_framework(&id, at_nanos, touched),
            other => unreachable!("{other:?} is dispatched before the frameworks' commands"),
        }
    }

    /// Makes `capability` a condition for opening the registry, or ends that.
    pub(crate) fn require(&mut self, capability: &str, needed: bool, touched: &mut Touched) {
        let changed = if needed {
            self.minimum_capabilities.insert(capability.to_owned())
        } else {
            self.minimum_capabilities.remove(capability)
        };
        if changed {
            touched.insert(RecordKey::Capability(capability.to_owned()));
        }
    }

    fn set_cluster_id(&mut self, id: String, touched: &mut Touched) -> Outcome {
        match &self.cluster_id {
            Some(known) if *known == id => Outcome::changed(false),
            Some(known) => Outcome::refused(format!("the cluster is named {known} already")),
            None => {
                self.cluster_id = Some(id);
                touched.insert(RecordKey::ClusterId);
                Outcome::CHANGED
            }
        }
    }

    fn update_weights(&mut self, weights: Vec<(String, f64)>, touched: &mut Touched) -> Outcome {
        if let Some((role, weight)) = weights.iter().find(|(_, weight)| !is_weight(*weight)) {
            return Outcome::refused(format!(
                "the weight {weight} of role {role} is not a positive number"
            ));
        }
        if self.weights.len() + weights.len() > MAX_ROLES {
            return Outcome::refused(format!("at most {MAX_ROLES} roles may have a weight"));
        }
        let mut changed = false;
        // A role named twice gets the last of its weights.
        for (role, weight) in weights.into_iter().collect::<BTreeMap<_, _>>() {
            if self.weights.insert(role.clone(), weight) != Some(weight) {
                touched.insert(RecordKey::Weight(role));
                changed = true;
            }
        }
        Outcome::changed(changed)
    }

    fn update_quota(
        &mut self,
        set: Vec<(String, Bytes)>,
        remove: &[String],
        touched: &mut Touched,
    ) -> Outcome {
        if self.quotas.len() + set.len() > MAX_ROLES {
            return Outcome::refused(format!("at most {MAX_ROLES} roles may have a quota"));
        }
        let mut changed = false;
        // A role named twice gets the last of its quotas; one that is set is not removed.
        let set: BTreeMap<String, Bytes> = set.into_iter().collect();
        for role in remove.iter().filter(|role| !set.contains_key(*role)) {
            if self.quotas.remove(role).is_some() {
                touched.insert(RecordKey::Quota(role.clone()));
                changed = true;
            }
        }
        for (role, config) in set {
            if self.quotas.get(&role) != Some(&config) {
                self.quotas.insert(role.clone(), config);
                touched.insert(RecordKey::Quota(role));
                changed = true;
            }
        }
        self.require(QUOTA_V2, !self.quotas.is_empty(), touched);
        Outcome::changed(changed)
    }

    fn set_maintenance(&mut self, maintenance: Maintenance, touched: &mut Touched) -> Outcome {
        if maintenance.machines.len() > MAX_MACHINES {
            return Outcome::refused(format!("at most {MAX_MACHINES} machines may be maintained"));
        }
        if self.maintenance == maintenance {
            return Outcome::changed(false);
        }
        if self.maintenance.schedule != maintenance.schedule {
            touched.insert(RecordKey::Schedule);
        }
        let before = &self.maintenance.machines;
        let after = &maintenance.machines;
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for name in names {
            if before.get(name) != after.get(name) {
                touched.insert(RecordKey::Machine(name.clone()));
            }
        }
        self.maintenance = maintenance;
        Outcome::CHANGED
    }

    fn put_document(
        &mut self,
        collection: String,
        name: String,
        value: Bytes,
        touched: &mut Touched,
    ) -> Outcome {
        let known = self.documents.get(&collection);
        let known = known.and_then(|documents| documents.get(&name));
        if known == Some(&value) {
            return Outcome::changed(false);
        }
        let count: usize = self
            .documents
            .values()
            .map(|documents| documents.len())
            .sum();
        if known.is_none() && count >= MAX_DOCUMENTS {
            return Outcome::refused(format!("{MAX_DOCUMENTS} documents are kept, no more fit"));
        }
        touched.insert(RecordKey::Document(collection.clone(), name.clone()));
        let documents = self.documents.entry(collection).or_default();
        documents.insert(name, value);
        Outcome::CHANGED
    }

    fn delete_document(
        &mut self,
        collection: String,
        name: String,
        touched: &mut Touched,
    ) -> Outcome {
        let Some(documents) = self.documents.get_mut(&collection) else {
            return Outcome::changed(false);
        };
        if documents.remove(&name).is_none() {
            return Outcome::changed(false);
        }
        if documents.is_empty() {
            self.documents.remove(&collection);
        }
        touched.insert(RecordKey::Document(collection, name));
        Outcome::CHANGED
    }
}
