//! Owns what an engine's figures of a container mean: it reads them off the container's cgroup. Pure.

use super::api;
use super::error::EngineError;
use serde_json::Value;

/// As [`crate::Usage`], of an engine.
pub type Statistics = crate::Usage;

/// `None`: it does not run, so there are no figures.
pub(super) fn parse(body: &[u8]) -> Result<Option<Statistics>, EngineError> {
    let value = api::parse(body)?;
    let number = |value: &Value| value.as_u64();
    let cpu = &value["cpu_stats"];
    let Some(total_ns) = number(&cpu["cpu_usage"]["total_usage"]).filter(|it| *it > 0) else {
        return Ok(None);
    };
    let user_ns = number(&cpu["cpu_usage"]["usage_in_usermode"]).unwrap_or(total_ns);
    let system_ns = number(&cpu["cpu_usage"]["usage_in_kernelmode"]).unwrap_or(0);
    let memory = &value["memory_stats"];
    let throttled = &cpu["throttling_data"];
    let pids = number(&value["pids_stats"]["current"]).unwrap_or(0);
    // v1 calls it total_rss, v2 anon.
    let rss = ["total_rss", "anon", "rss"].iter();
    let rss = rss.filter_map(|it| number(&memory["stats"][*it])).next();
    Ok(Some(Statistics {
        cpu_user_ms: user_ns / 1_000_000,
        cpu_system_ms: system_ns / 1_000_000,
        throttling: number(&throttled["periods"]).map(|periods| crate::usage::Throttling {
            periods,
            throttled_periods: number(&throttled["throttled_periods"]).unwrap_or(0),
            throttled_us: number(&throttled["throttled_time"]).unwrap_or(0) / 1000,
        }),
        memory_rss_bytes: rss.unwrap_or(0),
        memory_total_bytes: number(&memory["usage"]),
        memory_limit_bytes: number(&memory["limit"]),
        processes: pids,
        threads: pids,
        ..Statistics::default()
    }))
}
