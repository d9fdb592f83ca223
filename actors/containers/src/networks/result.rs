//! Owns the answers of plug-ins: addresses and how names are looked up, in all forms from version 0.1.0 of the CNI
//! specification to 1.0.0. Pure.

use crate::networks::files::Dns;
use serde::Deserialize;
use serde_json::Value;
use std::net::IpAddr;

/// A container has no more of them on one network.
const MAX_ADDRESSES: usize = 64;

/// What matters of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub addresses: Vec<IpAddr>,
    pub dns: Dns,
}

#[derive(Deserialize)]
struct Raw {
    /// Since 0.3.0.
    #[serde(default)]
    ips: Vec<Address>,
    /// Before.
    ip4: Option<OldAddress>,
    ip6: Option<OldAddress>,
    #[serde(default)]
    dns: Dns,
}

#[derive(Deserialize)]
struct Address {
    address: String,
}

#[derive(Deserialize)]
struct OldAddress {
    ip: String,
}

impl Answer {
    /// Errors: what is not as it should be, in words.
    pub fn parse(answer: &Value) -> Result<Self, String> {
        let raw = Raw::deserialize(answer).map_err(|error| error.to_string())?;
        let old = [raw.ip4, raw.ip6].into_iter().flatten().map(|it| it.ip);
        let texts: Vec<String> = raw
            .ips
            .into_iter()
            .map(|it| it.address)
            .chain(old)
            .collect();
        if texts.len() > MAX_ADDRESSES {
            return Err(format!("it has more than {MAX_ADDRESSES} addresses"));
        }
        let parse = |text: &String| {
            let address = text.split_once('/').map_or(text.as_str(), |(it, _)| it);
            let parsed = address.parse();
            parsed.map_err(|_| format!("'{text}' is not an IP address with its prefix"))
        };
        let dns = raw.dns;
        let words = dns
            .nameservers
            .iter()
            .chain(&dns.search)
            .chain(&dns.options);
        let mut words = words.chain(&dns.domain);
        if let Some(word) = words.find(|it| it.contains(|it: char| it.is_control())) {
            return Err(format!("{word:?} is no word for resolv.conf"));
        }
        Ok(Self {
            addresses: texts.iter().map(parse).collect::<Result<_, _>>()?,
            dns,
        })
    }
}

#[cfg(test)]
#[path = "result_tests.rs"]
mod tests;
