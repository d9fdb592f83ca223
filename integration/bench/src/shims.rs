//! The bare loop of the launch benchmarks: the same shim, cgroups and command as the agent's, with nothing around them.

use std::path::PathBuf;

use tempfile::TempDir;
use tepui_containers::{
    Cgroups, Launcher, Limits,
    launch::{Command as Program, LaunchSpec},
    sandbox,
};
use tokio::sync::oneshot;

use crate::dev::tepui;

/// Where they are launched; all of it goes with [`Shims::end`].
pub(crate) struct Shims {
    launcher: Launcher,
    sandboxes: TempDir,
    runtime: TempDir,
}

impl Shims {
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            launcher: Launcher::new(
                tepui()?.with_file_name("tepui-shim"),
                Cgroups::detect("tepui-bench"),
                0,
            )?,
            sandboxes: tempfile::tempdir()?,
            runtime: tempfile::Builder::new()
                .prefix("tepui-bench")
                .tempdir_in(runtime_base())?,
        })
    }

    /// Makes a sandbox and runs `true` in it; `launched` is called once it runs, and then its end is waited for.
    pub(crate) async fn run(&self, index: usize, launched: impl FnOnce()) -> anyhow::Result<()> {
        let id = format!("bench-{index}");
        let runtime_dir = self.runtime.path().join(&id);
        let command = Program::Program {
            program: "/bin/sh".into(),
            argv: ["sh", "-c", "true"].map(Into::into).into(),
        };
        let directory = self.sandboxes.path().join(&id);
        sandbox::prepare_sandbox(&directory, None)?;
        let mut spec = LaunchSpec::new(&id, directory, runtime_dir.clone(), command);
        spec.limits = Limits {
            cpu_request_milli: Some(200),
            memory_request_bytes: Some(64 << 20),
            memory_limit_bytes: Some(64 << 20),
            ..Limits::default()
        };
        let container = self.launcher.launch(spec, oneshot::channel().0).await?;
        launched();
        container.wait().await?;
        self.launcher.cleanup(&id, &runtime_dir).await?;
        Ok(())
    }

    pub(crate) fn end(self) -> anyhow::Result<()> {
        self.launcher.cgroups().remove_roots()?;
        Ok(())
    }
}

/// Where an agent keeps its runtime directories too: a tmpfs, where there is one.
fn runtime_base() -> PathBuf {
    let run = PathBuf::from("/run");
    if tempfile::tempdir_in(&run).is_ok() {
        run
    } else {
        std::env::temp_dir()
    }
}
