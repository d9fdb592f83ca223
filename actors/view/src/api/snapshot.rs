//! GET_STATE, GET_TASKS and SUBSCRIBED, written without copying a task.
//!
//! The shapes are those of `master::Response` and `master::Event`; the field numbers are restated here
//! because prost only encodes messages it owns. A test holds both to the schema.

use bytes::{BufMut, Bytes};
use prost::Message;
use serde::Serialize;
use tepui_messages::view::Encoding;
use tepui_protocol::v1::{
    Task,
    master::{
        event,
        response::{self, GetAgents, GetExecutors, GetFrameworks},
    },
};

use super::models;
use crate::world::World;

/// Field numbers of `Response.GetTasks`.
const TASKS: u8 = 2;
const COMPLETED_TASKS: u8 = 3;
const UNREACHABLE_TASKS: u8 = 5;
/// Field numbers of `Response.GetState`.
const STATE_TASKS: u8 = 1;
const STATE_EXECUTORS: u8 = 2;
const STATE_FRAMEWORKS: u8 = 3;
const STATE_AGENTS: u8 = 4;
/// Field numbers of `Response`; `type` has the same in `Event`.
const TYPE: u8 = 1;
const GET_STATE: u8 = 9;
const GET_TASKS: u8 = 13;
/// Field numbers of `Event` and `Event.Subscribed`.
const SUBSCRIBED: u8 = 2;
const SUBSCRIBED_STATE: u8 = 1;
const HEARTBEAT_INTERVAL_SECONDS: u8 = 2;

/// Wire types of protobuf.
const VARINT: u8 = 0;
const FIXED_64: u8 = 1;
const LENGTH_DELIMITED: u8 = 2;

/// `Response.GetTasks`.
#[derive(Serialize)]
struct Tasks<'a> {
    tasks: Vec<&'a Task>,
    unreachable_tasks: Vec<&'a Task>,
    completed_tasks: Vec<&'a Task>,
}

impl<'a> Tasks<'a> {
    fn new(world: &'a World) -> Self {
        let live = world.frameworks.values();
        let live = live.flat_map(|framework| framework.tasks.values());
        let all = || world.all_frameworks();
        let unreachable = all().flat_map(|framework| framework.unreachable.values());
        let completed = all().flat_map(|framework| &framework.completed);
        Self {
            tasks: live.map(|task| &**task).collect(),
            unreachable_tasks: unreachable.map(|task| &**task).collect(),
            completed_tasks: completed.map(|task| &**task).collect(),
        }
    }

    fn put(&self, buffer: &mut Vec<u8>) {
        for (number, tasks) in [
            (TASKS, &self.tasks),
            (COMPLETED_TASKS, &self.completed_tasks),
            (UNREACHABLE_TASKS, &self.unreachable_tasks),
        ] {
            for task in tasks {
                put_message(number, *task, buffer);
            }
        }
    }
}

/// `Response.GetState`.
#[derive(Serialize)]
struct State<'a> {
    get_tasks: Tasks<'a>,
    get_executors: GetExecutors,
    get_frameworks: GetFrameworks,
    get_agents: GetAgents,
}

impl<'a> State<'a> {
    fn new(world: &'a World) -> Self {
        Self {
            get_tasks: Tasks::new(world),
            get_executors: models::executors(world),
            get_frameworks: models::frameworks(world),
            get_agents: models::agents(world),
        }
    }

    fn put(&self, buffer: &mut Vec<u8>) {
        put_nested(STATE_TASKS, |buffer| self.get_tasks.put(buffer), buffer);
        put_message(STATE_EXECUTORS, &self.get_executors, buffer);
        put_message(STATE_FRAMEWORKS, &self.get_frameworks, buffer);
        put_message(STATE_AGENTS, &self.get_agents, buffer);
    }
}

/// The answer to GET_TASKS.
pub(super) fn tasks_answer(world: &World, encoding: Encoding) -> Result<Bytes, serde_json::Error> {
    #[derive(Serialize)]
    struct Answer<'a> {
        r#type: &'a str,
        get_tasks: Tasks<'a>,
    }
    let kind = response::Type::GetTasks;
    let get_tasks = Tasks::new(world);
    match encoding {
        Encoding::Json => {
            let r#type = kind.as_str_name();
            serde_json::to_vec(&Answer { r#type, get_tasks }).map(Bytes::from)
        }
        Encoding::Protobuf => {
            let mut buffer = typed(kind as u8);
            put_nested(GET_TASKS, |buffer| get_tasks.put(buffer), &mut buffer);
            Ok(buffer.into())
        }
    }
}

/// The answer to GET_STATE.
pub(super) fn state_answer(world: &World, encoding: Encoding) -> Result<Bytes, serde_json::Error> {
    #[derive(Serialize)]
    struct Answer<'a> {
        r#type: &'a str,
        get_state: State<'a>,
    }
    let kind = response::Type::GetState;
    let get_state = State::new(world);
    match encoding {
        Encoding::Json => {
            let r#type = kind.as_str_name();
            serde_json::to_vec(&Answer { r#type, get_state }).map(Bytes::from)
        }
        Encoding::Protobuf => {
            let mut buffer = typed(kind as u8);
            put_nested(GET_STATE, |buffer| get_state.put(buffer), &mut buffer);
            Ok(buffer.into())
        }
    }
}

/// The first event of an operator stream.
pub(super) fn subscribed_event(
    world: &World,
    heartbeat_interval_seconds: f64,
    encoding: Encoding,
) -> Result<Bytes, serde_json::Error> {
    #[derive(Serialize)]
    struct Subscribed<'a> {
        get_state: State<'a>,
        heartbeat_interval_seconds: f64,
    }
    #[derive(Serialize)]
    struct Event<'a> {
        r#type: &'a str,
        subscribed: Subscribed<'a>,
    }
    let kind = event::Type::Subscribed;
    let get_state = State::new(world);
    if encoding == Encoding::Json {
        let subscribed = Subscribed {
            get_state,
            heartbeat_interval_seconds,
        };
        let r#type = kind.as_str_name();
        return serde_json::to_vec(&Event { r#type, subscribed }).map(Bytes::from);
    }
    let mut buffer = typed(kind as u8);
    let put = |buffer: &mut Vec<u8>| {
        put_nested(SUBSCRIBED_STATE, |buffer| get_state.put(buffer), buffer);
        buffer.put_u8(key(HEARTBEAT_INTERVAL_SECONDS, FIXED_64));
        buffer.put_f64_le(heartbeat_interval_seconds);
    };
    put_nested(SUBSCRIBED, put, &mut buffer);
    Ok(buffer.into())
}

/// A message that begins with its type. All types have small numbers.
fn typed(kind: u8) -> Vec<u8> {
    vec![key(TYPE, VARINT), kind]
}

/// Field numbers up to 15 take one byte.
const fn key(number: u8, wire_type: u8) -> u8 {
    number << 3 | wire_type
}

fn put_message(number: u8, message: &impl Message, buffer: &mut Vec<u8>) {
    buffer.put_u8(key(number, LENGTH_DELIMITED));
    message
        .encode_length_delimited(buffer)
        .expect("a vector grows as it needs to");
}

fn put_nested(number: u8, put: impl FnOnce(&mut Vec<u8>), buffer: &mut Vec<u8>) {
    let mut nested = Vec::new();
    put(&mut nested);
    buffer.put_u8(key(number, LENGTH_DELIMITED));
    prost::encode_length_delimiter(nested.len(), buffer).expect("a vector grows as it needs to");
    buffer.extend_from_slice(&nested);
}
