//! `tepui logs`: what a task has written, and with `-f` what it writes until it ends.

use std::{
    io::{self, ErrorKind, Write},
    process::ExitCode,
    time::Duration,
};

use tepui_client::{Error, agent::Agent};
use tepui_protocol::v1::{
    ContainerId,
    agent::{
        Call,
        call::{ReadFile, Type},
    },
};
use tokio::time::{Instant, sleep};

use super::place::{self, Place};
use crate::cli::LogsArgs;

/// How often the files are looked at.
const FILE_INTERVAL: Duration = Duration::from_millis(250);
/// How often the master is asked whether the task has ended.
const TASK_INTERVAL: Duration = Duration::from_secs(1);
/// Bytes of one look.
const CHUNK: u64 = 64 << 10;

pub(crate) async fn logs(args: LogsArgs) -> anyhow::Result<ExitCode> {
    let place = place::find(&args.task).await?;
    let directory = directory(&place);
    let mut files: Vec<File> = [("stdout", args.stderr), ("stderr", args.stdout)]
        .into_iter()
        .filter(|(_, left_out)| !left_out)
        .map(|(name, _)| File {
            path: format!("{directory}/{name}"),
            is_error: name == "stderr",
            offset: 0,
        })
        .collect();
    let mut has_ended = place.has_ended || !args.follow;
    let mut asked = Instant::now();
    loop {
        // What was written before the end is read after it.
        let is_last = has_ended;
        for file in &mut files {
            match file.copy(&place.agent).await {
                Err(Failure::NobodyReads) => return Ok(ExitCode::SUCCESS),
                copied => copied.map_err(Failure::into_error)?,
            }
        }
        if is_last {
            return Ok(ExitCode::SUCCESS);
        }
        sleep(FILE_INTERVAL).await;
        if asked.elapsed() >= TASK_INTERVAL {
            asked = Instant::now();
            has_ended = place::has_ended(&args.task).await?;
        }
    }
}

/// The sandbox, as the agent's files show it.
fn directory(place: &Place) -> String {
    let mut names = Vec::new();
    let mut id: &ContainerId = &place.container_id;
    while let Some(parent) = &id.parent {
        names.push(format!("/containers/{}", id.value));
        id = parent;
    }
    let within: String = names.into_iter().rev().collect();
    let Place {
        framework_id,
        executor_id,
        ..
    } = place;
    let run = &id.value;
    format!("/frameworks/{framework_id}/executors/{executor_id}/runs/{run}{within}")
}

/// One file, read up to some place.
struct File {
    path: String,
    is_error: bool,
    offset: u64,
}

/// What is left of a file.
#[derive(PartialEq)]
enum Copied {
    All,
    /// It is shorter than it was.
    Shrunk,
}

enum Failure {
    NobodyReads,
    Written(io::Error),
    Read(Error),
}

impl Failure {
    fn into_error(self) -> anyhow::Error {
        match self {
            Self::NobodyReads => anyhow::anyhow!("nobody reads the output"),
            Self::Written(error) => {
                anyhow::Error::new(error).context("the output cannot be written")
            }
            Self::Read(Error::Refused { text, .. }) => anyhow::anyhow!("{text}"),
            Self::Read(error) => error.into(),
        }
    }
}

impl File {
    /// Copies what is new.
    async fn copy(&mut self, agent: &Agent) -> Result<(), Failure> {
        let path = self.path.clone();
        while self.copy_of(agent, &path).await? == Copied::Shrunk {
            // The agent bounds it: it has got another name, and a new one is in its place.
            let earlier = format!("{path}.1");
            self.copy_of(agent, &earlier).await?;
            self.offset = 0;
        }
        Ok(())
    }

    /// Copies what is new of the file at `path`.
    async fn copy_of(&mut self, agent: &Agent, path: &str) -> Result<Copied, Failure> {
        loop {
            let call = Call {
                r#type: Some(Type::ReadFile as i32),
                read_file: Some(ReadFile {
                    path: path.to_owned(),
                    offset: self.offset,
                    length: Some(CHUNK),
                }),
                ..Call::default()
            };
            let part = match agent.ask(&call).await {
                // Nothing was written yet, or the sandbox was removed.
                Err(Error::Refused { status: 404, .. }) => return Ok(Copied::All),
                answer => answer.map_err(Failure::Read)?.read_file.unwrap_or_default(),
            };
            if part.size < self.offset {
                return Ok(Copied::Shrunk);
            }
            if part.data.is_empty() {
                return Ok(Copied::All);
            }
            self.offset += part.data.len() as u64;
            write(&part.data, self.is_error).map_err(|error| match error.kind() {
                ErrorKind::BrokenPipe => Failure::NobodyReads,
                _ => Failure::Written(error),
            })?;
        }
    }
}

fn write(bytes: &[u8], is_error: bool) -> io::Result<()> {
    if is_error {
        return io::stderr().write_all(bytes);
    }
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}
