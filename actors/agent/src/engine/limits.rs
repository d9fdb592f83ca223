//! What a container may use, as an engine is told.

use serde_json::{Value, json};
use tepui_messages::containers::Amounts;

/// A CPU's shares, and the least that Linux takes.
const SHARES_PER_CPU: u64 = 1024;
const MIN_SHARES: u64 = 2;
/// Of the CFS quota, in microseconds.
const PERIOD_US: u64 = 100_000;
const MIN_QUOTA_US: u64 = 1_000;
const MIN_MEMORY_BYTES: u64 = 32 << 20;
/// The most that the kernel takes: whoever has it is ended first.
const MAX_OOM_SCORE: u64 = 1_000;

/// The members of `HostConfig`, also of the call `containers/update`. `machine_bytes`: the machine's memory, of which
/// a container that may use more than it requested is ended the earlier the less it requested.
pub fn limits(amounts: &Amounts, machine_bytes: Option<u64>) -> Value {
    let mut host = json!({});
    if let Some(milli) = amounts.cpu_milli {
        let shares = milli.saturating_mul(SHARES_PER_CPU) / 1000;
        host["CpuShares"] = shares.max(MIN_SHARES).into();
    }
    if let Some(milli) = amounts.cpu_limit_milli {
        let quota = milli.saturating_mul(PERIOD_US) / 1000;
        host["CpuPeriod"] = PERIOD_US.into();
        host["CpuQuota"] = quota.max(MIN_QUOTA_US).into();
    }
    let at_least = |bytes: u64| bytes.max(MIN_MEMORY_BYTES);
    match (amounts.memory_bytes, amounts.memory_limit_bytes) {
        (Some(request), None) => host["Memory"] = at_least(request).into(),
        (request, Some(limit)) => {
            if limit != u64::MAX {
                host["Memory"] = at_least(limit).into();
            }
            if let Some(request) = request {
                host["MemoryReservation"] = at_least(request).into();
                let machine = machine_bytes.filter(|machine| *machine > 0 && request < limit);
                if let Some(machine) = machine {
                    let part = request.saturating_mul(MAX_OOM_SCORE) / machine;
                    host["OomScoreAdj"] = MAX_OOM_SCORE.saturating_sub(part).into();
                }
            }
        }
        (None, None) => {}
    }
    host
}
