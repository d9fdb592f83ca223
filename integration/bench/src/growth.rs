//! How launches change with the tasks that an agent has had before, and with the memory of the process that starts them:
//! the first must not grow with what is kept of ended tasks, the second not with the pages that a fork would copy.

use anyhow::ensure;
use clap::Args;
use serde_json::{Value, json};

use crate::{
    dev::{self, Dev},
    launch, throughput,
};

/// Rates are told for so many tasks each.
const SLICE: usize = 2_000;
/// Touched at this distance every page is there, whatever its size up to this.
const PAGE_BYTES: usize = 4096;

#[derive(Debug, Clone, Args)]
pub(crate) struct GrowthOptions {
    /// Short tasks between the first launches and the last
    #[arg(long, default_value_t = 20_000)]
    tasks: usize,
    /// Launches that are measured each time, one after another
    #[arg(long, default_value_t = 200)]
    count: usize,
    /// Memory that the starting process holds for its last launches, in MiB
    #[arg(long, default_value_t = 2048)]
    ballast_mib: usize,
    /// Port for the cluster that is started
    #[arg(long, default_value_t = 27250)]
    port: u16,
    /// Print one JSON line
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(options: &GrowthOptions) -> anyhow::Result<Value> {
    ensure!(
        options.tasks >= SLICE && options.count > 0,
        "--tasks must be at least {SLICE} and --count at least one"
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let (mut first, mut last, rates) = by_tasks(options).await?;
        let (mut small, mut large) = by_memory(options).await?;
        let [first, last, small, large] =
            [&mut first, &mut last, &mut small, &mut large].map(|it| crate::quantile(it, 0.5));
        Ok(json!({
            "name": "launch-growth",
            "tasks": options.tasks,
            "first_ms": first,
            "last_ms": last,
            "ratio": last / first,
            "tasks_per_s": rates,
            "ballast_mib": options.ballast_mib,
            "shim_ms": small,
            "shim_with_ballast_ms": large,
            "ratio_with_ballast": large / small,
        }))
    })
}

/// Milliseconds of launches before and after many tasks on one agent, and tasks a second of each slice of those.
async fn by_tasks(options: &GrowthOptions) -> anyhow::Result<(Vec<f64>, Vec<f64>, Vec<f64>)> {
    let _cluster = Dev::start(options.port, Some(throughput::ROOMY))?;
    let master = format!("127.0.0.1:{}", options.port);
    dev::ready(&master).await?;
    let first = launch::launches(&master, options.count).await?;
    let ends = throughput::ends(&master, options.tasks).await?;
    let last = launch::launches(&master, options.count).await?;
    let marks: Vec<f64> = ends.chunks_exact(SLICE).map(|it| it[SLICE - 1]).collect();
    let starts = std::iter::once(&0.0).chain(&marks);
    let rates = starts
        .zip(&marks)
        .map(|(from, to)| (SLICE as f64 / (to - from)).round());
    Ok((first, last, rates.collect()))
}

/// Milliseconds until a shim that this process starts has started its command, without and with much memory in use.
async fn by_memory(options: &GrowthOptions) -> anyhow::Result<(Vec<f64>, Vec<f64>)> {
    let small = launch::shims(options.count).await?;
    let mut ballast = vec![0_u8; options.ballast_mib << 20];
    for byte in ballast.iter_mut().step_by(PAGE_BYTES) {
        *byte = 1;
    }
    let large = launch::shims(options.count).await?;
    drop(std::hint::black_box(ballast));
    Ok((small, large))
}
