//! What the kernel says of a process: memory and processor time.

use anyhow::Context;

/// Mebibytes of memory, now and at most since it began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) now_mib: f64,
    pub(crate) peak_mib: f64,
}

pub(crate) fn memory(pid: u32) -> anyhow::Result<Memory> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let read = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|rest| rest.split_whitespace().next());
        let kib: f64 = kib
            .with_context(|| format!("no {name} in /proc/{pid}/status"))?
            .parse()?;
        anyhow::Ok(kib / 1024.0)
    };
    Ok(Memory {
        now_mib: read("VmRSS:")?,
        peak_mib: read("VmHWM:")?,
    })
}

/// Processor time so far, of all threads.
pub(crate) fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // After the name, which may hold anything: state is field 3, utime 14, stime 15.
    let (_, rest) = stat
        .rsplit_once(')')
        .context("/proc/PID/stat has no name")?;
    let ticks: Vec<f64> = rest
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse().ok())
        .collect();
    let [user, system] = ticks[..] else {
        anyhow::bail!("/proc/{pid}/stat has no times");
    };
    Ok((user + system) / rustix::param::clock_ticks_per_second() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_a_peak_that_is_not_below_it() {
        let memory = memory(std::process::id()).unwrap();
        assert!(memory.now_mib > 0.5 && memory.peak_mib >= memory.now_mib);
        assert!(cpu_seconds(std::process::id()).unwrap() >= 0.0);
    }
}
