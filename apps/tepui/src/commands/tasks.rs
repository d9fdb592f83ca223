//! Tasks as the command line makes them.

use tepui_protocol::v1::{
    AgentId, CommandInfo, FrameworkInfo, Offer, Resource, TaskId, TaskInfo, value,
};

pub(crate) fn scalar(name: &str, value: f64) -> Resource {
    Resource {
        name: name.to_string(),
        r#type: value::Type::Scalar as i32,
        scalar: Some(value::Scalar { value }),
        ..Default::default()
    }
}

/// A framework of the user who runs this program.
pub(crate) fn framework(name: &str) -> FrameworkInfo {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid())
        .ok()
        .flatten();
    FrameworkInfo {
        user: user.map_or_else(|| "root".to_string(), |user| user.name),
        name: name.to_string(),
        // Its tasks outlive a restart of their agent.
        checkpoint: Some(true),
        ..Default::default()
    }
}

pub(crate) fn task(
    id: &str,
    name: &str,
    agent_id: AgentId,
    cpus: f64,
    mem: f64,
    command: CommandInfo,
) -> TaskInfo {
    TaskInfo {
        name: name.to_string(),
        task_id: TaskId {
            value: id.to_string(),
        },
        agent_id,
        resources: vec![scalar("cpus", cpus), scalar("mem", mem)],
        command: Some(command),
        ..Default::default()
    }
}

pub(crate) fn shell(command: &str) -> CommandInfo {
    CommandInfo {
        shell: Some(true),
        value: Some(command.to_string()),
        ..Default::default()
    }
}

/// The command as it was typed, without a shell between.
pub(crate) fn argv(words: &[String]) -> CommandInfo {
    CommandInfo {
        shell: Some(false),
        value: words.first().cloned(),
        arguments: words.to_vec(),
        ..Default::default()
    }
}

pub(crate) fn amount(offer: &Offer, name: &str) -> f64 {
    let resources = offer
        .resources
        .iter()
        .filter(|resource| resource.name == name);
    resources
        .filter_map(|resource| resource.scalar.as_ref())
        .map(|scalar| scalar.value)
        .sum()
}
