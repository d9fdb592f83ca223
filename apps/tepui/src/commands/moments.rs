//! Spans of time as operators type them.

use std::time::Duration;

use anyhow::Context;

/// Units of everyday, beside Mesos' own (`10mins`).
const SHORT: [(&str, &str); 5] = [
    ("s", "secs"),
    ("m", "mins"),
    ("min", "mins"),
    ("h", "hrs"),
    ("d", "days"),
];

/// Parses `90s`, `10mins`, `1.5h`, `2days`.
///
/// # Errors
/// `flag` is named, and what was expected.
pub(super) fn span(flag: &str, text: &str) -> anyhow::Result<Duration> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = &text[number.len()..];
    let long = SHORT.iter().find(|(short, _)| *short == unit);
    let spelled = long.map_or_else(|| text.to_string(), |(_, long)| format!("{number}{long}"));
    let parsed = tepui_http::duration::parse(&spelled).ok();
    parsed.with_context(|| format!("{flag} {text}: expected a duration such as 30s, 10mins or 2h"))
}

#[cfg(test)]
#[path = "moments_tests.rs"]
mod tests;
