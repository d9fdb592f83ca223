//! Spans and moments as operators type and read them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

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
    let parsed = tepui_protocol::durations::parse(&spelled).ok();
    parsed.with_context(|| format!("{flag} {text}: expected a duration such as 30s, 10mins or 2h"))
}

/// Parses `now`, `+2h` from now, and RFC 3339.
///
/// # Errors
/// As [`span`].
pub(super) fn moment(flag: &str, text: &str, now: SystemTime) -> anyhow::Result<SystemTime> {
    if text == "now" {
        return Ok(now);
    }
    let expected = || {
        format!("{flag} {text}: expected now, +2h, or a time with its zone, 2030-01-31T02:00:00Z")
    };
    if let Some(later) = text.strip_prefix('+') {
        let later = span(flag, later).ok().with_context(expected)?;
        return now.checked_add(later).with_context(expected);
    }
    let parsed = OffsetDateTime::parse(text, &Rfc3339);
    parsed.map(SystemTime::from).ok().with_context(expected)
}

/// Nanoseconds since 1970, as Mesos' `TimeInfo` has them.
///
/// # Errors
/// It is before 1970, or after 2262.
pub(super) fn nanos(moment: SystemTime) -> anyhow::Result<i64> {
    let since = moment.duration_since(UNIX_EPOCH).ok();
    let nanos = since.and_then(|since| i64::try_from(since.as_nanos()).ok());
    let Some(nanos) = nanos else {
        bail!("expected a time between 1970 and 2262");
    };
    Ok(nanos)
}

/// `2030-01-31 02:00:00 UTC`.
pub(super) fn shown(nanos: i64) -> String {
    let Ok(at) = OffsetDateTime::from_unix_timestamp_nanos(nanos.into()) else {
        return "-".to_string();
    };
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second) = at.to_hms();
    let month = u8::from(month);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

#[cfg(test)]
#[path = "moments_tests.rs"]
mod tests;
