//! Durations as Mesos' flags and queries spell them: `5secs`, `1.5mins`.

use std::time::Duration;

const UNITS: [(&str, f64); 8] = [
    ("ns", 1e-9),
    ("us", 1e-6),
    ("ms", 1e-3),
    ("secs", 1.0),
    ("mins", 60.0),
    ("hrs", 3600.0),
    ("days", 86_400.0),
    ("weeks", 604_800.0),
];

/// Parses number and unit.
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
    let (_, seconds) = UNITS
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
