//! Debian's etcd, with its defaults but for the timeouts.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tepui_client::operator::Operator;

use super::{Place, Plan, bare, key_name, key_of, payload, payload_value};

pub(super) fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join("etcd"))
        .find(|program| program.is_file())
}

pub(super) fn command(node: usize, plan: &Plan, home: &Path) -> anyhow::Result<Command> {
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    let cluster: Vec<String> = plan
        .ports
        .iter()
        .enumerate()
        .map(|(index, ports)| format!("n{index}={}", url(ports.peer)))
        .collect();
    let (client, peer) = (url(plan.ports[node].client), url(plan.ports[node].peer));
    let mut command = bare(&program().context("etcd is not installed")?);
    command
        .args(["--name", &format!("n{node}")])
        .arg("--data-dir")
        .arg(home.join("data"))
        .args(["--listen-client-urls", &client])
        .args(["--advertise-client-urls", &client])
        .args(["--listen-peer-urls", &peer])
        .args(["--initial-advertise-peer-urls", &peer])
        .args(["--initial-cluster", &cluster.join(",")])
        .args(["--logger", "zap", "--log-level", "error"]);
    if let Some(timeouts) = plan.timeouts {
        command
            .args(["--heartbeat-interval", &timeouts.heartbeat_ms.to_string()])
            .args(["--election-timeout", &timeouts.election_ms.to_string()]);
    }
    Ok(command)
}

async fn call(address: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
    let operator = Operator::new(tepui_client::Client::default(), address);
    let answer = operator.post(path, body).await?;
    Ok(serde_json::from_slice(&answer)?)
}

pub(super) async fn place(address: &str) -> anyhow::Result<Place> {
    let status = call(address, "/v3/maintenance/status", &json!({})).await?;
    let own = status["header"]["member_id"].as_str();
    Ok(match status["leader"].as_str() {
        None | Some("0") => Place::Lost,
        leader if leader == own => Place::Leads,
        Some(_) => Place::Follows,
    })
}

/// `etcdserverpb.PutRequest`: what a write needs of it.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PutRequest {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) value: Vec<u8>,
}

impl PutRequest {
    pub(super) fn new(key: usize, value: u64) -> PutRequest {
        PutRequest {
            key: key_name(key).into_bytes(),
            value: payload(value),
        }
    }
}

/// One request to the JSON gateway, ready to be sent.
pub(super) fn put_request(address: &str, key: usize, value: u64) -> Vec<u8> {
    let put = PutRequest::new(key, value);
    let body = format!(
        r#"{{"key":"{}","value":"{}"}}"#,
        BASE64_STANDARD.encode(put.key),
        BASE64_STANDARD.encode(put.value)
    );
    super::clients::post(address, "/v3/kv/put", body.as_bytes())
}

pub(super) async fn values(address: &str) -> anyhow::Result<BTreeMap<usize, u64>> {
    let range = json!({
        "key": BASE64_STANDARD.encode("bench-"),
        "range_end": BASE64_STANDARD.encode("bench."),
    });
    let answer = call(address, "/v3/kv/range", &range).await?;
    let decoded = |text: &Value| BASE64_STANDARD.decode(text.as_str()?).ok();
    let read = |pair: &Value| {
        let key = String::from_utf8(decoded(&pair["key"])?).ok()?;
        Some((key_of(&key)?, payload_value(&decoded(&pair["value"])?)?))
    };
    let none = Vec::new();
    let pairs = answer["kvs"].as_array().unwrap_or(&none);
    Ok(pairs.iter().filter_map(read).collect())
}
