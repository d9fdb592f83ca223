//! `tepui allocator`: which policy decides, and how the one in its shadow differs.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::{
    lists::{list, text},
    of_leader,
};
use crate::{cli::AllocatorArgs, output};

const PATH: &str = "/tepui/v1/allocator";

pub(crate) async fn allocator(args: AllocatorArgs) -> anyhow::Result<ExitCode> {
    let mut change = json!({});
    if let Some(policy) = args.policy {
        change["policy"] = policy.into();
    }
    if let Some(shadow) = args.shadow {
        change["shadow"] = Some(shadow).filter(|it| it != "none").into();
    }
    let is_change = change != json!({});
    let answer = of_leader(&args.list.target, async |operator| {
        if is_change {
            operator.post(PATH, &change).await?;
        }
        operator.json(PATH).await
    })
    .await?;
    if args.list.json {
        output::lines([answer.to_string()])?;
    } else {
        output::lines(told(&answer))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn told(answer: &Value) -> Vec<String> {
    let known = list(answer, "policies");
    let known: Vec<&str> = known.iter().filter_map(Value::as_str).collect();
    let mut lines = vec![format!(
        "{} decides: {} grants in {} runs; there are {}",
        text(answer, "policy"),
        text(answer, "grants"),
        text(answer, "runs"),
        known.join(", ")
    )];
    let shadow = &answer["shadow"];
    if !shadow.is_null() {
        lines.push(format!(
            "{} is compared: {} grants in {} runs, {} pairs of agent and framework given by one of them only",
            text(shadow, "policy"),
            text(shadow, "grants"),
            text(shadow, "runs"),
            text(shadow, "differences")
        ));
    }
    lines
}
