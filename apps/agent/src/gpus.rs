//! Whole GPUs: which container has which (Mesos: `isolators/gpu/allocator.cpp`). A GPU here is whatever device the operator
//! names by its path. Who holds what is kept with the records of containers, so that it outlives the agent.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
};

use tepui_containers::{devices::Device, whole};

/// In the runtime directory of a container: the paths of its GPUs, one a line.
const FILE: &str = "gpus";
const DRAFT: &str = "gpus.new";

/// All GPUs of an agent.
#[derive(Debug, Default)]
pub(crate) struct Gpus {
    all: Vec<Device>,
    /// Places in `all`, by container. None is empty.
    held: BTreeMap<String, BTreeSet<usize>>,
}

impl Gpus {
    pub(crate) fn new(all: Vec<Device>) -> Self {
        Self {
            all,
            held: BTreeMap::new(),
        }
    }

    /// Whether there are any.
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Lets a container have so many, those it holds included, and writes that down in `dir`. What it shall not have any
    /// more is taken from it by `deny` before that: nobody else is given it while the container can use it, nor by the
    /// next agent.
    ///
    /// Errors: there are not so many, they cannot be taken away, or it cannot be written down. It holds what it held then.
    pub(crate) fn assign(
        &mut self,
        container_id: &str,
        wanted: u32,
        dir: &Path,
        deny: impl FnOnce(Vec<Device>) -> Result<(), String>,
    ) -> Result<(), String> {
        let wanted = wanted as usize;
        let before = self.held.get(container_id).cloned().unwrap_or_default();
        if before.len() == wanted || self.all.is_empty() {
            return Ok(());
        }
        let taken: BTreeSet<usize> = self.held.values().flatten().copied().collect();
        let free = (0..self.all.len()).filter(|it| !taken.contains(it));
        let after: BTreeSet<usize> = before.iter().copied().chain(free).take(wanted).collect();
        if after.len() < wanted {
            let more = wanted - before.len();
            let available = self.all.len() - taken.len();
            return Err(format!(
                "Requested {more} gpus but only {available} available"
            ));
        }
        let lost = before.difference(&after).map(|it| self.all[*it].clone());
        let lost: Vec<Device> = lost.collect();
        if !lost.is_empty() {
            deny(lost)?;
        }
        let lines = after
            .iter()
            .map(|it| format!("{}\n", self.all[*it].path.display()));
        write(dir, &lines.collect::<String>())
            .map_err(|error| format!("cannot keep which GPUs {container_id} has: {error}"))?;
        match after.is_empty() {
            true => self.held.remove(container_id),
            false => self.held.insert(container_id.to_owned(), after),
        };
        Ok(())
    }

    /// Knows again what a container of an earlier life has. A GPU that is not this agent's any more is left out.
    /// Says which others there are, if it was ever given any: it may use none of them.
    pub(crate) fn recover(&mut self, container_id: &str, dir: &Path) -> Vec<Device> {
        let Ok(text) = std::fs::read_to_string(dir.join(FILE)) else {
            return Vec::new();
        };
        let places = text.lines().filter_map(|line| {
            let path = Path::new(line);
            self.all.iter().position(|device| device.path == path)
        });
        let places: BTreeSet<usize> = places.collect();
        if !places.is_empty() {
            self.held.insert(container_id.to_owned(), places);
        }
        let own = self.of(container_id);
        let others = self.all.iter().filter(|it| !own.contains(it));
        others.cloned().collect()
    }

    /// The container has ended.
    pub(crate) fn release(&mut self, container_id: &str) {
        self.held.remove(container_id);
    }

    /// What a container may use: its own, and those of the containers around it.
    pub(crate) fn of(&self, container_id: &str) -> Vec<Device> {
        let ends = container_id.match_indices('.').map(|(at, _)| at);
        let ids = ends.map(|end| &container_id[..end]).chain([container_id]);
        let places = ids.filter_map(|id| self.held.get(id)).flatten();
        places.map(|it| self.all[*it].clone()).collect()
    }
}

/// Whole or not at all.
fn write(dir: &Path, text: &str) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let mut directory = std::fs::DirBuilder::new();
    directory.recursive(true).mode(0o700).create(dir)?;
    whole::replace(&dir.join(FILE), &dir.join(DRAFT), text.as_bytes(), false)
}

#[cfg(test)]
#[path = "gpus_tests.rs"]
mod tests;
