//! `tepui logs`: what a task has written, and with `-f` what it writes until it ends.

use std::{process::ExitCode, time::Duration};

use tepui_protocol::v1::ContainerId;
use tokio::time::{Instant, sleep};

use super::{
    growing::{Failure, Growing},
    place::{self, Place},
};
use crate::cli::LogsArgs;

/// How often the files are looked at.
const FILE_INTERVAL: Duration = Duration::from_millis(250);
/// How often the master is asked whether the task has ended.
const TASK_INTERVAL: Duration = Duration::from_secs(1);

pub(crate) async fn logs(args: LogsArgs) -> anyhow::Result<ExitCode> {
    let place = place::find(&args.task).await?;
    let directory = directory(&place);
    let mut files: Vec<Growing> = [("stdout", args.stderr), ("stderr", args.stdout)]
        .into_iter()
        .filter(|(_, left_out)| !left_out)
        .map(|(name, _)| Growing::new(format!("{directory}/{name}"), name == "stderr"))
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
            has_ended = place::has_ended(&args.task.target, &place).await?;
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
