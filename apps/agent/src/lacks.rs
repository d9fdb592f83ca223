//! What isolation tasks do not get from this agent: decided once, for its log and for operators.

use tepui_containers::{Cgroups, limits::Controller};

enum Lack<'a> {
    Root,
    Cgroups {
        reason: &'a str,
    },
    /// Missing, or left out by the operator.
    Controller(Controller),
}

fn lacks(cgroups: &Cgroups, is_root: bool) -> Vec<Lack<'_>> {
    let mut lacks = Vec::from_iter((!is_root).then_some(Lack::Root));
    if let Cgroups::None { reason } = cgroups {
        lacks.push(Lack::Cgroups { reason });
        return lacks;
    }
    let limiting = [Controller::Cpu, Controller::Memory].into_iter();
    let missing = limiting.filter(|it| !cgroups.has(*it));
    lacks.extend(missing.map(Lack::Controller));
    lacks
}

impl Lack<'_> {
    /// A line of the log.
    fn told(&self) -> String {
        match self {
            Self::Root => {
                "running without root: every task runs as the user of this agent".to_owned()
            }
            Self::Cgroups { reason } => format!(
                "containers are process groups with rlimits, their cpus and mem are not enforced: {reason}"
            ),
            Self::Controller(controller) => format!(
                "no container is limited in {}: the controller is missing, or --isolation leaves it out",
                controller.name()
            ),
        }
    }

    /// A few words; `None`: it may be wanted so.
    fn shown(&self) -> Option<&'static str> {
        match self {
            Self::Root => {
                Some("no root: process groups and rlimits only, tasks run as the agent's user")
            }
            Self::Cgroups { .. } => Some("no cgroups: cpus and mem of tasks are not enforced"),
            Self::Controller(_) => None,
        }
    }
}

/// What operators see of this agent in the web admin: the worst of it.
pub(crate) fn shown(cgroups: &Cgroups, is_root: bool) -> Option<String> {
    let lacks = lacks(cgroups, is_root);
    lacks.iter().find_map(Lack::shown).map(str::to_owned)
}

/// Writes to the log how containers are isolated.
pub(crate) fn say(cgroups: &Cgroups, is_root: bool) {
    match cgroups {
        Cgroups::V1 { .. } => tracing::info!("containers are limited by cgroups v1"),
        Cgroups::V2 { .. } => tracing::info!("containers are limited by cgroups v2"),
        Cgroups::None { .. } => {}
    }
    for lack in lacks(cgroups, is_root) {
        tracing::warn!("{}", lack.told());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_see_the_worst_and_the_log_has_all() {
        let none = Cgroups::none("none is mounted".to_owned());
        let shown = |is_root| shown(&none, is_root).unwrap();
        assert!(shown(false).starts_with("no root"), "{}", shown(false));
        assert!(shown(true).starts_with("no cgroups"), "{}", shown(true));
        let told: Vec<_> = lacks(&none, false).iter().map(Lack::told).collect();
        let [root, cgroups] = &told[..] else {
            panic!("{told:?}")
        };
        assert!(root.contains("as the user of this agent"));
        assert!(cgroups.ends_with("not enforced: none is mounted"));
    }
}
