//! The cluster that a launch benchmark runs on: `tepui dev`, ended with the value.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use tepui_client::{Client, operator::Operator};

const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// `tepui dev`, ended with the value.
pub(crate) struct Dev(Child);

impl Dev {
    /// One master and one agent, with these resources or its share of the machine's.
    pub(crate) fn start(port: u16, resources: Option<&str>) -> anyhow::Result<Dev> {
        let program = tepui()?;
        let mut command = Command::new(&program);
        command.args(["dev", "--port", &port.to_string()]);
        if let Some(resources) = resources {
            command.args(["--resources", resources]);
        }
        let child = command
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Dev(child))
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // `tepui dev` ends its processes when it is asked to, so it must not be killed first.
        let _ = Command::new("kill")
            .args(["-TERM", &self.0.id().to_string()])
            .status();
        let _ = self.0.wait();
    }
}

/// The program to measure: TEPUI_BIN, or the one beside this one.
pub(crate) fn tepui() -> anyhow::Result<PathBuf> {
    if let Some(program) = std::env::var_os("TEPUI_BIN") {
        return Ok(program.into());
    }
    Ok(std::env::current_exe()?.with_file_name("tepui"))
}

/// Waits until an agent has registered.
pub(crate) async fn ready(master: &str) -> anyhow::Result<()> {
    let operator = Operator::new(Client::default(), master);
    let deadline = Instant::now() + READY_TIMEOUT;
    while Instant::now() < deadline {
        if let Ok(answer) = operator.json("/slaves").await
            && answer["slaves"]
                .as_array()
                .is_some_and(|agents| !agents.is_empty())
        {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!(
        "no agent registered at {master} within {} s",
        READY_TIMEOUT.as_secs()
    )
}
