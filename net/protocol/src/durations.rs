//! Durations as Mesos prints them.

use std::time::Duration;

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

#[cfg(test)]
#[path = "durations_tests.rs"]
mod tests;
