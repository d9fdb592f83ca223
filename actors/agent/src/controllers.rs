//! QoS controllers: who of those that use what was lent must give it back now. One of them is chosen by name
//! (`--qos-controller`); each is a module here, and knows nothing but what it is shown.
//!
//! A new one is a file in `controllers/` and a line in [`parse`].

mod load;

use std::{fmt, sync::Arc};

use crate::{
    effect::ExecutorKey,
    usage::{Load, Usage},
};

/// Says who is preempted (Mesos' `QoSController`, whose only correction is a kill).
pub trait QosController: fmt::Debug + Send + Sync {
    /// The executors to be killed, with all their tasks. `load` is the machine's, if it told.
    fn corrections(&self, usage: &Usage, load: Option<Load>) -> Vec<ExecutorKey>;
}

/// What `--qos-controller` says; `None`: nobody is preempted.
///
/// # Errors
/// What is wrong with the text, what was expected.
pub fn parse(text: &str) -> Result<Option<Arc<dyn QosController>>, String> {
    let (name, parameters) = text.split_once('=').unwrap_or((text, ""));
    match name {
        "noop" => Ok(None),
        "load" | "org_apache_mesos_LoadQoSController" => {
            Ok(Some(Arc::new(load::LoadLimit::parse(parameters)?)))
        }
        _ => Err(format!(
            "there is no QoS controller `{name}`; expected noop, or load=THRESHOLDS such as 'load=5min:8;15min:4'"
        )),
    }
}

#[cfg(test)]
#[path = "controllers_tests.rs"]
mod tests;
