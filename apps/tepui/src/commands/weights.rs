//! `tepui weights`: how much more than others a role gets of what is shared.

use std::process::ExitCode;

use anyhow::bail;
use serde_json::{Value, json};
use tepui_protocol::v1::{
    WeightInfo,
    master::{
        Call,
        call::{Type, UpdateWeights},
    },
};

use super::{
    calls,
    lists::{Column, print, text},
};
use crate::{
    cli::{Target, WeightsArgs, WeightsCommand},
    output,
};

pub(crate) async fn weights(args: WeightsArgs) -> anyhow::Result<ExitCode> {
    let target = &args.list.target;
    match args.command {
        None => show(target, args.list.json).await,
        Some(WeightsCommand::Set { weights }) => set(target, &weights).await,
    }
}

async fn show(target: &Target, json: bool) -> anyhow::Result<ExitCode> {
    let answer = calls::ask(target, Type::GetWeights).await?;
    let weights = answer.get_weights.unwrap_or_default().weight_infos;
    let weights = weights.into_iter();
    let weights: Vec<Value> = weights
        .map(|it| json!({"role": it.role(), "weight": it.weight}))
        .collect();
    let columns: &[Column] = &[
        ("ROLE", |weight| text(weight, "role")),
        ("WEIGHT", |weight| {
            weight["weight"].as_f64().unwrap_or(1.0).to_string()
        }),
    ];
    let empty = "all roles have weight 1; `tepui weights set ROLE=2` gives one twice as much";
    print(&weights, json, columns, empty)
}

async fn set(target: &Target, given: &[String]) -> anyhow::Result<ExitCode> {
    let weights = given.iter().map(|text| parsed(text));
    let weights: Vec<WeightInfo> = weights.collect::<anyhow::Result<_>>()?;
    let call = Call {
        r#type: Some(Type::UpdateWeights as i32),
        update_weights: Some(UpdateWeights {
            weight_infos: weights.clone(),
        }),
        ..Call::default()
    };
    calls::change(target, "set weights", &call).await?;
    let set = weights.iter();
    output::lines(set.map(|it| format!("role {} has weight {}", it.role(), it.weight)))?;
    Ok(ExitCode::SUCCESS)
}

fn parsed(text: &str) -> anyhow::Result<WeightInfo> {
    // Roles may have any sign but the one between.
    let parts = text.rsplit_once('=');
    let weight = parts.and_then(|(role, weight)| Some((role, weight.parse::<f64>().ok()?)));
    match weight {
        Some((role, weight)) if !role.is_empty() && weight.is_finite() && weight > 0.0 => {
            Ok(WeightInfo {
                weight,
                role: Some(role.to_string()),
            })
        }
        _ => bail!("'{text}': expected a role and a weight above 0, such as web=2.5"),
    }
}

#[cfg(test)]
#[path = "weights_tests.rs"]
mod tests;
