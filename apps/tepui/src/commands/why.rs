//! `tepui why`: what stands between a framework and each agent, in sentences.

use std::process::ExitCode;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::{
    ids,
    lists::{list, state, text},
};
use crate::{cli::WhyArgs, output};

pub(crate) async fn why(args: WhyArgs) -> anyhow::Result<ExitCode> {
    let id = ids::framework(&args.list.target, &args.framework).await?.id;
    let mut path = format!("/tepui/v1/why?limit={}", args.limit);
    let parameters = [
        ("framework_id", Some(&id)),
        ("role", args.role.as_ref()),
        ("need", args.need.as_ref()),
    ];
    for (name, value) in parameters {
        if let Some(value) = value {
            let value = utf8_percent_encode(value, NON_ALPHANUMERIC);
            path.push_str(&format!("&{name}={value}"));
        }
    }
    let answer = state(&args.list.target, &path).await?;
    if args.list.json {
        output::lines([answer.to_string()])?;
    } else {
        output::lines(told(&answer))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn told(answer: &Value) -> Vec<String> {
    let need = amounts(&answer["need"]);
    let need = if need.is_empty() {
        "anything worth an offer".to_string()
    } else {
        need
    };
    let mut lines = vec![format!(
        "{} ({}) needs {need}; the policy is {}",
        text(answer, "framework"),
        text(answer, "framework_id"),
        text(answer, "policy"),
    )];
    for role in list(answer, "roles") {
        lines.push(String::new());
        lines.extend(role_told(&role));
    }
    let down = list(answer, "machines_down");
    lines.extend(down.iter().map(|machine| {
        let (hostname, ip) = (text(machine, "hostname"), text(machine, "ip"));
        format!("machine {hostname} ({ip}) is down for maintenance: its agents are not let in")
    }));
    lines
}

fn role_told(role: &Value) -> Vec<String> {
    let mut lines = vec![format!("under role {}:", text(role, "role"))];
    let bars = list(role, "bars");
    let bars = bars.iter().filter_map(Value::as_str);
    lines.extend(bars.map(|bar| format!("  no agent is offered: {}", bar_told(bar))));
    if let Some(ahead) = role["ahead"].as_u64() {
        let takers = text(role, "takers");
        lines.push(format!("  {ahead} of {takers} takers are asked before it"));
    }
    let open = role["open_agents"].as_u64().unwrap_or(0);
    lines.push(format!("  nothing stands in the way on {}", agents(open)));
    let counts = role["agents_by_cause"].as_object().into_iter().flatten();
    for (cause, count) in counts {
        let count = agents(count.as_u64().unwrap_or(0));
        lines.push(format!("  {} on {count}", cause_summary(cause)));
    }
    for agent in list(role, "agents") {
        let name = format!(
            "{} ({})",
            text(&agent, "agent_id"),
            text(&agent, "hostname")
        );
        let causes = list(&agent, "causes");
        if causes.is_empty() {
            lines.push(format!("  {name}: nothing; offered when it is its turn"));
        }
        for cause in &causes {
            lines.push(format!("  {name}: {}", cause_told(cause)));
        }
        if agent["maintenance"].is_object() {
            let told = maintenance_told(&agent["maintenance"]);
            lines.push(format!("  {name}: {told}"));
        }
    }
    lines
}

fn maintenance_told(maintenance: &Value) -> String {
    let begins = match maintenance["begins_in_secs"].as_f64() {
        Some(left) if left > 0.0 => format!("in {}", seconds(&left.into())),
        _ => "now".to_string(),
    };
    let lasts = match &maintenance["lasts_secs"] {
        Value::Null => String::new(),
        lasts => format!(" for {}", seconds(lasts)),
    };
    format!("its machine is scheduled for maintenance {begins}{lasts}")
}

fn agents(count: u64) -> String {
    match count {
        1 => "1 agent".to_string(),
        count => format!("{count} agents"),
    }
}

fn bar_told(bar: &str) -> &str {
    match bar {
        "PAUSED" => "the master waits for the agents it knew before it began to lead",
        "FRAMEWORK_INACTIVE" => "the framework is not connected, or was deactivated",
        "NOT_SUBSCRIBED" => "the framework left this role and only holds what it had",
        "SUPPRESSED" => "the framework suppressed offers; REVIVE ends that",
        other => other,
    }
}

fn cause_summary(cause: &str) -> &str {
    match cause {
        "AGENT_INACTIVE" => "deactivated, draining or away",
        "NOT_WHITELISTED" => "not on the master's --whitelist",
        "GPUS_KEPT" => "has GPUs, kept for frameworks with GPU_RESOURCES",
        "OTHER_REGION" => "in another region, for frameworks with REGION_AWARE",
        "CONSTRAINT" => "ruled out by the framework's own offer constraints",
        "TOO_SMALL" => "too small, even if all were free",
        "RESERVED" => "reserved for other roles",
        "CAPABILITY" => "for frameworks with another capability",
        "HELD" => "offered or in use",
        "QUOTA" => "more than quota allows",
        "REFUSED" => "refused by the framework a while ago",
        other => other,
    }
}

fn cause_told(cause: &Value) -> String {
    let name = text(cause, "cause");
    let summary = cause_summary(&name);
    match name.as_str() {
        "TOO_SMALL" => format!("{summary}: lacks {}", amounts(&cause["missing"])),
        "RESERVED" => {
            let by_role = cause["by_role"].as_object().into_iter().flatten();
            let parts = by_role.map(|(role, held)| format!("{} for {role}", amounts(held)));
            format!("{summary}: {}", parts.collect::<Vec<_>>().join(", "))
        }
        "CAPABILITY" => {
            let wanted = text(cause, "capability");
            format!(
                "{} is for frameworks with {wanted}",
                amounts(&cause["amounts"])
            )
        }
        "HELD" => {
            let holders = list(cause, "holders");
            let holders: Vec<String> = holders.iter().map(holder_told).collect();
            let missing = amounts(&cause["missing"]);
            format!("{summary}: lacks {missing}; {}", holders.join(", "))
        }
        "QUOTA" => {
            let rules = cause["rules"].as_object().into_iter().flatten();
            let rules = rules.map(|(name, rule)| match rule["role"].as_str() {
                Some(role) => format!("{name} by the limit of {role}"),
                None => format!("{name} is kept for guarantees of others"),
            });
            let missing = amounts(&cause["missing"]);
            format!(
                "{summary}: lacks {missing}; {}",
                rules.collect::<Vec<_>>().join(", ")
            )
        }
        "REFUSED" => format!(
            "{summary}: {} for {} more",
            amounts(&cause["refused"]),
            seconds(&cause["lasts_secs"])
        ),
        _ => summary.to_string(),
    }
}

fn holder_told(holder: &Value) -> String {
    let (name, role) = (text(holder, "framework"), text(holder, "role"));
    let name = match name.as_str() {
        "-" => text(holder, "framework_id"),
        _ => name,
    };
    let offered = match &holder["offered_secs"] {
        Value::Null => String::new(),
        age => format!(", offered since {}", seconds(age)),
    };
    format!(
        "{name} as {role} has {}{offered}",
        amounts(&holder["amounts"])
    )
}

pub(super) fn amounts(amounts: &Value) -> String {
    let amounts = amounts.as_object().into_iter().flatten();
    // Thousandths are what the master counts; the rest is how doubles are written.
    let rounded = |it: f64| (it * 1_000.0).round() / 1_000.0;
    let amounts = amounts.map(|(name, amount)| match amount.as_f64() {
        Some(number) => format!("{name}:{}", rounded(number)),
        None => format!("{name}:{amount}"),
    });
    amounts.collect::<Vec<_>>().join(";")
}

/// `3.2 s`, `12 min`, `364 d`.
pub(super) fn seconds(value: &Value) -> String {
    let seconds = value.as_f64().unwrap_or(0.0);
    match seconds {
        ..120.0 => format!("{seconds:.1} s"),
        ..7_200.0 => format!("{:.0} min", seconds / 60.0),
        ..172_800.0 => format!("{:.0} h", seconds / 3_600.0),
        _ => format!("{:.0} d", seconds / 86_400.0),
    }
}

#[cfg(test)]
#[path = "why_tests.rs"]
mod tests;
