//! The flags on who may call and what they may do.

use std::{path::Path, sync::Arc};

use anyhow::{Context, bail};
use tepui_http::Credentials;
use tepui_master::{Guarded, Security, ShownSecurity};
use tepui_protocol::acls::Acls;

use super::{AgentFile, MasterFile, json_or_file};

/// The only way to prove who one is over HTTP.
const BASIC: &str = "basic";
const ACLS: &str = r#"expected JSON such as {"permissive": false, "run_tasks": [{"principals": {"values": ["web"]}, "users": {"type": "ANY"}}]}, or the path of a file that holds it"#;

pub(super) fn of_master(file: &MasterFile) -> anyhow::Result<Security> {
    let guarded = Guarded {
        readonly: file.authenticate_http_readonly.unwrap_or(false),
        readwrite: file.authenticate_http_readwrite.unwrap_or(false),
        scheduler: file.authenticate_http_frameworks.unwrap_or(false),
    };
    if let Some(name) = file.http_framework_authenticators.as_deref()
        && name != BASIC
    {
        bail!("--http-framework-authenticators {name}: expected {BASIC}, the only one there is");
    }
    let asks = guarded != Guarded::default();
    let credentials = credentials("--credentials", file.credentials.as_deref(), asks)?;
    let mut security = Security::new(guarded, &credentials, acls(file.acls.as_deref())?);
    security.http_hosts = hosts(file.http_hosts.as_deref())?;
    security.shown = ShownSecurity {
        credentials: file.credentials.clone(),
        acls: file.acls.clone(),
    };
    Ok(security)
}

pub(super) fn of_agent(file: &AgentFile) -> anyhow::Result<tepui_agent::Security> {
    let readonly = file.authenticate_http_readonly.unwrap_or(false);
    let readwrite = file.authenticate_http_readwrite.unwrap_or(false);
    let given = file.http_credentials.as_deref();
    let credentials = credentials("--http-credentials", given, readonly || readwrite)?;
    let acls = acls(file.acls.as_deref())?;
    let mut security = tepui_agent::Security::new(readonly, readwrite, &credentials, acls);
    security.shown_credentials = file.http_credentials.clone();
    security.shown_acls = file.acls.clone();
    security.http_hosts = hosts(file.http_hosts.as_deref())?;
    security.executors = super::executors::security(file)?;
    Ok(security)
}

/// `name[,name…]`, without schemes and ports.
fn hosts(given: Option<&str>) -> anyhow::Result<Vec<String>> {
    let names = given.into_iter().flat_map(|given| given.split(','));
    let names = names.map(str::trim).filter(|name| !name.is_empty());
    names
        .map(|name| match name.contains(['/', ':', '*', ' ']) {
            true => bail!("--http-hosts {name}: expected names without schemes and ports, such as tepui.example.com"),
            false => Ok(name.to_string()),
        })
        .collect()
}

/// Read even where nobody asks for them, so that a mistake shows before it matters.
fn credentials(flag: &str, path: Option<&str>, asks: bool) -> anyhow::Result<Arc<Credentials>> {
    match path {
        Some(given) => {
            let path = given.strip_prefix("file://").unwrap_or(given);
            let read = Credentials::read(Path::new(path));
            read.map(Arc::new).with_context(|| flag.to_string())
        }
        None if asks => bail!(
            "{flag} is missing: --authenticate-http-… asks callers who they are; expected a file such as \
             {{\"credentials\": [{{\"principal\": \"ops\", \"secret\": \"…\"}}]}} that only its owner can read"
        ),
        None => Ok(Arc::default()),
    }
}

fn acls(given: Option<&str>) -> anyhow::Result<Arc<Acls>> {
    let Some(given) = given else {
        return Ok(Arc::default());
    };
    let text = json_or_file("--acls", given, ACLS)?;
    let acls = Acls::from_json(&text);
    acls.map(Arc::new)
        .map_err(|reason| anyhow::anyhow!("--acls: {reason}; {ACLS}"))
}

#[cfg(test)]
#[path = "security_tests.rs"]
mod tests;
