//! Amounts of bytes as Mesos' flags spell them: `10MB`, `2GB`. A kilobyte has 1024 bytes.

const UNITS: [(&str, u32); 5] = [("TB", 40), ("GB", 30), ("MB", 20), ("KB", 10), ("B", 0)];

/// Parses number and unit.
///
/// # Errors
/// The reason in Mesos' words, such as `Unknown bytes unit 'XB'`.
pub fn parse(text: &str) -> Result<u64, String> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit());
    let Some(unit_at) = unit_at.filter(|at| *at > 0) else {
        return Err(format!("Invalid bytes '{text}'"));
    };
    let (number, unit) = text.split_at(unit_at);
    let (_, shift) = UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .ok_or_else(|| format!("Unknown bytes unit '{unit}'"))?;
    let number = number.parse::<u64>().ok();
    number
        .and_then(|number| number.checked_mul(1 << shift))
        .ok_or_else(|| format!("'{text}' is more than can be counted"))
}

/// The largest unit that leaves no rest: `10MB`.
pub fn text(bytes: u64) -> String {
    let mut units = UNITS.iter();
    let unit = units.find(|(_, shift)| bytes != 0 && bytes.is_multiple_of(1 << shift));
    let (name, shift) = unit.unwrap_or(&("B", 0));
    format!("{}{name}", bytes >> shift)
}

#[cfg(test)]
#[path = "sizes_tests.rs"]
mod tests;
