//! Three masters. A write is an operator call that the leader writes to the replicated registry: UPDATE_WEIGHTS of one role,
//! whose name is long enough to make the write as large as the others'.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;
use serde_json::Value;

use super::{PAYLOAD_BYTES, Place, Plan, bare, key_name, key_of};

/// Bytes of a weight.
const WEIGHT_BYTES: usize = 8;

pub(crate) fn program() -> PathBuf {
    if let Some(program) = std::env::var_os("TEPUI_BIN") {
        return program.into();
    }
    std::env::current_exe()
        .map(|own| own.with_file_name("tepui"))
        .unwrap_or_default()
}

pub(super) fn command(node: usize, plan: &Plan, home: &Path) -> Command {
    let peers: Vec<String> = plan
        .ports
        .iter()
        .enumerate()
        .map(|(index, ports)| format!("m{index}=127.0.0.1:{}", ports.peer))
        .collect();
    let mut command = bare(&program());
    command
        .arg("master")
        .arg("--work-dir")
        .arg(home.join("data"))
        .args(["--port", &plan.ports[node].client.to_string()])
        .args(["--bridge-port", &plan.ports[node].peer.to_string()]);
    if plan.nodes > 1 {
        let name = format!("m{node}");
        command.args(["--name", &name, "--peers", &peers.join(",")]);
    }
    if let Some(timeouts) = plan.timeouts {
        command.args(["--election-timeout-ms", &timeouts.election_ms.to_string()]);
    }
    command
}

pub(super) async fn place(address: &str) -> anyhow::Result<Place> {
    let answer = tepui_client::Client::default()
        .get(address, "/tepui/v1/leader")
        .await?;
    let answer: Value = serde_json::from_slice(&answer)?;
    Ok(match answer["leader"].as_str() {
        Some(leader) if leader == address => Place::Leads,
        Some(_) => Place::Follows,
        None => Place::Lost,
    })
}

/// The role that stands for a key.
pub(super) fn role(key: usize) -> String {
    let name = key_name(key);
    format!(
        "{name}-{:x<width$}",
        "",
        width = PAYLOAD_BYTES - WEIGHT_BYTES - 1 - name.len()
    )
}

/// One request, ready to be sent.
pub(super) fn put_request(address: &str, key: usize, value: u64) -> Vec<u8> {
    // Weights must be positive.
    let body = format!(
        r#"{{"type":"UPDATE_WEIGHTS","update_weights":{{"weight_infos":[{{"role":"{}","weight":{}}}]}}}}"#,
        role(key),
        value + 1
    );
    super::clients::post(address, "/api/v1", body.as_bytes())
}

pub(super) async fn values(address: &str) -> anyhow::Result<BTreeMap<usize, u64>> {
    let answer = tepui_client::Client::default()
        .get(address, "/weights")
        .await?;
    let answer: Value = serde_json::from_slice(&answer)?;
    let weights = answer.as_array().context("/weights is no list")?;
    let read = |weight: &Value| {
        let key = key_of(weight["role"].as_str()?)?;
        Some((key, weight["weight"].as_f64()? as u64 - 1))
    };
    Ok(weights.iter().filter_map(read).collect())
}
