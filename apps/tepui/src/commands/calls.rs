//! Calls of operators: each changes something, or is refused with what was tried and why.

use std::io::{self, BufRead, Write};

use anyhow::bail;
use tepui_client::operator::Operator;
use tepui_protocol::v1::master::{Call, Response, call};

use super::{Refusal, of_leader, terminal};
use crate::{
    cli::{Certainty, Target},
    output,
};

/// Has the leader do it; `doing` is what, such as "drain agent S1".
///
/// # Errors
/// With `doing` before the leader's own words.
pub(super) async fn change(target: &Target, doing: &str, call: &Call) -> anyhow::Result<()> {
    let done = of_leader(target, async |operator| operator.change(call).await).await;
    done.map_err(|error| {
        let refused = error.downcast_ref::<Refusal>().map(|it| it.status);
        match refused {
            Some(401) => error.context(format!(
                "cannot {doing}: the master asks who calls; see --credential"
            )),
            Some(403) => error.context(format!(
                "cannot {doing}: who calls may not; see --credential"
            )),
            Some(_) => error.context(format!("cannot {doing}")),
            None => error,
        }
    })
}

/// What the leader answers to a question that has no parameters.
pub(super) async fn ask(target: &Target, kind: call::Type) -> anyhow::Result<Response> {
    let asked = async |operator: Operator| operator.get(kind).await;
    of_leader(target, asked).await
}

/// Whether somebody is sure of what cannot be undone: `what` is a sentence that says what will be.
///
/// # Errors
/// There is no terminal to ask at, and `--yes` was not said.
pub(super) fn is_sure(certainty: &Certainty, what: &str) -> anyhow::Result<bool> {
    if certainty.yes {
        return Ok(true);
    }
    if !terminal::is_terminal(io::stdin()) || !terminal::is_terminal(io::stderr()) {
        bail!(
            "{what}; this cannot be undone, and there is no terminal to ask at: add --yes to do it"
        );
    }
    let mut err = io::stderr().lock();
    write!(
        err,
        "{}; this cannot be undone. Type yes to do it: ",
        output::printable(what)
    )?;
    err.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    let is_sure = answer.trim().eq_ignore_ascii_case("yes");
    if !is_sure {
        output::note("nothing was done");
    }
    Ok(is_sure)
}
