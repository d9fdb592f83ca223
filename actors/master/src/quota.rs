//! Quota: who may change it to what, and what is taken back for it. The allocator heeds it (Mesos:
//! `master/quota_handler.cpp` and `master/quota.cpp`).
//!
//! Owns the checks of requests and the changes under way. Each change holds only what its own request says,
//! so that one the registry refused does not come true with those after it.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    commands,
    consumption::{Quantities, add_scalars, covers, is_within, quantity, text},
    core::{MasterCore, Pending, Token, Turn},
};
use tepui_messages::{allocator::WorldChange, change::Change, master::Answer};
use tepui_protocol::{
    roles,
    v1::{
        Resource,
        master::call,
        quota::{QuotaConfig, QuotaRequest},
        value::Scalar,
    },
    validate,
};

type Scalars = BTreeMap<String, Scalar>;

/// What one request sets: a config without guarantees and limits removes the role's quota.
pub(crate) type QuotaChange = Vec<QuotaConfig>;

impl MasterCore {
    pub(crate) fn update_quota(
        &mut self,
        token: Token,
        update: call::UpdateQuota,
        turn: &mut Turn<'_>,
    ) {
        match self.check_update(&update) {
            Ok(()) => self.write_quota(token, update.quota_configs, turn),
            Err(reason) => turn.answer(token, Answer::refused(400, reason)),
        }
    }

    /// All or nothing for the list.
    fn check_update(&self, update: &call::UpdateQuota) -> Result<(), String> {
        let invalid = |reason| format!("Invalid QuotaConfig: {reason}");
        for config in &update.quota_configs {
            if !self.allows_role(&config.role) {
                return Err(invalid(format!(
                    "'{}' is not on the roles whitelist",
                    config.role
                )));
            }
            check_config(config)?;
        }
        let hint = "(use 'force' flag to bypass this check)";
        let force = update.force == Some(true);
        for config in update.quota_configs.iter().filter(|_| !force) {
            let consumed = self.consumed_by(&config.role);
            let limits = quantities(&config.limits);
            if !is_within(&consumed, &limits) {
                return Err(invalid(format!(
                    "Role '{}' is already consuming '{}'; this is more than the requested limits '{}' {hint}",
                    config.role,
                    text(&consumed),
                    text(&limits)
                )));
            }
        }
        let mut quota = self.planned_quota();
        change(&mut quota, &update.quota_configs);
        check_hierarchy(&quota).map_err(invalid)?;
        if !force {
            self.check_capacity(&quota).map_err(|(guarantees, capacity)| {
                invalid(format!(
                    "total quota guarantees '{guarantees}' exceed cluster capacity '{capacity}' {hint}"
                ))
            })?;
        }
        Ok(())
    }

    /// The deprecated form: a guarantee that is also the limit.
    pub(crate) fn set_quota_request(
        &mut self,
        token: Token,
        set: call::SetQuota,
        turn: &mut Turn<'_>,
    ) {
        match self.requested_quota(&set.quota_request) {
            Ok(config) => self.write_quota(token, vec![config], turn),
            Err(refused) => turn.answer(token, refused),
        }
    }

    fn requested_quota(&self, request: &QuotaRequest) -> Result<QuotaConfig, Answer> {
        let invalid = |reason: String| {
            Answer::refused(
                400,
                format!("Failed to validate set quota request: {reason}"),
            )
        };
        let role = request.role();
        roles::validate(role)
            .map_err(|reason| invalid(format!("QuotaInfo with invalid role: {reason}")))?;
        if request.guarantee.is_empty() {
            return Err(invalid("QuotaInfo with empty 'guarantee'".to_string()));
        }
        let guarantees = guarantee(&request.guarantee).map_err(invalid)?;
        if !self.allows_role(role) {
            return Err(invalid(format!("Unknown role '{role}'")));
        }
        let mut quota = self.planned_quota();
        if quota.iter().any(|config| config.role == role) {
            return Err(invalid(format!(
                "Cannot set quota for role '{role}' which already has quota"
            )));
        }
        let config = QuotaConfig {
            role: role.to_string(),
            guarantees: guarantees.clone(),
            limits: guarantees,
        };
        change(&mut quota, std::slice::from_ref(&config));
        if role.contains('/') {
            return Err(Answer::refused(
                400,
                format!("Setting quota on nested role '{role}' is not supported yet"),
            ));
        }
        check_hierarchy(&quota).map_err(invalid)?;
        if !request.force() {
            self.check_capacity(&quota).map_err(|(guarantees, capacity)| {
                Answer::refused(
                    409,
                    format!(
                        "Quota guarantees overcommit the cluster (use 'force' to bypass this check): Total quota guarantees '{guarantees}' exceed cluster capacity '{capacity}'"
                    ),
                )
            })?;
        }
        Ok(config)
    }

    pub(crate) fn remove_quota(&mut self, token: Token, role: &str, turn: &mut Turn<'_>) {
        let mut quota = self.planned_quota();
        let removal = QuotaConfig {
            role: role.to_string(),
            ..QuotaConfig::default()
        };
        let checked = if quota.iter().any(|config| config.role == role) {
            change(&mut quota, std::slice::from_ref(&removal));
            check_hierarchy(&quota)
        } else {
            Err(format!("Role '{role}' has no quota set"))
        };
        match checked {
            Ok(()) => self.write_quota(token, vec![removal], turn),
            Err(reason) => {
                let text = format!("Failed to remove quota: {reason}");
                turn.answer(token, Answer::refused(400, text));
            }
        }
    }

    fn write_quota(&mut self, token: Token, changed: QuotaChange, turn: &mut Turn<'_>) {
        self.write(
            turn,
            commands::change_quota(&changed),
            Pending::Quota { token, changed },
        );
    }

