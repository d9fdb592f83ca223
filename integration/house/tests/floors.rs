//! The floors: a crate imports freely from below, and on its own floor only what is listed here.

use std::{collections::BTreeMap, path::Path, process::Command};

use serde_json::Value;

/// From the ground up.
const FLOORS: [&str; 5] = ["net", "storage", "actors", "apps", "integration"];

/// What a crate may import on its own floor, by folder. A folder that is not named may import nothing there.
const SAME_FLOOR: &[(&str, &[&str])] = &[
    ("net/bridge", &["net/protocol"]),
    ("net/client", &["net/protocol"]),
    ("storage/consensus", &["storage/engine"]),
    ("storage/registry", &["storage/engine", "storage/consensus"]),
    ("storage/checkpoint", &["storage/engine"]),
    ("actors/", &["actors/kit", "actors/messages"]),
    ("apps/master", &["apps/http"]),
    ("apps/agent", &["apps/http"]),
    (
        "apps/tepui",
        &["apps/master", "apps/agent", "apps/admin", "apps/http"],
    ),
    ("integration/", &["integration/"]),
];

/// Crates of others that are named in few places only.
const NAMED_IN: &[(&str, &[&str])] = &[
    ("rocksdb", &["storage/engine"]),
    ("raft", &["storage/consensus"]),
    ("actix", &["actors/kit"]),
    ("actix-web", &["apps/"]),
];

struct Package {
    folder: String,
    /// Our crates it depends on, by folder; without those of its tests.
    ours: Vec<String>,
    others: Vec<String>,
}

fn packages() -> Vec<Package> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(&root)
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let root = metadata["workspace_root"]
        .as_str()
        .expect("a root")
        .to_string();
    let folder_of = |manifest: &str| {
        let path = manifest
            .strip_prefix(&root)
            .unwrap_or(manifest)
            .trim_start_matches('/');
        path.trim_end_matches("/Cargo.toml").to_string()
    };
    let packages = metadata["packages"].as_array().expect("packages");
    let folders: BTreeMap<&str, String> = packages
        .iter()
        .map(|package| {
            (
                package["name"].as_str().expect("a name"),
                folder_of(package["manifest_path"].as_str().expect("a path")),
            )
        })
        .collect();
    packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().expect("dependencies");
            let names = dependencies
                .iter()
                .filter(|dependency| dependency["kind"] != "dev")
                .filter_map(|d| d["name"].as_str());
            let (ours, others): (Vec<&str>, Vec<&str>) =
                names.partition(|name| folders.contains_key(name));
            Package {
                folder: folders[package["name"].as_str().expect("a name")].clone(),
                ours: ours.into_iter().map(|name| folders[name].clone()).collect(),
                others: others.into_iter().map(str::to_string).collect(),
            }
        })
        .collect()
}

fn floor(folder: &str) -> usize {
    let name = folder.split('/').next().unwrap_or_default();
    FLOORS
        .iter()
        .position(|floor| *floor == name)
        .unwrap_or_else(|| panic!("{folder} is on no floor"))
}

fn may_import(folder: &str, imported: &str) -> bool {
    if floor(imported) != floor(folder) {
        return floor(imported) < floor(folder);
    }
    let allowed = SAME_FLOOR
        .iter()
        .filter(|(who, _)| folder == *who || who.ends_with('/') && folder.starts_with(who));
    allowed.flat_map(|(_, list)| *list).any(|allowed| {
        imported == *allowed || allowed.ends_with('/') && imported.starts_with(allowed)
    })
}

#[test]
fn crates_import_from_below_only() {
    for package in packages() {
        for imported in &package.ours {
            assert!(
                may_import(&package.folder, imported),
                "{} must not import {imported}",
                package.folder
            );
        }
    }
}

#[test]
fn engines_are_named_in_one_crate() {
    for package in packages() {
        for (name, places) in NAMED_IN {
            let allowed = places.iter().any(|place| {
                package.folder == *place
                    || place.ends_with('/') && package.folder.starts_with(place)
            });
            assert!(
                allowed || !package.others.iter().any(|other| other == name),
                "{} must not name {name}",
                package.folder
            );
        }
    }
}
