//! Which question has which answer.

use std::collections::BTreeMap;

use bytes::Bytes;
use tepui_messages::view::Question;

use crate::{ViewConfig, World, absent, api, metrics, offers, statuses, v0, why};

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// Flags, version, logging and the like are not in the change stream.
    #[error(
        "the view does not answer {0}, it expects GET_STATE, GET_AGENTS and the like; ask the HTTP endpoint's own handler"
    )]
    NotOfTheWorld(&'static str),
    #[error("the answer could not be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// Who reads.
#[derive(Debug, Clone, Copy, Default)]
pub struct Readers {
    /// Open operator event streams.
    pub watchers: usize,
    /// Answers that somebody had been given before, and nothing had changed since.
    pub repeated: u64,
}

/// The body of the answer.
///
/// # Errors
/// See [`AnswerError`].
pub fn answer(
    world: &World,
    config: &ViewConfig,
    readers: Readers,
    question: &Question,
) -> Result<Bytes, AnswerError> {
    let body = match question {
        Question::State => serde_json::to_vec(&v0::State { world, config })?,
        Question::StateSummary => serde_json::to_vec(&v0::StateSummary { world, config })?,
        Question::Slaves { slave_id } => serde_json::to_vec(&v0::Slaves {
            world,
            id: slave_id.as_deref(),
        })?,
        Question::Frameworks { framework_id } => serde_json::to_vec(&v0::Frameworks {
            world,
            id: framework_id.as_deref(),
        })?,
        Question::Tasks {
            framework_id,
            task_id,
            limit,
            offset,
            ascending,
        } => serde_json::to_vec(&v0::Tasks {
            world,
            framework_id: framework_id.as_deref(),
            task_id: task_id.as_deref(),
            limit: *limit,
            offset: *offset,
            ascending: *ascending,
        })?,
        Question::Roles => serde_json::to_vec(&v0::Roles { world })?,
        Question::Weights => serde_json::to_vec(&v0::Weights { world })?,
        Question::Quota => serde_json::to_vec(&api::quota_status(world))?,
        Question::MaintenanceSchedule => serde_json::to_vec(&v0::MaintenanceSchedule { world })?,
        Question::MaintenanceStatus => serde_json::to_vec(&v0::MaintenanceStatus { world })?,
        Question::Offers { now, most } => serde_json::to_vec(&offers::ledger(world, *now, *most))?,
        Question::TaskStatuses {
            framework_id,
            task_id,
        } => serde_json::to_vec(&statuses::told(world, framework_id, task_id))?,
        Question::AbsentAgents { most } => serde_json::to_vec(&absent::told(world, *most))?,
        Question::Shortcomings => {
            let agents = world.agents.iter();
            let told =
                agents.filter_map(|(id, agent)| Some((id, agent.record.shortcoming.as_ref()?)));
            serde_json::to_vec(&told.collect::<BTreeMap<_, _>>())?
        }
        Question::Why { now, explanation } => {
            serde_json::to_vec(&why::told(world, *now, explanation))?
        }
        Question::Metrics => serde_json::to_vec(&metrics::snapshot(world, readers))?,
        Question::Call { kind, encoding } => {
            return api::response(world, *kind, *encoding)?
                .ok_or_else(|| AnswerError::NotOfTheWorld(kind.as_str_name()));
        }
    };
    Ok(Bytes::from(body))
}
