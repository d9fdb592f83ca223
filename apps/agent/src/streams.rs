//! Containers whose standard streams are kept for clients, in the launcher's terms.

use std::path::Path;

use tepui_containers::{
    LaunchSpec, ProcessId,
    switchboard::{self, SOCKET_FILE, WindowSize},
};
use tepui_messages::containers::{ContainerExit, Limitation, Switchboard};
use tepui_protocol::v1::task_status::Reason;

/// Completes `spec`. `outer` is the command of the container around it, whose mounts a session sees.
///
/// Errors: a session has lost that container.
pub(crate) fn keep(
    spec: &mut LaunchSpec,
    order: Switchboard,
    outer: Option<ProcessId>,
) -> Result<(), String> {
    let size = |(rows, columns)| WindowSize { rows, columns };
    spec.switchboard = Some(switchboard::Switchboard {
        terminal: order.terminal.map(|terminal| switchboard::Terminal {
            size: terminal.size.map(size),
        }),
        is_session: order.is_session,
    });
    if order.is_session {
        spec.enter = Some(outer.ok_or("the container around it has ended")?);
    }
    Ok(())
}

/// Whether the container with this directory is one of them.
pub(crate) fn were_kept(runtime_dir: &Path) -> bool {
    std::fs::symlink_metadata(runtime_dir.join(SOCKET_FILE)).is_ok()
}

/// The end of one whose shim was killed, and with it what kept the streams.
pub(crate) fn lost() -> ContainerExit {
    let limitation = Limitation {
        reason: Reason::IoSwitchboardExited,
        message: "'IOSwitchboard' was killed: the container's shim ended before its command"
            .to_owned(),
        resources: Vec::new(),
    };
    ContainerExit {
        status: None,
        limitation: Some(limitation),
        is_forsaken: false,
    }
}
