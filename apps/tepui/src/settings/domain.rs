//! `--domain` of masters and agents: where a machine is.

use anyhow::bail;
use tepui_protocol::{
    codec::{Limits, json},
    v1::DomainInfo,
};

use super::{json_or_file, one_line};

const EXPECTED: &str = r#"expected JSON such as {"fault_domain": {"region": {"name": "r"}, "zone": {"name": "z"}}}, or the path of a file that holds it"#;

/// Region and zone must both be named (Mesos asks only for the fault domain).
pub(super) fn parse(given: Option<&str>) -> anyhow::Result<Option<DomainInfo>> {
    let Some(given) = given else {
        return Ok(None);
    };
    let text = json_or_file("--domain", given, EXPECTED)?;
    let domain: DomainInfo = json::decode(text.as_bytes(), &Limits::HTTP).map_err(|error| {
        let reason = one_line(&error.to_string());
        anyhow::anyhow!("--domain: {reason}; {EXPECTED}")
    })?;
    let Some(fault_domain) = &domain.fault_domain else {
        bail!("--domain: there is no fault domain in it; {EXPECTED}");
    };
    if fault_domain.region.name.is_empty() || fault_domain.zone.name.is_empty() {
        bail!("--domain: region or zone has no name; {EXPECTED}");
    }
    Ok(Some(domain))
}

#[cfg(test)]
#[path = "domain_tests.rs"]
mod tests;
