//! Tables for people: columns as wide as their widest cell. A reader that has seen enough (`| head`) is no error.

use std::io::{self, ErrorKind, Write};

/// Prints lines until all are out or nobody reads any more.
///
/// # Errors
/// What standard output cannot take for another reason.
pub(crate) fn lines(lines: impl IntoIterator<Item = String>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for line in lines {
        match writeln!(out, "{line}") {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
    }
    Ok(())
}

/// Prints a header and rows; `empty` where there are none.
///
/// # Errors
/// As [`lines`].
pub(crate) fn table(header: &[&str], rows: &[Vec<String>], empty: &str) -> io::Result<()> {
    if rows.is_empty() {
        return lines([empty.to_string()]);
    }
    let widths: Vec<usize> = (0..header.len())
        .map(|column| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.chain([header[column].len()]).max().unwrap_or(0)
        })
        .collect();
    let header: Vec<String> = header.iter().map(ToString::to_string).collect();
    lines(
        std::iter::once(&header)
            .chain(rows)
            .map(|cells| row(cells, &widths)),
    )
}

fn row(cells: &[String], widths: &[usize]) -> String {
    let padded: Vec<String> = cells
        .iter()
        .zip(widths)
        .map(|(cell, width)| format!("{cell:<width$}"))
        .collect();
    padded.join("  ").trim_end().to_string()
}
