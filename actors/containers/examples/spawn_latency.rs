//! Measures how long a launch takes beside a bare spawn and prints medians in microseconds:
//! `spawn_latency SHIM [ROUNDS] [cgroups|none] [SPARES] [RUNTIME_BASE]`. Rounds alternate, so that both see the same machine.
//! A runtime base on a tmpfs is what an agent has; on a journalling file system the launch waits for other writers.

use std::path::PathBuf;
use std::process::{Command as StdCommand, Stdio};
use std::time::{Duration, Instant};
use tepui_containers::launch::{Command, LaunchSpec};
use tepui_containers::{Cgroups, Launcher, Limits, sandbox};
use tokio::sync::oneshot;

type Failure = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let shim = PathBuf::from(
        args.next()
            .ok_or("usage: spawn_latency SHIM [ROUNDS] [none]")?,
    );
    let rounds: usize = args.next().map_or(Ok(200), |rounds| rounds.parse())?;
    let cgroups = match args.next() {
        Some(choice) if choice == "none" => Cgroups::none("not asked for".into()),
        _ => Cgroups::detect("tepui-bench"),
    };
    let spares = args.next().map_or(Ok(0), |spares| spares.parse())?;
    let launcher = Launcher::new(shim, cgroups, spares)?;
    launcher.warm_up();
    let name = format!("tepui-bench-{}", std::process::id());
    let base = std::env::temp_dir().join(&name);
    let runtime_base = args
        .next()
        .map_or_else(std::env::temp_dir, PathBuf::from)
        .join(&name);
    let (mut bare, mut running, mut ended) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        let begun = Instant::now();
        StdCommand::new("/bin/true")
            .env_clear()
            .stdin(Stdio::null())
            .spawn()?
            .wait()?;
        bare.push(begun.elapsed());

        let id = format!("round-{round}");
        let (sandbox, runtime_dir) = (
            base.join("sandbox").join(&id),
            runtime_base.join("run").join(&id),
        );
        sandbox::prepare_sandbox(&sandbox, None)?;
        let command = Command::Program {
            program: "/bin/true".into(),
            argv: Vec::new(),
        };
        let mut spec = LaunchSpec::new(&id, sandbox, runtime_dir.clone(), command);
        spec.limits = Limits {
            cpu_request_milli: Some(1000),
            memory_request_bytes: Some(64 << 20),
            memory_limit_bytes: Some(64 << 20),
            processes: Some(4096),
            ..Limits::default()
        };
        let begun = Instant::now();
        let container = launcher.launch(spec, oneshot::channel().0).await?;
        running.push(begun.elapsed());
        container.wait().await?;
        ended.push(begun.elapsed());
        launcher.cleanup(&id, &runtime_dir).await?;
        // As far apart as launches of one framework are.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for dir in [&base, &runtime_base] {
        if dir.is_dir() {
            std::fs::remove_dir_all(dir)?;
        }
    }
    launcher.cgroups().remove_roots()?;
    let (bare, running, ended) = (median(bare), median(running), median(ended));
    println!("bare spawn and wait   p50 {bare} us");
    println!(
        "launch until exec     p50 {running} us   {:.2} x bare",
        running as f64 / bare as f64
    );
    println!(
        "launch until exit     p50 {ended} us   {:.2} x bare",
        ended as f64 / bare as f64
    );
    Ok(())
}

fn median(mut times: Vec<Duration>) -> u128 {
    times.sort();
    times.get(times.len() / 2).map_or(0, Duration::as_micros)
}
