//! Owns what the kernel tells of a container's reads and writes of disks (Mesos: `isolators/cgroups/subsystems/blkio.cpp`).
//! Pure. Only what the throttling layer counts is there: CFQ, of which Mesos tells too, left the kernel with 5.0.

use std::collections::BTreeMap;

/// Operations or bytes; `None` is what this kernel does not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Operations {
    pub read: Option<u64>,
    pub write: Option<u64>,
    pub sync: Option<u64>,
    pub r#async: Option<u64>,
    pub discard: Option<u64>,
    pub total: Option<u64>,
}

/// What one disk did for a container and those within it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockIo {
    /// Major and minor number; `None`: all together.
    pub device: Option<(u64, u64)>,
    pub serviced: Operations,
    pub bytes: Operations,
}

/// From the texts of `blkio.throttle.io_serviced` and `blkio.throttle.io_service_bytes`.
pub(crate) fn v1(serviced: &str, bytes: &str) -> Vec<BlockIo> {
    let mut found = BTreeMap::new();
    for (text, is_bytes) in [(serviced, false), (bytes, true)] {
        for line in text.lines() {
            add(&mut found, line, is_bytes);
        }
    }
    found.into_values().collect()
}

/// `8:0 Read 12`, or `Total 12`.
fn add(
    found: &mut BTreeMap<Option<(u64, u64)>, BlockIo>,
    line: &str,
    is_bytes: bool,
) -> Option<()> {
    let (rest, number) = line.rsplit_once(' ')?;
    let number = number.parse().ok()?;
    let (device, operation) = match rest.split_once(' ') {
        Some((device, operation)) => (Some(numbers(device)?), operation),
        None => (None, rest),
    };
    let of_device = found.entry(device).or_insert_with(|| BlockIo {
        device,
        ..BlockIo::default()
    });
    let counts = match is_bytes {
        true => &mut of_device.bytes,
        false => &mut of_device.serviced,
    };
    let count = match operation {
        "Read" => &mut counts.read,
        "Write" => &mut counts.write,
        "Sync" => &mut counts.sync,
        "Async" => &mut counts.r#async,
        "Discard" => &mut counts.discard,
        "Total" => &mut counts.total,
        _ => return None,
    };
    *count = Some(number);
    Some(())
}

/// From the text of `io.stat`: `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6`. With the sums, which version 1 tells
/// itself.
pub(crate) fn v2(stat: &str) -> Vec<BlockIo> {
    let devices: Vec<_> = stat.lines().filter_map(of_line).collect();
    let all = |counts: fn(&BlockIo) -> &Operations| Operations {
        total: devices
            .iter()
            .filter_map(|it| counts(it).total)
            .reduce(u64::saturating_add),
        ..Operations::default()
    };
    let together = BlockIo {
        device: None,
        serviced: all(|it| &it.serviced),
        bytes: all(|it| &it.bytes),
    };
    let together = (!devices.is_empty()).then_some(together);
    together.into_iter().chain(devices).collect()
}

fn of_line(line: &str) -> Option<BlockIo> {
    let (device, counts) = line.split_once(' ')?;
    let count = |name: &str| {
        let mut counts = counts.split(' ');
        counts.find_map(|it| it.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
    };
    let operations = |kind: &str| {
        let [read, write, discard] = ["r", "w", "d"].map(|it| count(&format!("{it}{kind}")));
        let counted = [read, write, discard].into_iter().flatten();
        Operations {
            read,
            write,
            discard,
            total: counted.reduce(u64::saturating_add),
            ..Operations::default()
        }
    };
    Some(BlockIo {
        device: Some(numbers(device)?),
        serviced: operations("ios"),
        bytes: operations("bytes"),
    })
}

fn numbers(device: &str) -> Option<(u64, u64)> {
    let (major, minor) = device.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
#[path = "block_io_tests.rs"]
mod tests;
