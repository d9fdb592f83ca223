//! What the machine has, where nobody said it: cpus, mem, disk and ports with Mesos' defaults. Reads the machine;
//! keeps nothing.

use std::{path::Path, thread};

use nix::sys::{statvfs::statvfs, sysinfo::sysinfo};
use tepui_protocol::v1::{Resource, value};

use crate::config::Machine;

const MEGABYTE: u64 = 1 << 20;
/// Left to the operating system: this much, or half where there is less than twice.
const MEM_RESERVE_MB: u64 = 1024;
const DISK_RESERVE_MB: u64 = 5 * 1024;
/// Used where the machine does not tell.
const FALLBACK_CPUS: usize = 1;
const FALLBACK_MEM_MB: u64 = 1024;
const FALLBACK_DISK_MB: u64 = 10 * 1024;
const PORTS: (u64, u64) = (31_000, 32_000);

/// `given` with what it does not name added: cpus, mem (MB), disk (MB, of the work directory's file system), ports.
pub fn resources(given: &[Resource], work_dir: &Path) -> Vec<Resource> {
    let mut all = given.to_vec();
    let is_given = |name: &str| given.iter().any(|resource| resource.name == name);
    if !is_given("cpus") {
        all.push(scalar("cpus", cpus() as u64));
    }
    if !is_given("mem") {
        let total = memory_bytes().map(|bytes| bytes / MEGABYTE);
        let free = total.map_or(FALLBACK_MEM_MB, |total| without(total, MEM_RESERVE_MB));
        all.push(scalar("mem", free));
    }
    if !is_given("disk") {
        let total = statvfs(work_dir).ok();
        let total = total.map(|disk| disk.blocks() * disk.fragment_size() / MEGABYTE);
        let free = total.map_or(FALLBACK_DISK_MB, |total| without(total, DISK_RESERVE_MB));
        all.push(scalar("disk", free));
    }
    if !is_given("ports") {
        let (begin, end) = PORTS;
        all.push(Resource {
            name: "ports".to_owned(),
            r#type: value::Type::Ranges as i32,
            ranges: Some(value::Ranges {
                range: vec![value::Range { begin, end }],
            }),
            ..Resource::default()
        });
    }
    all
}

/// What the machine has, offered or not.
pub fn machine() -> Machine {
    Machine {
        cpus: u32::try_from(cpus()).unwrap_or(u32::MAX),
        memory_bytes: memory_bytes().unwrap_or(FALLBACK_MEM_MB * MEGABYTE),
    }
}

fn cpus() -> usize {
    thread::available_parallelism().map_or(FALLBACK_CPUS, usize::from)
}

fn memory_bytes() -> Option<u64> {
    sysinfo().ok().map(|info| info.ram_total())
}

/// Differs after each boot of the machine; empty where the kernel does not tell.
pub fn boot_id() -> String {
    let read = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    read.map_or_else(|_| String::new(), |id| id.trim().to_owned())
}

fn without(total: u64, reserve: u64) -> u64 {
    if total > 2 * reserve {
        total - reserve
    } else {
        total / 2
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn scalar(name: &str, amount: u64) -> Resource {
    Resource {
        name: name.to_owned(),
        r#type: value::Type::Scalar as i32,
        scalar: Some(value::Scalar {
            value: amount as f64,
        }),
        ..Resource::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_stays_and_the_rest_is_found() {
        let given = [scalar("cpus", 4)];
        let found = resources(&given, Path::new("/"));
        let names: Vec<_> = found
            .iter()
            .map(|resource| resource.name.as_str())
            .collect();
        assert_eq!(names, ["cpus", "mem", "disk", "ports"]);
        assert_eq!(found[0], given[0]);
    }

    #[test]
    fn half_is_left_where_there_is_little() {
        assert_eq!(without(8192, MEM_RESERVE_MB), 7168);
        assert_eq!(without(1024, MEM_RESERVE_MB), 512);
    }
}
