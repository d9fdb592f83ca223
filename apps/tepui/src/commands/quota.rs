//! `tepui quota`: what roles are guaranteed and limited to, and what they have of it.

use std::{collections::BTreeMap, process::ExitCode};

use anyhow::{Context, bail};
use serde_json::Value;
use tepui_protocol::v1::{
    master::{
        Call,
        call::{Type, UpdateQuota},
    },
    quota::QuotaConfig,
    value::Scalar,
};

use super::{
    calls,
    lists::{Column, list, print, state, text},
};
use crate::{
    cli::{QuotaArgs, QuotaCommand, QuotaSetArgs, Target},
    output,
};

/// Resources that may be named before an agent has them.
const USUAL: [&str; 4] = ["cpus", "mem", "disk", "gpus"];

pub(crate) async fn quota(args: QuotaArgs) -> anyhow::Result<ExitCode> {
    let target = &args.list.target;
    match (args.command, args.role) {
        (None, role) => show(target, role, args.list.json).await,
        (Some(_), Some(role)) => {
            bail!("quota {role}: a role goes behind set or remove, such as quota set {role}")
        }
        (Some(QuotaCommand::Set(set)), None) => update(target, set).await,
        (Some(QuotaCommand::Remove { role }), None) => remove(target, role).await,
    }
}

async fn show(target: &Target, role: Option<String>, json: bool) -> anyhow::Result<ExitCode> {
    let roles = list(&state(target, "/roles").await?, "roles").into_iter();
    let roles: Vec<Value> = match &role {
        Some(role) => roles.filter(|it| it["name"] == role.as_str()).collect(),
        None => roles.filter(has_quota).collect(),
    };
    let columns: &[Column] = &[
        ("ROLE", |role| text(role, "name")),
        ("GUARANTEE", |role| amounts(&role["quota"]["guarantee"])),
        ("LIMIT", |role| amounts(&role["quota"]["limit"])),
        ("CONSUMED", |role| amounts(&role["quota"]["consumed"])),
        ("ALLOCATED", |role| amounts(&role["allocated"])),
        ("OFFERED", |role| amounts(&role["offered"])),
        ("RESERVED", |role| amounts(&role["reserved"])),
    ];
    let empty = match role {
        Some(role) => format!("role {role} has no quota, and nobody is in it"),
        None => "no role has quota; `tepui quota set ROLE --guarantee 'cpus:4;mem:512'` gives one"
            .to_string(),
    };
    print(&roles, json, columns, &empty)
}

fn has_quota(role: &Value) -> bool {
    let is_set = |name: &str| {
        role["quota"][name]
            .as_object()
            .is_some_and(|it| !it.is_empty())
    };
    is_set("guarantee") || is_set("limit")
}

/// `cpus:4;mem:512`, without what there is nothing of.
fn amounts(of: &Value) -> String {
    let amounts = of.as_object().into_iter().flatten();
    let amounts = amounts.filter_map(|(name, amount)| match amount {
        Value::String(ranges) => Some(format!("{name}:{ranges}")),
        amount => amount
            .as_f64()
            .filter(|it| *it != 0.0)
            .map(|it| format!("{name}:{it}")),
    });
    let amounts: Vec<String> = amounts.collect();
    match amounts.is_empty() {
        true => "-".to_string(),
        false => amounts.join(";"),
    }
}

async fn update(target: &Target, args: QuotaSetArgs) -> anyhow::Result<ExitCode> {
    if args.guarantee.is_none() && args.limit.is_none() {
        bail!(
            "quota set {}: expected --guarantee, --limit or both; `tepui quota remove {}` takes quota away",
            args.role,
            args.role
        );
    }
    let config = QuotaConfig {
        role: args.role,
        guarantees: parsed("--guarantee", args.guarantee.as_deref())?,
        limits: parsed("--limit", args.limit.as_deref())?,
    };
    if !args.force {
        let named = config.guarantees.keys().chain(config.limits.keys());
        expect_known(target, named).await?;
    }
    let role = config.role.clone();
    let guaranteed = match config.guarantees.is_empty() {
        true => "nothing guaranteed".to_string(),
        false => format!("{} guaranteed", shown(&config.guarantees)),
    };
    let limited = match config.limits.is_empty() {
        true => "no limit".to_string(),
        false => format!("{} at most", shown(&config.limits)),
    };
    send(
        target,
        &format!("set the quota of role {role}"),
        config,
        args.force,
    )
    .await?;
    output::lines([format!("role {role}: {guaranteed}, {limited}")])?;
    Ok(ExitCode::SUCCESS)
}

/// The master takes any name: one that was mistyped would take the place of what was guaranteed and limited before.
async fn expect_known(target: &Target, names: impl Iterator<Item = &String>) -> anyhow::Result<()> {
    let unusual: Vec<&String> = names.filter(|it| !USUAL.contains(&it.as_str())).collect();
    if unusual.is_empty() {
        return Ok(());
    }
    let agents = list(&state(target, "/state-summary").await?, "slaves");
    for name in unusual {
        if !agents.iter().any(|it| it["resources"].get(name).is_some()) {
            bail!(
                "no agent has '{name}'; expected {} or what `tepui agents --json` shows; --force sets it all the same",
                USUAL.join(", ")
            );
        }
    }
    Ok(())
}

async fn remove(target: &Target, role: String) -> anyhow::Result<ExitCode> {
    let doing = format!("remove the quota of role {role}");
    let config = QuotaConfig {
        role: role.clone(),
        ..QuotaConfig::default()
    };
    send(target, &doing, config, false).await?;
    output::lines([format!("role {role} has no quota")])?;
    Ok(ExitCode::SUCCESS)
}

async fn send(
    target: &Target,
    doing: &str,
    config: QuotaConfig,
    is_forced: bool,
) -> anyhow::Result<()> {
    let call = Call {
        r#type: Some(Type::UpdateQuota as i32),
        update_quota: Some(UpdateQuota {
            force: Some(is_forced),
            quota_configs: vec![config],
        }),
        ..Call::default()
    };
    calls::change(target, doing, &call).await
}

/// Amounts by name.
fn parsed(flag: &str, given: Option<&str>) -> anyhow::Result<BTreeMap<String, Scalar>> {
    let mut amounts = BTreeMap::new();
    let parts = given.into_iter().flat_map(|text| text.split(';'));
    for part in parts.map(str::trim).filter(|part| !part.is_empty()) {
        let expected = || format!("{flag} {part}: expected amounts, such as 'cpus:4;mem:512'");
        let (name, amount) = part.split_once(':').with_context(expected)?;
        let value: f64 = amount.trim().parse().ok().with_context(expected)?;
        if name.trim().is_empty() || !value.is_finite() || value < 0.0 {
            bail!(expected());
        }
        let earlier = amounts.insert(name.trim().to_string(), Scalar { value });
        if earlier.is_some() {
            bail!("{flag}: {} is there twice", name.trim());
        }
    }
    if given.is_some() && amounts.is_empty() {
        bail!("{flag}: expected amounts, such as 'cpus:4;mem:512'");
    }
    Ok(amounts)
}

fn shown(amounts: &BTreeMap<String, Scalar>) -> String {
    let amounts = amounts
        .iter()
        .map(|(name, it)| format!("{name}:{}", it.value));
    amounts.collect::<Vec<_>>().join(";")
}

#[cfg(test)]
#[path = "quota_tests.rs"]
mod tests;
