//! Walks the tick list of `actors/README.md`: every actor module keeps to it.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The crates under `actors/` that hold no actor of their own.
const NO_MODULES: [&str; 3] = ["kit", "messages", "containers"];

/// Modules whose rules live elsewhere: the registrar's in `storage/`, a proxy and the view have no timers or
/// decisions of their own, so their state is not called `core.rs`.
const RULES_ELSEWHERE: [&str; 3] = ["registrar", "framework", "view"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn modules() -> Vec<(String, PathBuf)> {
    let folders = fs::read_dir(root().join("actors")).expect("actors/ is a folder");
    let mut modules: Vec<(String, PathBuf)> = folders
        .filter_map(|entry| {
            let entry = entry.expect("readable");
            let name = entry.file_name().into_string().expect("a plain name");
            (entry.path().is_dir() && !NO_MODULES.contains(&name.as_str()))
                .then(|| (name, entry.path()))
        })
        .collect();
    modules.sort();
    assert!(modules.len() >= 5, "the list is walked over real modules");
    modules
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All of a module's source but its tests, as one text.
fn sources(module: &Path) -> String {
    let files = fs::read_dir(module.join("src")).expect("src/ is a folder");
    let paths = files.map(|entry| entry.expect("readable").path());
    let sources = paths.filter(|path| {
        path.extension().is_some_and(|e| e == "rs") && !path.to_string_lossy().contains("_tests")
    });
    sources.map(|path| read(&path)).collect()
}

#[test]
fn every_module_is_in_the_workspace_under_its_lints() {
    let workspace = read(&root().join("Cargo.toml"));
    for (name, path) in modules() {
        assert!(
            workspace.contains(&format!("\"actors/{name}\"")),
            "actors/{name} is no member of the workspace"
        );
        let manifest = read(&path.join("Cargo.toml"));
        assert!(
            manifest.contains("[lints]\nworkspace = true"),
            "actors/{name} does not take the workspace's lints"
        );
    }
}

#[test]
fn every_module_has_an_actor_that_can_be_looked_into() {
    for (name, path) in modules() {
        let sources = sources(&path);
        assert!(
            sources.contains("impl Actor for"),
            "actors/{name} has no actor"
        );
        assert!(
            sources.contains("const NAME"),
            "the actor of actors/{name} has no name"
        );
    }
}

#[test]
fn rules_stand_in_a_core_with_tests_beside_it() {
    for (name, path) in modules() {
        if RULES_ELSEWHERE.contains(&name.as_str()) {
            continue;
        }
        let core = read(&path.join("src/core.rs"));
        for banned in [
            "SystemTime::now",
            "Instant::now",
            "HashMap",
            "thread_rng",
            "tokio::spawn",
        ] {
            assert!(
                !core.contains(banned),
                "actors/{name}/src/core.rs uses {banned}"
            );
        }
        let files = fs::read_dir(path.join("src")).expect("src/ is a folder");
        let tests = files.filter(|entry| {
            entry
                .as_ref()
                .is_ok_and(|entry| entry.file_name().to_string_lossy().ends_with("_tests.rs"))
        });
        assert!(
            tests.count() > 0,
            "actors/{name} has no tests beside its code"
        );
    }
}

#[test]
fn every_module_is_wired_once_with_a_bound_of_its_own() {
    let wirings: String = [
        "apps/master/src/actors.rs",
        "apps/master/src/wiring.rs",
        "apps/agent/src/wiring.rs",
    ]
    .iter()
    .map(|path| read(&root().join(path)))
    .collect();
    for (name, _) in modules() {
        // The proxy is spawned for each subscription, by the HTTP side.
        if name == "framework" {
            continue;
        }
        let package = package(&name);
        assert!(
            wirings.contains(&package.replace('-', "_")),
            "actors/{name} ({package}) stands in no wiring"
        );
    }
    assert!(
        wirings.matches(".capacity(").count() >= 5,
        "each mailbox is given its bound"
    );
}

fn package(name: &str) -> String {
    let manifest = read(&root().join("actors").join(name).join("Cargo.toml"));
    let line = manifest
        .lines()
        .find(|line| line.starts_with("name = "))
        .expect("a package has a name");
    line.trim_start_matches("name = ")
        .trim_matches('"')
        .to_string()
}
