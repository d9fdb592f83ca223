//! Whether an agent may go on as the one it was, though it was told other things at its start (Mesos:
//! `slave/compatibility.cpp`), and what it does with what it finds. Pure.

use tepui_protocol::{
    resources::Resources,
    v1::{AgentInfo, Attribute, value},
    values::same_attributes,
};

/// What becomes of containers of an earlier life (Mesos: `--recover`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Recovery {
    /// They run on.
    #[default]
    Reconnect,
    /// They are killed, and the agent ends; its next start is a new agent.
    Cleanup,
}

/// Which changes of its settings leave an agent the one it was (Mesos: `--reconfiguration_policy`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reconfiguration {
    /// None.
    #[default]
    Equal,
    /// More resources, attributes, and a domain where there was none.
    Additive,
}

/// What is not permitted of the change from one description to another, in words that `since it was registered`
/// completes; ids aside.
pub(crate) fn problem(
    policy: Reconfiguration,
    before: &AgentInfo,
    now: &AgentInfo,
) -> Option<String> {
    match policy {
        Reconfiguration::Equal => {
            let what = difference(before, now)?;
            Some(format!("the agent's {what} changed"))
        }
        Reconfiguration::Additive => {
            let what = loss(before, now)?;
            Some(format!(
                "the agent's {what}, which the policy 'additive' does not permit,"
            ))
        }
    }
}

/// Whether nothing but the id differs.
pub(crate) fn is_same(before: &AgentInfo, now: &AgentInfo) -> bool {
    difference(before, now).is_none()
}

fn difference(before: &AgentInfo, now: &AgentInfo) -> Option<&'static str> {
    let attributes = same_attributes(&before.attributes, &now.attributes);
    let parts = [
        ("hostname", before.hostname == now.hostname),
        ("port", before.port == now.port),
        ("resources", before.resources == now.resources),
        ("attributes", attributes),
        ("domain", before.domain == now.domain),
    ];
    let (name, _) = parts.into_iter().find(|(_, same)| !same)?;
    Some(name)
}

fn loss(before: &AgentInfo, now: &AgentInfo) -> Option<String> {
    if before.hostname != now.hostname {
        let (was, is) = (&before.hostname, &now.hostname);
        return Some(format!("hostname changed from {was} to {is}"));
    }
    if before.port != now.port {
        let [was, is] = [before, now].map(|info| info.port.unwrap_or_default());
        return Some(format!("port changed from {was} to {is}"));
    }
    if before.domain.is_some() && before.domain != now.domain {
        return Some("domain changed".to_owned());
    }
    let [was, is] = [before, now].map(|info| Resources::from_proto_unchecked(&info.resources));
    if let Some(lost) = was.iter().find(|entry| !is.contains_entry(entry)) {
        return Some(format!("resources lost some of their {}", lost.name()));
    }
    let mut attributes = before.attributes.iter();
    let lost = attributes.find(|attribute| !holds(&now.attributes, attribute))?;
    Some(format!("attribute {} changed or is gone", lost.name))
}

/// Whether the first attribute of that name has the same value, or ranges around it.
fn holds(attributes: &[Attribute], wanted: &Attribute) -> bool {
    let mut attributes = attributes.iter();
    let Some(found) = attributes.find(|attribute| attribute.name == wanted.name) else {
        return false;
    };
    match (&found.ranges, &wanted.ranges) {
        (Some(found), Some(wanted)) => {
            let covers = |wanted: &value::Range| {
                let mut ranges = found.range.iter();
                ranges.any(|range| range.begin <= wanted.begin && wanted.end <= range.end)
            };
            wanted.range.iter().all(covers)
        }
        _ => found == wanted,
    }
}

#[cfg(test)]
#[path = "compatibility_tests.rs"]
mod tests;
