//! What runs on this machine, read from marks and `/proc`.

use std::{fs, io, path::Path};

use crate::ledger::{Machine, Process};

/// Fields of `/proc/PID/stat` after the command's name: the state, and when the process began.
const STATE: usize = 0;
const BEGAN: usize = 19;

/// Reads the marks in a directory: a file a task, a line a process.
///
/// # Errors
/// Where the directory cannot be read.
pub(crate) fn look(marks: &Path) -> io::Result<Machine> {
    let mut machine = Machine::default();
    for entry in fs::read_dir(marks)? {
        let entry = entry?;
        let lines = fs::read_to_string(entry.path())?;
        let pids: Vec<u32> = lines
            .lines()
            .filter_map(|it| it.trim().parse().ok())
            .collect();
        for pid in &pids {
            if let Some(process) = process(*pid) {
                machine.alive.insert(*pid, process);
            }
        }
        let id = entry.file_name().to_string_lossy().into_owned();
        machine.marks.insert(id, pids);
    }
    Ok(machine)
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
