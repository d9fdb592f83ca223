//! Which files of the agent are shown: the sandboxes, by their real path and by
//! `/frameworks/<framework>/executors/<executor>/runs/<container or latest>`, and the persistent volumes where sandboxes
//! have them. Nothing else of the work directory.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use tepui_http::{Files, Located, VirtualPaths, files::inside};
use tepui_messages::agent::{ExecutorState, NodeState};
use tepui_node::volumes::{self, ShownVolume};

/// Names that `/files/debug` lists at most.
const MAX_LISTED: usize = 20_000;
/// Names of a real path below the work directory, up to the run.
const REAL: [&str; 4] = ["slaves", "frameworks", "executors", "runs"];
const LATEST: &str = "latest";
/// The agent's own log.
pub(super) const LOG: &str = "/slave/log";

/// The sandboxes below one work directory.
#[derive(Debug, Clone)]
pub(crate) struct Sandboxes {
    work_dir: PathBuf,
    /// The same as the operator wrote it, perhaps by links: clients may know it so.
    configured: PathBuf,
    log_file: Option<PathBuf>,
    /// Of executors that have not ended.
    live: Vec<PathBuf>,
    /// By their absolute paths in sandboxes.
    volumes: Vec<ShownVolume>,
    max_listed: usize,
}

impl Sandboxes {
    /// Both directories are absolute; `work_dir` has no links.
    pub(crate) fn new(work_dir: PathBuf, configured: PathBuf, log_file: Option<PathBuf>) -> Self {
        Self {
            work_dir,
            configured,
            log_file,
            live: Vec::new(),
            volumes: Vec::new(),
            max_listed: MAX_LISTED,
        }
    }

    /// What can be shown without asking the node.
    pub(crate) fn files(&self) -> Files {
        Files::new(self.clone())
    }

    /// With what the node knows: where volumes lie, and who lives.
    pub(crate) fn files_with(&self, node: &NodeState) -> Files {
        Files::new(self.with(node))
    }

    fn with(&self, node: &NodeState) -> Self {
        let executors = || node.frameworks.iter().flat_map(|it| &it.executors);
        let volumes = executors().flat_map(|it| self.volumes_of(it));
        Self {
            live: executors().map(|it| it.sandbox.clone()).collect(),
            volumes: volumes.collect(),
            ..self.clone()
        }
    }

    fn volumes_of(&self, executor: &ExecutorState) -> Vec<ShownVolume> {
        let mut shown = volumes::shown(&self.work_dir, executor);
        for volume in &mut shown {
            volume.at = executor.sandbox.join(&volume.at);
        }
        shown
    }

    fn log(&self) -> Option<Located> {
        let file = self.log_file.as_ref()?;
        Some(Located {
            root: file.parent()?.to_owned(),
            inside: file.file_name()?.into(),
        })
    }