    /// The quota as it will be if all that is under way is written.
    fn planned_quota(&self) -> Vec<QuotaConfig> {
        let mut quota = self.quota.clone();
        for pending in self.pending.values() {
            if let Pending::Quota { changed, .. } = pending {
                change(&mut quota, changed);
            }
        }
        quota
    }

    /// A change is written: it holds, and offers that stand in its way are taken back.
    pub(crate) fn quota_changed(&mut self, changed: &[QuotaConfig], turn: &mut Turn<'_>) {
        let mut quota = self.quota.clone();
        change(&mut quota, changed);
        self.set_quota(quota, turn);
        for config in changed {
            let guarantees = quantities(&config.guarantees);
            let limits = quantities(&config.limits);
            self.rescind_for_quota(&config.role, &guarantees, &limits, turn);
        }
    }

    pub(crate) fn set_quota(&mut self, quota: Vec<QuotaConfig>, turn: &mut Turn<'_>) {
        if self.quota != quota {
            self.quota = quota;
            let quota = Arc::new(self.quota.clone());
            turn.allocator(WorldChange::Quota(Arc::clone(&quota)));
            self.change(turn, Change::Quota(quota));
        }
    }

    /// Guarantees against what the registered agents have; both as texts where they do not fit. What is
    /// guaranteed below a role is part of what it is guaranteed itself.
    fn check_capacity(&self, quota: &[QuotaConfig]) -> Result<(), (String, String)> {
        let mut capacity = Quantities::new();
        for agent in self.agents.values() {
            let total = agent.record.total.iter();
            add_scalars(
                &mut capacity,
                total.filter(|resource| resource.revocable.is_none()),
            );
        }
        let mut guaranteed = Quantities::new();
        for config in quota.iter().filter(|config| !config.role.contains('/')) {
            for (name, scalar) in &config.guarantees {
                *guaranteed.entry(name.clone()).or_default() += quantity(scalar.value);
            }
        }
        if covers(&capacity, &guaranteed) {
            Ok(())
        } else {
            Err((text(&guaranteed), text(&capacity)))
        }
    }
}

/// Does what a request asks for. What it names again comes last.
fn change(quota: &mut Vec<QuotaConfig>, changed: &[QuotaConfig]) {
    for config in changed {
        quota.retain(|other| other.role != config.role);
        if !config.guarantees.is_empty() || !config.limits.is_empty() {
            quota.push(config.clone());
        }
    }
}

fn check_config(config: &QuotaConfig) -> Result<(), String> {
    let role = &config.role;
    if role.contains('/') {
        return Err(format!(
            "Updating quota on nested role '{role}' is not supported yet"
        ));
    }
    validate::quota::config(config).map_err(|reason| format!("Invalid QuotaConfig: {reason}"))
}

/// What is guaranteed to the roles right below one is part of what it is guaranteed itself, and none of them
/// may have more than it. So far no role below another can have quota.
fn check_hierarchy(quota: &[QuotaConfig]) -> Result<(), String> {
    let of = |role: &str| quota.iter().find(|config| config.role == role);
    let mut below = BTreeMap::<&str, Quantities>::new();
    for config in quota {
        let own = quantities(&config.limits);
        for above in roles::ancestors(&config.role).filter_map(of) {
            let limits = quantities(&above.limits);
            if !is_within(&own, &limits) {
                return Err(format!(
                    "Invalid quota configuration. Role '{}' with limits ({}) may have more than its ancestor '{}' ({})",
                    config.role,
                    text(&own),
                    above.role,
                    text(&limits)
                ));
            }
        }
        if let Some(parent) = roles::ancestors(&config.role).next() {
            let sum = below.entry(parent).or_default();
            for (name, amount) in quantities(&config.guarantees) {
                *sum.entry(name).or_default() += amount;
            }
        }
    }
    for (parent, sum) in below {
        let own = of(parent).map(|config| quantities(&config.guarantees));
        let own = own.unwrap_or_default();
        if !covers(&own, &sum) {
            return Err(format!(
                "Invalid quota configuration. Parent role '{parent}' with guarantees ({}) does not contain the sum of its children's guarantees ({})",
                text(&own),
                text(&sum)
            ));
        }
    }
    Ok(())
}

fn guarantee(resources: &[Resource]) -> Result<Scalars, String> {
    let mut scalars = Scalars::new();
    for resource in resources {
        let has_role = resource
            .role
            .as_deref()
            .is_some_and(|role| role != roles::ANY);
        if has_role || resource.reservation.is_some() || !resource.reservations.is_empty() {
            return Err("QuotaInfo must not contain any ReservationInfo".to_string());
        }
        if resource.disk.is_some() {
            return Err("QuotaInfo must not contain DiskInfo".to_string());
        }
        if resource.revocable.is_some() {
            return Err("QuotaInfo must not contain RevocableInfo".to_string());
        }
        let Some(scalar) = &resource.scalar else {
            return Err("QuotaInfo must not include non-scalar resources".to_string());
        };
        if !(scalar.value.is_finite() && scalar.value >= 0.0) {
            return Err(format!(
                "QuotaInfo with invalid resource: '{}' is {}",
                resource.name, scalar.value
            ));
        }
        if scalars.insert(resource.name.clone(), *scalar).is_some() {
            return Err(format!(
                "QuotaInfo contains duplicate resource name '{}'",
                resource.name
            ));
        }
    }
    Ok(scalars)
}

fn quantities<'a>(scalars: impl IntoIterator<Item = (&'a String, &'a Scalar)>) -> Quantities {
    let scalars = scalars.into_iter();
    scalars
        .map(|(name, scalar)| (name.clone(), quantity(scalar.value)))
        .collect()
}

#[cfg(test)]
#[path = "quota_tests.rs"]
mod tests;
