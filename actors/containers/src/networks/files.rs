//! Owns the texts of `/etc/hosts`, `/etc/hostname` and `/etc/resolv.conf` of a container with a network of its own. Pure.

use serde::{Deserialize, Serialize};
use std::fmt::Write;
use std::net::IpAddr;

const HOSTS: &str = "hosts";
const HOSTNAME: &str = "hostname";
const RESOLVER: &str = "resolv.conf";
/// Their names, in `/etc` as in the container's directory.
pub const NAMES: [&str; 3] = [HOSTS, HOSTNAME, RESOLVER];
/// Linux' `HOST_NAME_MAX`.
const MAX_HOSTNAME_BYTES: usize = 64;

/// How names are looked up, as the CNI specification and Mesos' flag `--default_container_dns` have it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dns {
    pub nameservers: Vec<String>,
    pub domain: Option<String>,
    pub search: Vec<String>,
    pub options: Vec<String>,
}

impl Dns {
    /// Takes in what another network says: its domain instead of an earlier one, the rest besides.
    pub(super) fn merge(&mut self, more: Self) {
        self.nameservers.extend(more.nameservers);
        self.domain = more.domain.or_else(|| self.domain.take());
        self.search.extend(more.search);
        self.options.extend(more.options);
    }

    /// `resolv.conf`, in the order in which Mesos writes it.
    pub fn resolver_config(&self) -> String {
        let domain = self.domain.as_ref().filter(|domain| !domain.is_empty());
        let mut text = domain.map_or_else(String::new, |domain| format!("domain {domain}\n"));
        for (name, values) in [("search", &self.search), ("options", &self.options)] {
            if !values.is_empty() {
                let _ = writeln!(text, "{name} {}", values.join(" "));
            }
        }
        for nameserver in &self.nameservers {
            let _ = writeln!(text, "nameserver {nameserver}");
        }
        // A plug-in's word must not become lines of its own.
        text
    }
}

/// A name that the kernel takes.
pub(super) fn hostname(wanted: &str) -> String {
    let mut end = wanted.len().min(MAX_HOSTNAME_BYTES);
    while !wanted.is_char_boundary(end) {
        end -= 1;
    }
    wanted[..end].to_owned()
}

/// By name. Without name servers there is no `resolv.conf`: the container has the machine's.
pub(super) fn texts(
    hostname: &str,
    addresses: &[IpAddr],
    dns: &Dns,
) -> Vec<(&'static str, String)> {
    let mut hosts = String::from("127.0.0.1 localhost\n");
    if addresses.iter().any(IpAddr::is_ipv6) {
        hosts.push_str("::1 localhost\n");
    }
    let first = |is_one: fn(&IpAddr) -> bool| addresses.iter().find(|it| is_one(it));
    let own = [first(IpAddr::is_ipv4), first(IpAddr::is_ipv6)];
    for address in own.into_iter().flatten() {
        let _ = writeln!(hosts, "{address} {hostname}");
    }
    let mut texts = vec![(HOSTS, hosts), (HOSTNAME, format!("{hostname}\n"))];
    if !dns.nameservers.is_empty() {
        texts.push((RESOLVER, dns.resolver_config()));
    }
    texts
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
