//! A master on a registry that is damaged or cannot be written: one line that says what to do.

use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
};

use tepui_consensus::{Consensus, NoPeers, Options};
use tepui_engine::{RocksEngine, keys};
use tepui_registry::RegistryMachine;

use super::*;

fn settings(work_dir: &Path) -> MasterSettings {
    MasterSettings {
        work_dir: work_dir.to_owned(),
        ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        port: 0,
        bridge_port: 0,
        hostname: "localhost".to_owned(),
        hostname_lookup: false,
        patience: Default::default(),
        kept: Default::default(),
        removal_rate: None,
        roles: None,
        root_submissions: true,
        offer_timeout: None,
        domain: None,
        require_agent_domain: false,
        whitelist: None,
        allocation: Default::default(),
        forgetting: Default::default(),
        rate_limits: Default::default(),
        security: Default::default(),
        zk_port: None,
        zk_path: "/mesos".to_owned(),
        cluster: None,
        name: "m1".to_owned(),
        peers: BTreeMap::new(),
        election_timeout: Options::DEFAULT_ELECTION_TIMEOUT,
        log_file: None,
        verbosity: Default::default(),
    }
}

/// A registry that a master has used.
fn registry(work_dir: &Path) -> PathBuf {
    let path = work_dir.join("registry");
    let engine = RocksEngine::open(&path, &keys::MASTER_FAMILIES, &Default::default()).unwrap();
    let options = Options::new(1, &[1]);
    let machine = RegistryMachine::new();
    // It leads when this returns, so its term and its first entry are synced.
    let consensus =
        Consensus::start(options, Arc::new(engine), machine, Arc::new(NoPeers)).unwrap();
    consensus.shutdown();
    path
}

/// A file of a registry with this ending or beginning that holds anything.
fn file(registry: &Path, part: &str) -> PathBuf {
    let mut files = fs::read_dir(registry)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let wanted = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        (name.starts_with(part) || name.ends_with(part)) && fs::metadata(path).unwrap().len() > 0
    };
    files.find(wanted).unwrap()
}

/// What `tepui master` prints, with status 2.
fn refusal(work_dir: &Path) -> String {
    let error = run(settings(work_dir), |_| {
        unreachable!("it must not come to that")
    })
    .unwrap_err();
    format!("{error:#}")
}

#[test]
fn a_damaged_registry_ends_the_master_with_one_line_that_says_what_to_do() {
    type Harm = fn(&mut Vec<u8>);
    let harms: [(&str, Harm); 4] = [
        (".log", |bytes| bytes.truncate(bytes.len() / 2)),
        (".log", |bytes| bytes[20] ^= 1),
        ("MANIFEST", |bytes| bytes[20] ^= 1),
        ("CURRENT", Vec::clear),
    ];
    for (part, harm) in harms {
        let directory = tempfile::tempdir().unwrap();
        let path = file(&registry(directory.path()), part);
        let mut bytes = fs::read(&path).unwrap();
        harm(&mut bytes);
        fs::write(&path, bytes).unwrap();
        let text = refusal(directory.path());
        let place = directory.path().join("registry");
        for part in [
            format!("--work-dir {}: ", directory.path().display()),
            place.display().to_string(),
            "is damaged".to_owned(),
            "tepui cluster".to_owned(),
        ] {
            assert!(text.contains(&part), "{part} is not in: {text}");
        }
        assert_eq!(text.lines().count(), 1, "{text}");
    }
}
