//! Which files of the agent are shown: the sandboxes, by their real path and by
//! `/frameworks/<framework>/executors/<executor>/runs/<container or latest>`. Nothing else of the work directory.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use tepui_http::{Located, VirtualPaths, files::inside};

/// Sandboxes that `/files/debug` lists at most.
const MAX_LISTED: usize = 1_000;
/// Names of a real path below the work directory, up to the run.
const REAL: [&str; 4] = ["slaves", "frameworks", "executors", "runs"];
const LATEST: &str = "latest";

/// The sandboxes below one work directory.
pub(crate) struct Sandboxes {
    work_dir: PathBuf,
    log_file: Option<PathBuf>,
}

impl Sandboxes {
    /// `work_dir` is absolute.
    pub(crate) fn new(work_dir: PathBuf, log_file: Option<PathBuf>) -> Self {
        Self { work_dir, log_file }
    }

    fn log(&self) -> Option<Located> {
        let file = self.log_file.as_ref()?;
        Some(Located {
            root: file.parent()?.to_owned(),
            inside: file.file_name()?.into(),
        })
    }

    /// The directory of a run: of this agent's ids the one that has it (an agent may have had several).
    fn run(&self, agent: Option<&str>, names: [&str; 3]) -> Option<PathBuf> {
        let [framework, executor, container] = names;
        let agents = match agent {
            Some(agent) => vec![agent.to_owned()],
            None => self.names(&self.work_dir.join(REAL[0])),
        };
        agents.into_iter().find_map(|agent| {
            let runs = self.runs(&agent, framework, executor);
            let run = match container {
                LATEST => {
                    let target = fs::read_link(runs.join(LATEST)).ok()?;
                    runs.join(target.file_name()?)
                }
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

    fn names(&self, directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }
}

impl VirtualPaths for Sandboxes {
    fn locate(&self, path: &str) -> Option<Located> {
        // Refuses `..` and NUL, and drops what means nothing.
        let clean = inside(path)?;
        let absolute = Path::new("/").join(&clean);
        let real = absolute.strip_prefix(&self.work_dir).ok();
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
        Some(Located {
            root: run,
            inside: rest.iter().collect(),
        })
    }

    fn all(&self) -> BTreeMap<String, String> {
        let mut shown = BTreeMap::new();
        if let Some(file) = &self.log_file {
            shown.insert("/slave/log".to_owned(), file.display().to_string());
        }
        for agent in self.names(&self.work_dir.join(REAL[0])) {
            let frameworks = self.work_dir.join(REAL[0]).join(&agent).join(REAL[1]);
            for framework in self.names(&frameworks) {
                let executors = frameworks.join(&framework).join(REAL[2]);
                for executor in self.names(&executors) {
                    let Some(run) = self.run(Some(&agent), [&framework, &executor, LATEST]) else {
                        continue;
                    };
                    let real = run.display().to_string();
                    let name =
                        format!("/frameworks/{framework}/executors/{executor}/runs/{LATEST}");
                    shown.insert(name, real.clone());
                    shown.insert(real.clone(), real);
                    if shown.len() >= MAX_LISTED {
                        return shown;
                    }
                }
            }
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sandboxes_are_found() {
        let home = tempfile::tempdir().unwrap();
        let work_dir = home.path().canonicalize().unwrap();
        let run = "slaves/S0/frameworks/f/executors/e/runs";
        fs::create_dir_all(work_dir.join(run).join("c1")).unwrap();
        std::os::unix::fs::symlink(
            work_dir.join(run).join("c1"),
            work_dir.join(run).join(LATEST),
        )
        .unwrap();
        let shown = Sandboxes::new(work_dir.clone(), None);
        let root = work_dir.join(run).join("c1");
        let real = root.display().to_string();
        let virtual_path = "/frameworks/f/executors/e/runs";
        for (path, rest) in [
            (format!("{virtual_path}/latest/stdout"), Some("stdout")),
            (format!("{virtual_path}/c1/"), Some("")),
            (format!("{real}/a/b"), Some("a/b")),
            (format!("{}/{run}/latest/x", work_dir.display()), Some("x")),
            (format!("{virtual_path}/c2/stdout"), None),
            (format!("{virtual_path}/latest/../../x"), None),
            (format!("{virtual_path}/.."), None),
            (work_dir.display().to_string(), None),
            (format!("{}/checkpoint", work_dir.display()), None),
            ("/etc/passwd".to_owned(), None),
        ] {
            let found = shown.locate(&path);
            let expected = rest.map(|rest| Located {
                root: root.clone(),
                inside: PathBuf::from(rest),
            });
            assert_eq!(found, expected, "{path}");
        }
        assert_eq!(shown.all()[&format!("{virtual_path}/latest")], real);
    }
}
