//! Quota: validated, stored, returned; the allocator heeds it with the next issue (OPERATOR_API B.4).

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    commands,
    core::{MasterCore, Pending, Token, Turn},
};
use tepui_messages::{allocator::WorldChange, change::Change, master::Answer};
use tepui_protocol::{
    resources::Quantity,
    roles,
    v1::{
        Resource,
        master::call,
        quota::{QuotaConfig, QuotaRequest},
        value::Scalar,
    },
    validate,
};

type Quantities = BTreeMap<String, Scalar>;

impl MasterCore {
    pub(crate) fn update_quota(
        &mut self,
        token: Token,
        update: call::UpdateQuota,
        turn: &mut Turn<'_>,
    ) {
        match self.updated_quota(update) {
            Ok(quota) => self.write_quota(token, quota, turn),
            Err(reason) => turn.answer(token, Answer::refused(400, reason)),
        }
    }

    /// All or nothing for the list.
    fn updated_quota(&self, update: call::UpdateQuota) -> Result<Vec<QuotaConfig>, String> {
        let mut quota = self.planned_quota().to_vec();
        for config in update.quota_configs {
            check_config(&config)?;
            quota.retain(|other| other.role != config.role);
            if !config.guarantees.is_empty() || !config.limits.is_empty() {
                quota.push(config);
            }
        }
        if update.force != Some(true) {
            self.check_capacity(&quota).map_err(|(guarantees, capacity)| {
                format!(
                    "Invalid QuotaConfig: total quota guarantees '{guarantees}' exceed cluster capacity '{capacity}' (use 'force' flag to bypass this check)"
                )
            })?;
        }
        Ok(quota)
    }

    /// The deprecated form: a guarantee that is also the limit.
    pub(crate) fn set_quota_request(
        &mut self,
        token: Token,
        set: call::SetQuota,
        turn: &mut Turn<'_>,
    ) {
        let request = set.quota_request;
        match self.requested_quota(&request) {
            Ok(quota) => self.write_quota(token, quota, turn),
            Err(refused) => turn.answer(token, refused),
        }
    }

    fn requested_quota(&self, request: &QuotaRequest) -> Result<Vec<QuotaConfig>, Answer> {
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
        if self
            .planned_quota()
            .iter()
            .any(|config| config.role == role)
        {
            return Err(invalid(format!(
                "Cannot set quota for role '{role}' which already has quota"
            )));
        }
        if role.contains('/') {
            return Err(Answer::refused(
                400,
                format!("Setting quota on nested role '{role}' is not supported yet"),
            ));
        }
        let mut quota = self.planned_quota().to_vec();
        quota.push(QuotaConfig {
            role: role.to_string(),
            guarantees: guarantees.clone(),
            limits: guarantees,
        });
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
        Ok(quota)
    }

    pub(crate) fn remove_quota(&mut self, token: Token, role: &str, turn: &mut Turn<'_>) {
        if !self
            .planned_quota()
            .iter()
            .any(|config| config.role == role)
        {
            let text = format!("Failed to remove quota: Role '{role}' has no quota set");
            return turn.answer(token, Answer::refused(400, text));
        }
        let quota = self
            .planned_quota()
            .iter()
            .filter(|config| config.role != role)
            .cloned()
            .collect();
        self.write_quota(token, quota, turn);
    }

    fn write_quota(&mut self, token: Token, quota: Vec<QuotaConfig>, turn: &mut Turn<'_>) {
        self.write(
            turn,
            commands::change_quota(self.planned_quota(), &quota),
            Pending::Quota { token, quota },
        );
    }

    fn planned_quota(&self) -> &[QuotaConfig] {
        let planned = self.planned(|pending| match pending {
            Pending::Quota { quota, .. } => Some(quota),
            _ => None,
        });
        planned.unwrap_or(&self.quota)
    }

    pub(crate) fn set_quota(&mut self, quota: Vec<QuotaConfig>, turn: &mut Turn<'_>) {
        if self.quota != quota {
            self.quota = quota;
            let quota = Arc::new(self.quota.clone());
            turn.allocator(WorldChange::Quota(Arc::clone(&quota)));
            self.change(turn, Change::Quota(quota));
        }
    }

    /// Guarantees against what the registered agents have; both as texts where they do not fit.
    fn check_capacity(&self, quota: &[QuotaConfig]) -> Result<(), (String, String)> {
        let mut capacity: BTreeMap<&str, Quantity> = BTreeMap::new();
        let resources = self.agents.values().flat_map(|agent| &agent.record.total);
        for resource in resources.filter(|resource| resource.revocable.is_none()) {
            if let Some(scalar) = &resource.scalar {
                *capacity.entry(&resource.name).or_default() += quantity(scalar.value);
            }
        }
        let mut guaranteed: BTreeMap<&str, Quantity> = BTreeMap::new();
        for (name, scalar) in quota.iter().flat_map(|config| &config.guarantees) {
            *guaranteed.entry(name).or_default() += quantity(scalar.value);
        }
        let fits = guaranteed
            .iter()
            .all(|(name, wanted)| capacity.get(name).copied().unwrap_or_default() >= *wanted);
        if fits {
            Ok(())
        } else {
            Err((list(&guaranteed), list(&capacity)))
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

fn guarantee(resources: &[Resource]) -> Result<Quantities, String> {
    let mut quantities = Quantities::new();
    for resource in resources {
        let scalar = resource.scalar.as_ref().ok_or_else(|| {
            format!(
                "QuotaInfo with invalid resource: '{}' is not a scalar",
                resource.name
            )
        })?;
        if !(scalar.value.is_finite() && scalar.value >= 0.0) {
            return Err(format!(
                "QuotaInfo with invalid resource: '{}' is {}",
                resource.name, scalar.value
            ));
        }
        if quantities.insert(resource.name.clone(), *scalar).is_some() {
            return Err(format!(
                "QuotaInfo contains duplicate resource name '{}'",
                resource.name
            ));
        }
    }
    Ok(quantities)
}

fn quantity(value: f64) -> Quantity {
    Quantity::from_f64(value).unwrap_or_default()
}

/// `cpus:8; mem:8192`, as Mesos prints resource quantities.
fn list(quantities: &BTreeMap<&str, Quantity>) -> String {
    let parts: Vec<String> = quantities
        .iter()
        .map(|(name, value)| format!("{name}:{value}"))
        .collect();
    parts.join("; ")
}

#[cfg(test)]
#[path = "quota_tests.rs"]
mod tests;
