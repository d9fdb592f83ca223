//! Command lines written for Mesos' daemons: its spelling of flags, and flags of theirs that have no meaning here. A flag
//! that asks for what ours do anyway is taken; one that asks for nothing that matters is overlooked, with a word;
//! one whose absence would let an operator believe in what is not there is refused.

mod agent;
mod logging;
mod master;

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt, OsStringExt},
};

/// What becomes of a flag.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// These values ask for what is done anyway; others are refused with this text.
    Only(&'static [&'static str], &'static str),
    /// Overlooked; why, and what to do instead.
    Overlooked(&'static str),
    /// What to do instead.
    Refused(&'static str),
}

use Fate::{Only, Overlooked, Refused};

/// What a daemon of Mesos has and ours has not.
struct Daemon {
    /// Other names of flags that it has.
    aliases: &'static [(&'static str, &'static str)],
    flags: &'static [(&'static str, Fate)],
}

const AGENT: Daemon = Daemon {
    aliases: agent::ALIASES,
    flags: agent::FLAGS,
};
const MASTER: Daemon = Daemon {
    aliases: master::ALIASES,
    flags: master::FLAGS,
};

impl Daemon {
    fn of(name: &str) -> Option<&'static Self> {
        match name {
            "agent" => Some(&AGENT),
            "master" => Some(&MASTER),
            _ => None,
        }
    }

    fn fate(&self, name: &str) -> Option<Fate> {
        let mut known = self.flags.iter().chain(logging::FLAGS);
        known
            .find(|(known, _)| *known == name)
            .map(|(_, fate)| *fate)
    }

    fn ours<'a>(&self, name: &'a str) -> &'a str {
        let mut aliases = self.aliases.iter();
        aliases
            .find(|(theirs, _)| *theirs == name)
            .map_or(name, |(_, ours)| ours)
    }
}

/// A command line as ours are written.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Translated {
    pub(crate) arguments: Vec<OsString>,
    /// A line for people for each flag that is overlooked.
    pub(crate) notes: Vec<String>,
}

/// Takes a daemon's command line (`tepui agent …`) as Mesos has it too: `--work_dir=DIR`, `--no-strict`. Others are left
/// as they are. `variables` is the environment.
///
/// Errors: a flag of Mesos' that cannot be done without; what to do instead.
pub(crate) fn translate(
    given: Vec<OsString>,
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Translated, String> {
    let daemon = given.get(1).and_then(|it| it.to_str());
    let Some(daemon) = daemon.and_then(Daemon::of) else {
        return Ok(Translated {
            arguments: given,
            notes: Vec::new(),
        });
    };
    let mut found = Translated::default();
    for argument in given {
        let Some((name, value)) = flag(&argument) else {
            found.arguments.push(argument);
            continue;
        };
        if let Some(fate) = daemon.fate(&name) {
            found
                .notes
                .extend(judge(&format!("--{name}"), fate, &value)?);
            continue;
        }
        let ours = daemon.ours(&name).replace('_', "-");
        let mut ours = OsString::from(format!("--{ours}"));
        if let Some(value) = value {
            ours.push("=");
            ours.push(value);
        }
        found.arguments.push(ours);
    }
    let variables: BTreeMap<OsString, OsString> = variables.collect();
    for (name, value) in &variables {
        let theirs = name.to_str().and_then(|it| it.strip_prefix("MESOS_"));
        let Some(theirs) = theirs.map(str::to_lowercase) else {
            continue;
        };
        if let Some(fate) = daemon.fate(&theirs) {
            let shown = name.to_string_lossy();
            let noted = judge(&shown, fate, &Some(value.clone()))?;
            found.notes.extend(noted);
        }
        let ours = daemon.ours(&theirs);
        if ours != theirs && !is_given(&found.arguments, &variables, ours) {
            let mut argument = OsString::from(format!("--{}=", ours.replace('_', "-")));
            argument.push(value);
            found.arguments.push(argument);
        }
    }
    Ok(found)
}

/// Whether a flag of ours is there by its own name: that goes before an older one.
fn is_given(arguments: &[OsString], variables: &BTreeMap<OsString, OsString>, name: &str) -> bool {
    let mut flags = arguments.iter().filter_map(|it| flag(it));
    let name_in = |prefix: &str| OsString::from(prefix.to_owned() + &name.to_uppercase());
    flags.any(|(given, _)| given == name)
        || variables.contains_key(&name_in("TEPUI_"))
        || variables.contains_key(&name_in("MESOS_"))
}

/// The name of a flag with underscores, and its value: `--no-strict` is false.
fn flag(argument: &OsStr) -> Option<(String, Option<OsString>)> {
    let bytes = argument.as_bytes();
    let text = bytes.strip_prefix(b"--").filter(|it| !it.is_empty())?;
    let end = text.iter().position(|it| *it == b'=');
    let name = std::str::from_utf8(&text[..end.unwrap_or(text.len())]).ok()?;
    let value = end.map(|end| OsString::from_vec(text[end + 1..].to_vec()));
    let name = name.replace('-', "_");
    match name.strip_prefix("no_") {
        Some(name) if value.is_none() => Some((name.to_owned(), Some("false".into()))),
        _ => Some((name, value)),
    }
}

fn judge(name: &str, fate: Fate, value: &Option<OsString>) -> Result<Option<String>, String> {
    let value = value.as_deref().map(OsStr::to_string_lossy);
    match fate {
        Only(values, _)
            if value
                .as_ref()
                .is_some_and(|it| values.contains(&it.as_ref())) =>
        {
            Ok(None)
        }
        Only(_, text) => {
            let value = value.unwrap_or_else(|| "true".into());
            Err(format!("{name}={value}: {text}"))
        }
        Overlooked(text) => Ok(Some(format!("{name} is overlooked: {text}"))),
        Refused(text) => Err(format!("{name}: {text}")),
    }
}

#[cfg(test)]
#[path = "legacy_tests.rs"]
mod tests;
