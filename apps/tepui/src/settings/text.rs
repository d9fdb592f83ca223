//! Texts that flags hold or name.

/// What a flag takes as JSON, or as the path of a file that holds it.
pub(super) fn json_or_file(flag: &str, given: &str, expected: &str) -> anyhow::Result<String> {
    if given.trim_start().starts_with('{') {
        return Ok(given.to_string());
    }
    let path = given.strip_prefix("file://").unwrap_or(given);
    std::fs::read_to_string(path)
        .map_err(|error| anyhow::anyhow!("{flag} {given}: {error}; {expected}"))
}

/// A text of several lines as one, without the excerpt of the file (its lines are marked by a bar).
pub(super) fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim);
    let lines: Vec<&str> = lines
        .filter(|line| !line.is_empty() && !line.contains('|'))
        .collect();
    lines.join("; ")
}
