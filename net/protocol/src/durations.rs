//! Durations as Mesos' flags and queries spell them.

use std::time::Duration;

const SECONDS: [(&str, f64); 8] = [
    ("ns", 1e-9),
    ("us", 1e-6),
    ("ms", 1e-3),
    ("secs", 1.0),
    ("mins", 60.0),
    ("hrs", 3600.0),
    ("days", 86_400.0),
    ("weeks", 604_800.0),
];

/// The largest unit that leaves no rest: `15mins`.
pub fn duration_text(duration: Duration) -> String {
    const UNITS: [(u128, &str); 8] = [
        (604_800_000_000_000, "weeks"),
        (86_400_000_000_000, "days"),
        (3_600_000_000_000, "hrs"),
        (60_000_000_000, "mins"),
        (1_000_000_000, "secs"),
        (1_000_000, "ms"),
        (1_000, "us"),
        (1, "ns"),
    ];
    let nanos = duration.as_nanos();
    let unit = UNITS
        .iter()
        .find(|(size, _)| nanos != 0 && nanos.is_multiple_of(*size));
    unit.map_or_else(
        || "0ns".to_owned(),
        |(size, name)| format!("{}{name}", nanos / size),
    )
}

/// Reads number and unit: `5secs`, `1.5mins`.
///
/// # Errors
/// The reason in Mesos' words, such as `Failed to convert 'x' to number`.
pub fn parse(text: &str) -> Result<Duration, String> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let Some(unit_at) = unit_at else {
        return Err(format!("Invalid duration '{text}'"));
    };
    let (number, unit) = text.split_at(unit_at);
    let value: f64 = number
        .parse()
        .map_err(|_| format!("Failed to convert '{number}' to number"))?;
    let (_, seconds) = SECONDS
        .iter()
        .find(|(name, _)| *name == unit)
        .ok_or_else(|| {
            format!(
                "Unknown duration unit '{unit}'; supported units are 'ns', 'us', 'ms', 'secs', 'mins', 'hrs', 'days', and 'weeks'"
            )
        })?;
    Duration::try_from_secs_f64(value * seconds)
        .map_err(|_| format!("Argument larger than the maximum of a duration: '{text}'"))
}

#[cfg(test)]
#[path = "durations_tests.rs"]
mod tests;
