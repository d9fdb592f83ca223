use tepui_bridge::{Bridge, Hello, Role, Service, Settings, memory_pair};
use tepui_kit::{Tell, stage::TestStage};
use tepui_messages::master::StreamLost;
use tepui_protocol::{
    codec::msgpack,
    message::{Ask, AskError},
    parts::{REGISTRATION_PART_BYTES, split},
    v1::AgentInfo,
};

use super::*;

/// The master's side, with its agents.
struct Edge(Agents);

impl Service for Edge {
    fn hello(&self) -> Hello {
        Hello::new(Role::Master, "master", "0")
    }

    fn router(&self, _: &Peer) -> Arc<Router> {
        self.0.router()
    }

    fn on_connect(&self, peer: &Peer) {
        assert!(self.0.enter(peer));
    }

    fn on_disconnect(&self, peer: &Peer, end: &Disconnect) {
        self.0.leave(peer, end);
    }
}

/// An agent's side, which is told nothing.
struct Agent;

impl Service for Agent {
    fn hello(&self) -> Hello {
        Hello::new(Role::Agent, "agent", "0")
    }

    fn router(&self, _: &Peer) -> Arc<Router> {
        Arc::default()
    }
}

/// Both ends of a connection: the agent's, and that of the master, which may not run.
async fn connected(stage: &TestStage, master: &Link<Master>) -> (Peer, Peer) {
    let edge = Edge(Agents::new(master, stage.directory()));
    let bridge = Bridge::new(Settings::default(), Arc::new(edge));
    let agent = Bridge::new(Settings::default(), Arc::new(Agent));
    memory_pair(&agent, &bridge).await.unwrap()
}

#[test]
fn a_registration_in_parts_reaches_the_master_whole() {
    TestStage::run(1, async |stage| {
        let prepared = stage.spawn().capacity(2).prepare::<Master>();
        let master = prepared.link();
        let (to_master, _to_agent) = connected(stage, &master).await;
        let register = async |request: &node::RegisterAgent| {
            let message = msgpack::encode(request).unwrap().into();
            let mut answers = Vec::new();
            for part in split(&message, REGISTRATION_PART_BYTES) {
                answers.push(to_master.ask(node::RegisterAgentPart::from(part)).await);
            }
            answers
        };
        let mut request = node::RegisterAgent {
            agent_info: AgentInfo {
                hostname: "x".repeat(40 << 20),
                ..AgentInfo::default()
            },
            ..node::RegisterAgent::default()
        };
        let mut answers = register(&request).await;
        // The master has it, and does not run here to answer.
        assert_eq!(master.depth(), 1);
        assert_eq!(answers.pop(), Some(Err(AskError::Timeout)));
        assert_eq!(answers.len(), 10);
        let empty = node::AgentRegistration::default();
        assert!(answers.into_iter().all(|it| it == Ok(empty.clone())));

        request.agent_info.hostname = "x".repeat(65 << 20);
        let answers = register(&request).await;
        assert!(matches!(&answers[16], Err(AskError::Refused(text)) if text.contains("limit")));
        assert_eq!(master.depth(), 1);
    });
}

#[test]
fn a_lost_agent_is_told_to_a_master_whose_mailbox_is_full() {
    TestStage::run(1, async |stage| {
        let prepared = stage.spawn().capacity(1).prepare::<Master>();
        let master = prepared.link();
        let (to_master, to_agent) = connected(stage, &master).await;
        let stream_id = "busy".to_owned();
        master.tell(StreamLost { stream_id }).unwrap();
        to_master.close("the agent ends");
        to_agent.closed().await;
        assert_eq!(master.depth(), 2);
    });
}

#[test]
fn an_agent_whose_last_word_finds_no_room_is_to_return() {
    TestStage::run(1, async |stage| {
        let prepared = stage.spawn().capacity(1).prepare::<Master>();
        let master = prepared.link();
        let (to_master, _to_agent) = connected(stage, &master).await;
        // The second finds no room, and will be told anew.
        for _ in 0..2 {
            let lent = node::OversubscribedResources::default();
            to_master.tell(lent).unwrap();
        }
        to_master.tell(node::ExecutorExited::default()).unwrap();
        to_master.closed().await;
        // With the end of the connection.
        assert_eq!(master.depth(), 2);
    });
}
