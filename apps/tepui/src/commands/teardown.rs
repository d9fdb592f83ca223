//! `tepui teardown`: the end of a framework and its tasks.

use std::process::ExitCode;

use tepui_protocol::v1::{
    FrameworkId,
    master::{
        Call,
        call::{Teardown, Type},
    },
};

use super::{calls, ids};
use crate::{cli::TeardownArgs, output};

/// Whoever was asked was not sure.
const NOT_DONE: u8 = 1;

pub(crate) async fn teardown(args: TeardownArgs) -> anyhow::Result<ExitCode> {
    let framework = ids::framework(&args.target, &args.framework).await?;
    let shown = framework.shown();
    let what =
        format!("framework {shown} will end, with all its tasks, and its id is never let in again");
    if !calls::is_sure(&args.certainty, &what)? {
        return Ok(ExitCode::from(NOT_DONE));
    }
    let call = Call {
        r#type: Some(Type::Teardown as i32),
        teardown: Some(Teardown {
            framework_id: FrameworkId {
                value: framework.id,
            },
        }),
        ..Call::default()
    };
    calls::change(&args.target, &format!("tear framework {shown} down"), &call).await?;
    output::lines([format!("framework {shown} has ended; its tasks are killed")])?;
    Ok(ExitCode::SUCCESS)
}
