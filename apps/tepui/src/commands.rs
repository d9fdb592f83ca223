//! What the command line does.

pub(crate) mod allocator;
pub(crate) mod cluster;
pub(crate) mod demo;
pub(crate) mod demo_executor;
pub(crate) mod dev;
pub(crate) mod exec;
pub(crate) mod lists;
pub(crate) mod logs;
mod place;
pub(crate) mod run;
pub(crate) mod tasks;
mod terminal;
pub(crate) mod why;

use anyhow::anyhow;
use tepui_client::{Client, Error, Masters, operator::Operator};

use crate::cli::Target;

/// What the leader answers. A refusal is told in the leader's own words.
async fn of_leader<T>(
    target: &Target,
    ask: impl AsyncFn(Operator) -> Result<T, Error>,
) -> anyhow::Result<T> {
    let client = Client::default();
    let masters = Masters::new(client.clone(), &target.master);
    let ask = async |leader: &str| ask(Operator::new(client.clone(), leader)).await;
    let answer = masters.call(false, ask).await;
    answer.map_err(|error| match error {
        Error::Refused { status, text } if status < 500 => anyhow!("{text}"),
        error => anyhow!("--master {}: {error}", target.master.join(",")),
    })
}
