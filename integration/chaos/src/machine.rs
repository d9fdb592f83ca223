//! What runs on this machine, read from marks and `/proc`.

use std::{fs, io, path::Path};

use crate::ledger::{Machine, Process};

/// Fields of `/proc/PID/stat` after the command's name: the state, and when the process began.
const STATE: usize = 0;
const BEGAN: usize = 19;

/// What a task's shell runs first: it writes down as which process it was started, without starting another one.
/// Its own name, `sh`, holds no spaces, so the fields stand where they are counted.
pub(crate) fn mark(path: &str) -> String {
    format!("read -r stat </proc/$$/stat; set -- $stat; echo \"$1 ${{22}}\" >>{path}")
}

/// Reads the marks in a directory: a file a task, a line a process.
///
/// # Errors
/// Where the directory cannot be read.
pub(crate) fn look(marks: &Path) -> io::Result<Machine> {
    let mut machine = Machine::default();
    for entry in fs::read_dir(marks)? {
        let entry = entry?;
        let lines = fs::read_to_string(entry.path())?;
        let marks: Option<Vec<Process>> = lines.lines().map(marked).collect();
        let marks = marks.ok_or_else(|| {
            let text = format!("{}: {lines:?} is no pid and start", entry.path().display());
            io::Error::new(io::ErrorKind::InvalidData, text)
        })?;
        let now = marks.iter().filter_map(|it| process(it.pid));
        machine.alive.extend(now);
        let id = entry.file_name().to_string_lossy().into_owned();
        machine.marks.insert(id, marks);
    }
    Ok(machine)
}

fn marked(line: &str) -> Option<Process> {
    let (pid, began) = line.split_once(' ')?;
    let (pid, began) = (pid.parse().ok()?, began.parse().ok()?);
    Some(Process { pid, began })
}

/// The process, if it lives; a zombie does not.
fn process(pid: u32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold spaces and brackets; the rest follows its last bracket.
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    if *fields.get(STATE)? == "Z" {
        return None;
    }
    let began = fields.get(BEGAN)?.parse().ok()?;
    Some(Process { pid, began })
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
