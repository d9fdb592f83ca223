//! Texts that flags hold or name.

use std::time::Duration;

use anyhow::Context;
use tepui_protocol::durations;

/// What a flag takes as JSON, or as the path of a file that holds it.
pub(super) fn json_or_file(flag: &str, given: &str, expected: &str) -> anyhow::Result<String> {
    if given.trim_start().starts_with('{') {
        return Ok(given.to_string());
    }
    let path = given.strip_prefix("file://").unwrap_or(given);
    std::fs::read_to_string(path)
        .map_err(|error| anyhow::anyhow!("{flag} {given}: {error}; {expected}"))
}

/// What a flag takes as a duration.
pub(super) fn duration(flag: &str, text: &str) -> anyhow::Result<Duration> {
    let parsed = durations::parse(text).ok();
    parsed.with_context(|| format!("{flag} {text}: expected a duration, such as 15secs"))
}

/// The same, and it must be some time.
pub(super) fn some_time(flag: &str, text: &str) -> anyhow::Result<Duration> {
    let parsed = durations::parse(text).ok().filter(|it| !it.is_zero());
    parsed.with_context(|| format!("{flag} {text}: expected a duration above 0, such as 1mins"))
}

/// A text of several lines as one, without the excerpt of the file (its lines are marked by a bar).
pub(super) fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim);
    let lines: Vec<&str> = lines
        .filter(|line| !line.is_empty() && !line.contains('|'))
        .collect();
    lines.join("; ")
}
