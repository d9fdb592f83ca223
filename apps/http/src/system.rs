//! What the kernel says of the machine: `/system/stats.json` and `system/*` metrics.

use serde_json::{Map, Value};

use crate::{incoming::Incoming, reply::Reply};

/// `/system/stats.json`; what the kernel does not tell is left out.
pub fn stats(request: &Incoming) -> Reply {
    let machine = Machine::read();
    let mut stats = Map::new();
    let names = ["avg_load_15min", "avg_load_1min", "avg_load_5min"];
    if let Some([one, five, fifteen]) = machine.load {
        for (name, load) in names.into_iter().zip([fifteen, one, five]) {
            stats.insert(name.to_string(), load.into());
        }
    }
    stats.insert("cpus_total".to_string(), machine.cpus.into());
    if let Some((total, free)) = machine.memory {
        stats.insert("mem_free_bytes".to_string(), free.into());
        stats.insert("mem_total_bytes".to_string(), total.into());
    }
    Reply::json(Value::Object(stats).to_string(), request.parameter("jsonp"))
}

/// The same as metrics.
pub(crate) fn metrics() -> Vec<(String, f64)> {
    let machine = Machine::read();
    let mut metrics = vec![("system/cpus_total".to_string(), machine.cpus as f64)];
    if let Some([one, five, fifteen]) = machine.load {
        metrics.push(("system/load_1min".to_string(), one));
        metrics.push(("system/load_5min".to_string(), five));
        metrics.push(("system/load_15min".to_string(), fifteen));
    }
    if let Some((total, free)) = machine.memory {
        metrics.push(("system/mem_total_bytes".to_string(), total as f64));
        metrics.push(("system/mem_free_bytes".to_string(), free as f64));
    }
    metrics
}

struct Machine {
    cpus: u64,
    /// Over 1, 5 and 15 minutes.
    load: Option<[f64; 3]>,
    /// Total and free bytes.
    memory: Option<(u64, u64)>,
}

impl Machine {
    fn read() -> Self {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            cpus: cpus as u64,
            load: read_load(),
            memory: read_memory(),
        }
    }
}

fn read_load() -> Option<[f64; 3]> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    let mut numbers = text.split_whitespace().map(str::parse::<f64>);
    let mut next = || numbers.next()?.ok();
    Some([next()?, next()?, next()?])
}

fn read_memory() -> Option<(u64, u64)> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let bytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
        Some(kib * 1024)
    };
    Some((bytes("MemTotal:")?, bytes("MemFree:")?))
}
