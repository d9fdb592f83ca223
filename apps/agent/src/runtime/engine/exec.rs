//! Commands beside a container's own: of checks. Sessions are refused: their streams would have to be kept by the agent,
//! whose end they must outlive.

use futures_util::FutureExt;
use tepui_messages::containers::{ContainerExit, LaunchOrder, ProcessMark, RunningContainer};

use super::{EngineContainers, name_of, told};

const SIGKILL: i32 = 9;

impl EngineContainers {
    /// Whether a command is to be run beside that of one of these containers.
    pub(in crate::runtime) fn is_around(&self, order: &LaunchOrder) -> bool {
        let outer = order.container_id.rsplit_once('.').map(|(outer, _)| outer);
        outer.is_some_and(|outer| self.holds(outer))
    }

    pub(in crate::runtime) async fn launch_beside(
        &self,
        order: LaunchOrder,
    ) -> Result<RunningContainer, String> {
        let id = order.container_id;
        let outer = id.rsplit_once('.').map_or(id.as_str(), |(outer, _)| outer);
        if order.switchboard.is_some() || order.view_of.is_none() {
            return Err(format!(
                "The container {outer} is run by an engine, which alone can run others within it: use its own command, \
                 such as docker exec -it {} sh",
                name_of(outer)
            ));
        }
        let mut words = vec![order.program];
        words.extend(order.argv.into_iter().skip(1));
        let env = order
            .env
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        let env: Vec<String> = env.collect();
        let user = order.user.as_deref();
        let begun = self
            .0
            .engine
            .exec(&name_of(outer), &words, &env, user)
            .await;
        let exec = begun.map_err(|error| told(&error))?;
        self.execs().insert(id.clone(), exec.id().to_owned());
        let exited = async move {
            match exec.wait().await {
                Ok(code) => ContainerExit {
                    status: Some(code << 8),
                    limitation: None,
                },
                Err(error) => {
                    tracing::warn!(container_id = id, %error, "the end of a check is not known");
                    ContainerExit::default()
                }
            }
        };
        Ok(RunningContainer {
            shim: ProcessMark {
                pid: 0,
                start_time_ticks: 0,
            },
            pid: 0,
            inspected: None,
            networks: Vec::new(),
            exited: exited.boxed(),
        })
    }

    /// Kills a command beside a container's own; `false`: it is none. Engines have no call for it.
    pub(super) async fn end_exec(&self, id: &str) -> Result<bool, String> {
        let Some(exec) = self.execs().get(id).cloned() else {
            return Ok(false);
        };
        let pid = self.0.engine.exec_pid(&exec).await;
        let pid = pid.map_err(|error| told(&error))?;
        let process = pid.and_then(|pid| tepui_containers::ProcessId::of(pid).ok());
        super::send(process, SIGKILL);
        Ok(true)
    }
}
