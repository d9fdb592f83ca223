//! What a container may use and what it uses, and how it ended: in the launcher's terms and in the protocol's. Pure but for the time of day.

use std::time::{SystemTime, UNIX_EPOCH};

use tepui_containers::{
    Exit, Limits, ProcessId, Usage,
    block_io::{BlockIo, Operations},
    cgroups::MemoryReport,
};
use tepui_messages::containers::{Amounts, ContainerExit, Limitation, ProcessMark};
use tepui_protocol::v1::{
    Resource, ResourceStatistics, cgroup_info::blkio, device, task_status::Reason, value,
};

const MEGABYTE: u64 = 1 << 20;

pub(crate) fn limits(amounts: &Amounts) -> Limits {
    Limits {
        cpu_request_milli: amounts.cpu_milli,
        cpu_limit_milli: amounts.cpu_limit_milli,
        memory_request_bytes: amounts.memory_bytes,
        memory_limit_bytes: amounts.memory_limit_bytes.or(amounts.memory_bytes),
        limit_swap: false,
        processes: None,
    }
}

pub(crate) fn mark(process: ProcessId) -> ProcessMark {
    ProcessMark {
        pid: process.pid,
        start_time_ticks: process.start_ticks,
    }
}

pub(crate) fn verdict(exit: Exit, report: impl FnOnce() -> MemoryReport) -> ContainerExit {
    let limitation = exit.out_of_memory.then(|| out_of_memory(&report()));
    ContainerExit {
        status: exit.raw_status,
        limitation,
        is_forsaken: exit.is_forsaken,
    }
}

/// In Mesos' words (`MemorySubsystemProcess::oom`).
fn out_of_memory(report: &MemoryReport) -> Limitation {
    let mut message = "Memory limit exceeded".to_owned();
    if let Some(limit) = report.limit_bytes {
        message += &format!(": Requested: {}", bytes_text(limit));
    }
    if let Some(peak) = report.peak_bytes {
        message += &format!(" Maximum Used: {}\n", bytes_text(peak));
    }
    if let Some(statistics) = &report.statistics {
        message += &format!("\nMEMORY STATISTICS: \n{statistics}\n");
    }
    let used = report.peak_bytes.or(report.limit_bytes);
    Limitation {
        reason: Reason::ContainerLimitationMemory,
        message,
        resources: used.map(memory).into_iter().collect(),
    }
}

/// As Mesos spells sizes: in the largest unit that takes them whole.
pub(crate) fn bytes_text(bytes: u64) -> String {
    let units = [(40, "TB"), (30, "GB"), (20, "MB"), (10, "KB")];
    let mut units = units.into_iter();
    let unit = units.find(|(shift, _)| bytes > 0 && bytes.trailing_zeros() >= *shift);
    match unit {
        Some((shift, name)) => format!("{}{name}", bytes >> shift),
        None => format!("{bytes}B"),
    }
}

#[expect(clippy::cast_precision_loss, reason = "the memory of one machine")]
fn memory(bytes: u64) -> Resource {
    Resource {
        name: "mem".to_owned(),
        r#type: value::Type::Scalar as i32,
        scalar: Some(value::Scalar {
            value: bytes as f64 / MEGABYTE as f64,
        }),
        ..Resource::default()
    }
}

fn block_io(disk: &BlockIo) -> blkio::throttling::Statistics {
    use blkio::Operation;
    let values = |counts: &Operations| {
        let counts = [
            (Operation::Total, counts.total),
            (Operation::Read, counts.read),
            (Operation::Write, counts.write),
            (Operation::Sync, counts.sync),
            (Operation::Async, counts.r#async),
            (Operation::Discard, counts.discard),
        ];
        let counted = counts.into_iter().filter_map(|(op, count)| {
            Some(blkio::Value {
                op: Some(op as i32),
                value: Some(count?),
            })
        });
        counted.collect()
    };
    blkio::throttling::Statistics {
        device: disk
            .device
            .map(|(major_number, minor_number)| device::Number {
                major_number,
                minor_number,
            }),
        io_serviced: values(&disk.serviced),
        io_service_bytes: values(&disk.bytes),
    }
}

#[expect(clippy::cast_precision_loss, reason = "times and counts for people")]
pub(crate) fn statistics(usage: &Usage) -> ResourceStatistics {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let count = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let throttling = usage.throttling.as_ref();
    ResourceStatistics {
        timestamp: now.map_or(0.0, |since| since.as_secs_f64()),
        processes: Some(count(usage.processes)),
        threads: Some(count(usage.threads)),
        cpus_user_time_secs: Some(usage.cpu_user_ms as f64 / 1e3),
        cpus_system_time_secs: Some(usage.cpu_system_ms as f64 / 1e3),
        cpus_nr_periods: throttling.map(|it| count(it.periods)),
        cpus_nr_throttled: throttling.map(|it| count(it.throttled_periods)),
        mem_soft_limit_bytes: usage.memory.soft_limit,
        mem_total_memsw_bytes: usage.memory.total_memsw,
        mem_cache_bytes: usage.memory.cache,
        // The old names of the same.
        mem_file_bytes: usage.memory.cache,
        mem_anon_bytes: usage.memory.cache.map(|_| usage.memory_rss_bytes),
        mem_mapped_file_bytes: usage.memory.mapped_file,
        mem_swap_bytes: usage.memory.swap,
        mem_unevictable_bytes: usage.memory.unevictable,
        mem_low_pressure_counter: usage.pressure.map(|it| it.low),
        mem_medium_pressure_counter: usage.pressure.map(|it| it.medium),
        mem_critical_pressure_counter: usage.pressure.map(|it| it.critical),
        blkio_statistics: (!usage.block_io.is_empty()).then(|| blkio::Statistics {
            throttling: usage.block_io.iter().map(block_io).collect(),
            ..blkio::Statistics::default()
        }),
        cpus_throttled_time_secs: throttling.map(|it| it.throttled_us as f64 / 1e6),
        mem_rss_bytes: Some(usage.memory_rss_bytes),
        mem_total_bytes: usage.memory_total_bytes,
        mem_limit_bytes: usage.memory_limit_bytes,
        ..ResourceStatistics::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_want_of_memory_is_told_in_mesos_words() {
        let report = MemoryReport {
            limit_bytes: Some(64 << 20),
            peak_bytes: Some((64 << 20) - 4096),
            statistics: Some("cache 0\nrss 7\n".to_owned()),
        };
        let told = out_of_memory(&report);
        assert_eq!(
            told.message,
            "Memory limit exceeded: Requested: 64MB Maximum Used: 65532KB\n\nMEMORY STATISTICS: \ncache 0\nrss 7\n\n"
        );
        let used = told.resources[0].scalar.map(|it| it.value);
        assert_eq!(used, Some(63.996_093_75));
        let nothing = out_of_memory(&MemoryReport::default());
        assert_eq!(nothing.message, "Memory limit exceeded");
        assert_eq!(nothing.resources, []);
    }

    #[test]
    fn sizes_have_the_largest_unit_that_takes_them_whole() {
        for (bytes, text) in [
            (0, "0B"),
            (1025, "1025B"),
            (2 << 20, "2MB"),
            (1 << 40, "1TB"),
            (1536 << 10, "1536KB"),
        ] {
            assert_eq!(bytes_text(bytes), text);
        }
    }
}
