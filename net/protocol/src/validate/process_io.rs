//! What clients write to a container they are attached to (Mesos: `IOSwitchboardServerProcess::validate`).

use super::{Reason, call_type, expecting, present};
use crate::v1::agent::{
    ProcessIo,
    call::{AttachContainerInput, attach_container_input},
    process_io::{self, control, data},
};

/// A record after the first of ATTACH_CONTAINER_INPUT.
///
/// # Errors
/// The reason; Mesos' answer is it alone.
pub fn input(call: &AttachContainerInput) -> Reason {
    let kind = call.r#type();
    if kind != attach_container_input::Type::ProcessIo {
        return Err(format!(
            "Expecting 'attach_container_input.type' to be 'PROCESS_IO' instead of: '{}'",
            kind.as_str_name()
        ));
    }
    let message = present(&call.process_io, "attach_container_input.process_io")?;
    match kind_of(message.r#type, "process_io.type")? {
        process_io::Type::Unknown => Err("'process_io.type' is unknown".to_owned()),
        process_io::Type::Control => control(message),
        process_io::Type::Data => data(message),
    }
}

fn control(message: &ProcessIo) -> Reason {
    let control = present(&message.control, "process_io.control")?;
    match kind_of(control.r#type, "process_io.control.type")? {
        control::Type::Unknown => Err("'process_io.control.type' is unknown".to_owned()),
        control::Type::TtyInfo => {
            let terminal = present(&control.tty_info, "process_io.control.tty_info")?;
            present(&terminal.window_size, "tty_info.window_size").map(drop)
        }
        control::Type::Heartbeat => {
            present(&control.heartbeat, "process_io.control.heartbeat").map(drop)
        }
    }
}

fn data(message: &ProcessIo) -> Reason {
    let data = present(&message.data, "process_io.data")?;
    if kind_of::<data::Type>(data.r#type, "process_io.data.type")? != data::Type::Stdin {
        return Err("Expecting 'process_io.data.type' to be 'STDIN'".to_owned());
    }
    present(&data.data, "process_io.data.data").map(drop)
}

fn kind_of<T: TryFrom<i32>>(number: Option<i32>, field: &str) -> Result<T, String> {
    call_type(number).map_err(|_| expecting(field))
}

#[cfg(test)]
#[path = "process_io_tests.rs"]
mod tests;
