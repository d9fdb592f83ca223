//! What the command line does.

pub(crate) mod agents;
pub(crate) mod allocator;
mod calls;
pub(crate) mod cluster;
pub(crate) mod demo;
pub(crate) mod demo_executor;
pub(crate) mod dev;
pub(crate) mod exec;
mod growing;
mod ids;
pub(crate) mod lists;
pub(crate) mod logs;
pub(crate) mod maintenance;
mod moments;
mod place;
pub(crate) mod quota;
pub(crate) mod run;
pub(crate) mod tasks;
pub(crate) mod teardown;
mod terminal;
pub(crate) mod weights;
pub(crate) mod why;

use anyhow::{Context, anyhow};
use tepui_client::{Client, Credential, Error, Masters, operator::Operator};

use crate::cli::Target;

/// The principal that commands call as, and its secret; never on the command line, where others would see it.
const PRINCIPAL: &str = "TEPUI_PRINCIPAL";
const SECRET: &str = "TEPUI_SECRET";

/// For calls as the principal of `--credential`, or of the environment, or as nobody.
fn client(target: &Target) -> anyhow::Result<Client> {
    Ok(Client::default().with_credential(credential(target)?))
}

fn credential(target: &Target) -> anyhow::Result<Option<Credential>> {
    if let Some(path) = &target.credential {
        let shown = || format!("--credential {}", path.display());
        let text = tepui_http::read_private(path).context("--credential")?;
        return Credential::parse(&text).map(Some).with_context(shown);
    }
    let value = |name| std::env::var(name).ok();
    match (value(PRINCIPAL), value(SECRET)) {
        (Some(principal), Some(secret)) => {
            let credential = Credential::new(&principal, &secret);
            credential.map(Some).context(PRINCIPAL)
        }
        (Some(_), None) => Err(anyhow!(
            "{PRINCIPAL} is set and {SECRET} is not; expected both"
        )),
        _ => Ok(None),
    }
}

/// What the leader answers. A refusal is told in the leader's own words.
async fn of_leader<T>(
    target: &Target,
    ask: impl AsyncFn(Operator) -> Result<T, Error>,
) -> anyhow::Result<T> {
    let client = client(target)?;
    let masters = Masters::new(client.clone(), &target.master);
    let ask = async |leader: &str| ask(Operator::new(client.clone(), leader)).await;
    let answer = masters.call(ask).await;
    answer.map_err(|error| match error {
        Error::Refused { status: 401, .. } => {
            in_words(error).context("the master asks who calls; see --credential")
        }
        Error::Refused { status, .. } if status < 500 => in_words(error),
        error => anyhow::Error::new(error).context(format!("--master {}", target.master.join(","))),
    })
}

/// What a daemon said no to, in its own words.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(crate) struct Refusal {
    /// Of HTTP.
    pub(crate) status: u16,
    text: String,
}

/// A refusal without its number, which is the program's exit status to say.
pub(crate) fn in_words(error: Error) -> anyhow::Error {
    match error {
        Error::Refused { status, text } => Refusal { status, text }.into(),
        error => error.into(),
    }
}
