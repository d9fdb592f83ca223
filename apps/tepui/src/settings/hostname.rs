//! The name that clients are given of a daemon.

use std::net::IpAddr;

use anyhow::anyhow;
/// `--hostname`, else with `--hostname-lookup` what the name service says of the address, else the address.
///
/// # Errors
/// The lookup gave no name.
pub(super) fn hostname(
    given: Option<String>,
    looked_up: Option<bool>,
    ip: IpAddr,
) -> anyhow::Result<String> {
    match given {
        Some(name) => Ok(name),
        None if looked_up == Some(true) => lookup(ip),
        None => Ok(ip.to_string()),
    }
}

fn lookup(ip: IpAddr) -> anyhow::Result<String> {
    let refused = |why: String| {
        anyhow!(
            "--hostname-lookup: {why}; expected a name of {ip} in the name service or in /etc/hosts, or --hostname NAME"
        )
    };
    let name = dns_lookup::lookup_addr(&ip).map_err(|error| refused(error.to_string()))?;
    // Without a name it is the address again.
    if name.parse::<IpAddr>().is_ok() {
        return Err(refused(format!("{ip} has no name")));
    }
    Ok(name)
}
