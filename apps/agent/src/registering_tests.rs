use std::sync::{Arc, Mutex};

use tepui_bridge::{Bridge, Hello, Role, Router, Service, Settings, memory_pair};
use tepui_protocol::{
    parts::Parts,
    v1::{AgentId, ExecutorInfo, Label, Labels},
};

use super::*;

/// What a master took, and how.
#[derive(Debug, PartialEq)]
enum Took {
    Whole(RegisterAgent),
    Joined(RegisterAgent),
}

struct Side(Role, Arc<Router>);

impl Service for Side {
    fn hello(&self) -> Hello {
        Hello::new(self.0, "test", "0")
    }

    fn router(&self, _: &Peer) -> Arc<Router> {
        Arc::clone(&self.1)
    }
}

fn answer() -> AgentRegistration {
    AgentRegistration {
        agent_id: Some(AgentId {
            value: "S0".to_owned(),
        }),
        ..AgentRegistration::default()
    }
}

/// A master that takes all that fits into `limits`.
fn master(took: &Arc<Mutex<Vec<Took>>>) -> Router {
    let (whole, joined) = (Arc::clone(took), Arc::clone(took));
    let parts = Mutex::new(Parts::default());
    Router::builder()
        .on_ask(move |_, request: RegisterAgent| {
            whole.lock().unwrap().push(Took::Whole(request));
            Box::pin(async { Ok(answer()) })
        })
        .on_ask(move |_, part: RegisterAgentPart| {
            let limits = Limits::REGISTRATION;
            let message = parts.lock().unwrap().take(part.into(), limits.bytes);
            let answer = match message.unwrap() {
                None => AgentRegistration::default(),
                Some(message) => {
                    let request = msgpack::decode(&message, &limits).unwrap();
                    joined.lock().unwrap().push(Took::Joined(request));
                    answer()
                }
            };
            Box::pin(async { Ok(answer) })
        })
        .build()
}

/// With so many labels of so many bytes, on its executors.
fn request(labels: usize, bytes: usize) -> RegisterAgent {
    let label = Label {
        key: "k".to_owned(),
        value: Some("v".repeat(bytes)),
    };
    let executor = ExecutorInfo {
        labels: Some(Labels {
            labels: vec![label; labels],
        }),
        ..ExecutorInfo::default()
    };
    RegisterAgent {
        executors: vec![executor],
        ..RegisterAgent::default()
    }
}

#[tokio::test]
async fn a_registration_gets_through_whatever_its_size() {
    let took = Arc::default();
    let bridge = |role, router| Bridge::new(Settings::default(), Arc::new(Side(role, router)));
    let master = bridge(Role::Master, Arc::new(master(&took)));
    let agent = bridge(Role::Agent, Arc::default());
    let (peer, _other) = memory_pair(&agent, &master).await.unwrap();
    let to_master = ToMaster(peer);
    // Small; larger than is looked at; 40 MiB; few bytes, but more items than a frame may have.
    for (labels, bytes, is_whole) in [
        (1, 1, true),
        (10, 1 << 20, true),
        (40, 1 << 20, false),
        (300_000, 1, false),
    ] {
        let request = request(labels, bytes);
        assert_eq!(to_master.ask(request.clone()).await, Ok(answer()));
        let expected = match is_whole {
            true => Took::Whole(request),
            false => Took::Joined(request),
        };
        assert!(took.lock().unwrap().pop() == Some(expected), "{labels}");
    }
    let Err(AskError::Refused(text)) = to_master.ask(request(70, 1 << 20)).await else {
        panic!("it is more than a master takes");
    };
    assert!(text.contains("exceeds the limit of 67108864"), "{text}");
    assert!(!to_master.0.is_closed());
}
