//! Which agent, framework, task or machine somebody means who types a part of its id, or its name.

use anyhow::bail;
use serde_json::Value;

use super::lists::{list, state, text};
use crate::cli::Target;

/// How many are named where the one that is meant is not clear.
const MOST_NAMED: usize = 10;

/// What is looked for, in the words of a sentence.
#[derive(Clone, Copy)]
pub(super) struct Kind {
    pub(super) one: &'static str,
    pub(super) many: &'static str,
    /// The command that lists them.
    pub(super) listed_by: &'static str,
}

pub(super) const AGENT: Kind = Kind {
    one: "agent",
    many: "agents",
    listed_by: "tepui agents",
};
pub(super) const FRAMEWORK: Kind = Kind {
    one: "framework",
    many: "frameworks",
    listed_by: "tepui frameworks",
};
pub(super) const TASK: Kind = Kind {
    one: "task",
    many: "tasks",
    listed_by: "tepui ps",
};

/// One that may be meant.
pub(super) struct Candidate {
    pub(super) id: String,
    /// What else names it, whole: a hostname, a framework's name.
    pub(super) names: Vec<String>,
    /// What people know it by.
    pub(super) known_as: Option<String>,
}

impl Candidate {
    /// Its id, and in brackets what it is known as.
    pub(super) fn shown(&self) -> String {
        match &self.known_as {
            Some(name) => format!("{} ({name})", self.id),
            None => self.id.clone(),
        }
    }
}

/// The one that is meant: by its whole id, else by one of its names, the beginning of its id or its end behind the last
/// dash (agents of one master differ in nothing else). None of these goes before another: names are chosen by anybody,
/// and one like the id of another must not be taken for it.
///
/// # Errors
/// None or several are meant; the text names those there are.
pub(super) fn choose(
    kind: Kind,
    wanted: &str,
    candidates: Vec<Candidate>,
) -> anyhow::Result<Candidate> {
    let ways = [
        |it: &Candidate, wanted: &str| it.id == wanted,
        |it: &Candidate, wanted: &str| {
            let end = it.id.rsplit_once('-').map(|(_, end)| end);
            let mut whole = it.names.iter().map(String::as_str).chain(end);
            it.id.starts_with(wanted) || whole.any(|name| name.eq_ignore_ascii_case(wanted))
        },
    ];
    let Kind {
        one,
        many,
        listed_by,
    } = kind;
    if wanted.is_empty() {
        bail!("which {one}? expected an id or a name; `{listed_by}` lists them");
    }
    let way = ways
        .iter()
        .find(|way| candidates.iter().any(|it| way(it, wanted)));
    let Some(way) = way else {
        if candidates.is_empty() {
            bail!("no {one} is called '{wanted}': there are no {many}");
        }
        let named = named(&candidates);
        bail!("no {one} is called '{wanted}'; there are {named}; `{listed_by}` lists them");
    };
    let mut meant: Vec<Candidate> = candidates
        .into_iter()
        .filter(|it| way(it, wanted))
        .collect();
    match (meant.pop(), meant.is_empty()) {
        (Some(only), true) => Ok(only),
        (last, _) => {
            meant.extend(last);
            let named = named(&meant);
            bail!(
                "'{wanted}' may be any of {} {many}; choose one of {named}",
                meant.len()
            )
        }
    }
}

fn named(candidates: &[Candidate]) -> String {
    let shown = candidates.iter().take(MOST_NAMED).map(Candidate::shown);
    let mut shown = shown.collect::<Vec<_>>().join(", ");
    let more = candidates.len().saturating_sub(MOST_NAMED);
    if more > 0 {
        shown.push_str(&format!(" and {more} more"));
    }
    shown
}

/// A registered agent, as `/slaves` shows it.
pub(super) async fn agent(target: &Target, wanted: &str) -> anyhow::Result<Candidate> {
    choose(AGENT, wanted, agents(target).await?)
}

pub(super) async fn agents(target: &Target) -> anyhow::Result<Vec<Candidate>> {
    Ok(slaves(target).await?.iter().map(agent_candidate).collect())
}

/// Agents that are registered, or should be again soon.
pub(super) async fn slaves(target: &Target) -> anyhow::Result<Vec<Value>> {
    let answer = state(target, "/slaves").await?;
    let mut agents = list(&answer, "slaves");
    agents.extend(list(&answer, "recovered_slaves"));
    Ok(agents)
}

fn agent_candidate(agent: &Value) -> Candidate {
    let hostname = text(agent, "hostname");
    let with_port = format!("{hostname}:{}", text(agent, "port"));
    Candidate {
        id: text(agent, "id"),
        names: vec![hostname, with_port.clone()],
        known_as: Some(with_port),
    }
}

/// A framework that has not ended.
pub(super) async fn framework(target: &Target, wanted: &str) -> anyhow::Result<Candidate> {
    let frameworks = list(&state(target, "/state-summary").await?, "frameworks");
    let candidates = frameworks.iter().map(|framework| {
        let name = text(framework, "name");
        Candidate {
            id: text(framework, "id"),
            names: vec![name.clone()],
            known_as: Some(name),
        }
    });
    choose(FRAMEWORK, wanted, candidates.collect())
}

#[cfg(test)]
#[path = "ids_tests.rs"]
mod tests;