    /// The way to a path below the work directory, whatever it is called.
    fn below<'a>(&self, absolute: &'a Path) -> Option<&'a Path> {
        let real = absolute.strip_prefix(&self.work_dir).ok();
        real.or_else(|| absolute.strip_prefix(&self.configured).ok())
    }

    /// The directory of a run: of this agent's ids the one that has it (an agent may have had several).
    fn run(&self, agent: Option<&str>, names: [&str; 3]) -> Option<PathBuf> {
        let [framework, executor, container] = names;
        let agents = match agent {
            Some(agent) => vec![agent.to_owned()],
            None => {
                let agents = paths_in(&self.work_dir.join(REAL[0])).into_iter();
                let names = agents.filter_map(|it| Some(it.file_name()?.to_str()?.to_owned()));
                names.collect()
            }
        };
        agents.into_iter().find_map(|agent| {
            let runs = self.runs(&agent, framework, executor);
            let run = match container {
                LATEST => runs.join(latest(&runs)?),
                container => runs.join(container),
            };
            run.is_dir().then_some(run)
        })
    }

    fn runs(&self, agent: &str, framework: &str, executor: &str) -> PathBuf {
        let names = [
            REAL[0], agent, REAL[1], framework, REAL[2], executor, REAL[3],
        ];
        let mut runs = self.work_dir.clone();
        runs.extend(names);
        runs
    }

    /// A volume's own directory is a root of its own, which the agent chose.
    fn located(&self, run: PathBuf, rest: &[&str]) -> Located {
        let inside: PathBuf = rest.iter().collect();
        let path = run.join(&inside);
        let volumes = self.volumes.iter();
        let found = volumes.filter_map(|volume| {
            let inside = path.strip_prefix(&volume.at).ok()?;
            Some((inside, volume))
        });
        match found.min_by_key(|(inside, _)| inside.components().count()) {
            Some((inside, volume)) => Located {
                root: volume.directory.clone(),
                inside: inside.to_owned(),
            },
            None => Located { root: run, inside },
        }
    }

    /// Every run that is there, those of live executors first.
    fn all_runs(&self) -> impl Iterator<Item = PathBuf> {
        let mut above = vec![self.work_dir.clone()];
        let [agents, frameworks, executors, runs] = REAL;
        for name in [agents, frameworks, executors] {
            let below = above.iter().flat_map(|it| paths_in(&it.join(name)));
            above = below.collect();
        }
        let all = above
            .into_iter()
            .flat_map(move |it| paths_in(&it.join(runs)));
        let all = all.filter(|it| !it.ends_with(LATEST));
        self.live.iter().cloned().chain(all)
    }

    /// All names of a run's directory.
    fn names_of(&self, run: &Path) -> Vec<String> {
        let mut names = vec![run.display().to_string()];
        let way = run.strip_prefix(&self.work_dir).unwrap_or(run).iter();
        let way: Vec<_> = way.map(|name| name.to_string_lossy()).collect();
        if let ([_, _, _, framework, _, executor, _, name], Some(runs)) = (&way[..], run.parent())
            && latest(runs).is_some_and(|latest| latest == *name)
        {
            names.push(runs.join(LATEST).display().to_string());
            names.push(format!(
                "/frameworks/{framework}/executors/{executor}/runs/{LATEST}"
            ));
        }
        names
    }
}

/// The name of the newest run.
fn latest(runs: &Path) -> Option<String> {
    let target = fs::read_link(runs.join(LATEST)).ok()?;
    target.file_name()?.to_str().map(str::to_owned)
}

fn paths_in(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

impl VirtualPaths for Sandboxes {
    fn locate(&self, path: &str) -> Option<Located> {
        // Refuses `..` and NUL, and drops what means nothing.
        let clean = inside(path)?;
        let absolute = Path::new("/").join(&clean);
        let real = self.below(&absolute);
        let path = real.unwrap_or(&clean);
        let names: Option<Vec<&str>> = path.iter().map(|name| name.to_str()).collect();
        let names = names?;
        let (run, rest) = match (real, names.as_slice()) {
            (
                Some(_),
                [
                    "slaves",
                    agent,
                    "frameworks",
                    fw,
                    "executors",
                    executor,
                    "runs",
                    run,
                    rest @ ..,
                ],
            ) => (self.run(Some(*agent), [*fw, *executor, *run])?, rest),
            (
                None,
                [
                    "frameworks",
                    fw,
                    "executors",
                    executor,
                    "runs",
                    run,
                    rest @ ..,
                ],
            ) => (self.run(None, [*fw, *executor, *run])?, rest),
            (None, ["slave", "log"]) => return self.log(),
            _ => return None,
        };
        Some(self.located(run, rest))
    }

    fn all(&self) -> BTreeMap<String, String> {
        let mut shown = BTreeMap::new();
        if let Some(file) = &self.log_file {
            shown.insert(LOG.to_owned(), file.display().to_string());
        }
        for run in self.all_runs() {
            if shown.len() >= self.max_listed {
                break;
            }
            let real = run.display().to_string();
            if shown.contains_key(&real) || !run.is_dir() {
                continue;
            }
            let names = self.names_of(&run).into_iter();
            shown.extend(names.map(|name| (name, real.clone())));
        }
        shown
    }
}

#[cfg(test)]
#[path = "sandboxes_tests.rs"]
mod tests;
