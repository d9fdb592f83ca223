use super::{stage::*, *};
use crate::{
    dice::Dice,
    reply::{Body, Found},
    request::{ReadKind, Request},
};

/// What a detector knows, and how it keeps up: it lists again when told, and reads the first.
struct Detector {
    connection: ConnectionId,
    session: i64,
    password: [u8; PASSWORD_BYTES],
    leader: Option<Vec<u8>>,
}

impl Detector {
    fn look(&mut self, stage: &mut Stage) {
        let children = names(stage.ask(self.connection, read(ReadKind::Children, "/mesos", true)));
        self.leader = children.into_iter().min().map(|name| {
            match stage.ask(
                self.connection,
                read(ReadKind::Data, &format!("/mesos/{name}"), false),
            ) {
                Ok(Body::Found(Found::Data(data, _))) => data.to_vec(),
                other => panic!("{other:?}"),
            }
        });
    }

    /// To another endpoint or to the same, as ZooKeeper's own client: the watch is set again, nothing is read unless told.
    fn move_to(&mut self, stage: &mut Stage, seen: i64) {
        let (connection, _, session, _) = stage.connect(self.session, &self.password);
        assert_eq!(session, self.session);
        self.connection = connection;
        let request = Request::SetWatches {
            relative_zxid: seen,
            data: vec![],
            exist: vec![],
            child: vec!["/mesos".to_owned()],
        };
        let (events, _) = stage.ask_all(connection, request);
        if !events.is_empty() {
            self.look(stage);
        }
    }
}

#[test]
fn a_detector_always_knows_what_its_endpoint_knows() {
    let mut dice = Dice(3);
    for _case in 0..300 {
        let mut stages = [Stage::new(2), Stage::new(4)];
        let (connection, _, session, password) = stages[0].connect(0, &[0; 16]);
        let mut detector = Detector {
            connection,
            session,
            password,
            leader: None,
        };
        detector.look(&mut stages[0]);
        let (mut term, mut at) = (0, 0);
        for _step in 0..40 {
            match dice.roll(4) {
                0 => {
                    let seen = stages[at].core.tree.zxid();
                    at = dice.roll(2);
                    detector.move_to(&mut stages[at], seen);
                }
                1 => term += dice.next() % 3,
                _ => {
                    let all = ["a", "b", "c"];
                    let leader = Some(all[dice.roll(3)]).filter(|_| dice.roll(3) > 0);
                    let told = members(term, leader, &all[..dice.roll(3)]);
                    // One endpoint may hear of it and the other not, or later.
                    stages[dice.roll(2)].feed(Input::Members(told));
                }
            }
            if !stages[at].events(detector.connection).is_empty() {
                detector.look(&mut stages[at]);
            }
            let tree = &stages[at].core.tree;
            let names = tree.get("/mesos").map(crate::tree::Node::children).unwrap();
            let truth = names
                .first()
                .map(|name| tree.get(&format!("/mesos/{name}")).unwrap().data().to_vec());
            assert_eq!(detector.leader, truth);
        }
    }
}

/// Tables are checked by the core itself after each input.
#[test]
fn any_inputs_are_answered_once_each_or_the_connection_ends() {
    let mut dice = Dice(4);
    for _case in 0..300 {
        let mut stage = Stage::new(dice.next() as u16);
        let mut unanswered: BTreeMap<ConnectionId, usize> = BTreeMap::new();
        for _step in 0..120 {
            let connection = ConnectionId(dice.next() % (stage.last + 2));
            let is_open = stage.core.connections.contains_key(&connection);
            let mut asked = None;
            match dice.roll(12) {
                0 | 1 => _ = stage.open(),
                2 => stage.feed(Input::Closed { connection }),
                3 => stage.wait(Duration::from_secs(dice.next() % 12)),
                4 => {
                    let leader = Some("a").filter(|_| dice.roll(2) > 0);
                    stage.feed(Input::Members(members(dice.next() % 5, leader, &["b"])));
                }
                5 | 6 => {
                    let frame = [vec![0; 16], dice.bytes(8), vec![0; 24]].concat();
                    let request = ConnectRequest::decode(&frame).unwrap();
                    let fresh = dice.next() % 4;
                    stage.feed(Input::Connect {
                        connection,
                        request,
                        fresh,
                    });
                    asked = Some(connection);
                }
                _ => {
                    let operation = [3, 4, 8, 12, 18, 101, -11, 11, 1, 22, 100][dice.roll(11)];
                    let path = ["/", "/mesos", "/mesos/json.info_0000000100", "/x"][dice.roll(4)];
                    let mut frame = [
                        5_i32.to_be_bytes(),
                        i32::to_be_bytes(operation),
                        (path.len() as i32).to_be_bytes(),
                    ]
                    .concat();
                    frame.extend(path.bytes());
                    frame.extend(dice.bytes(20));
                    let numbered = Numbered::decode(&frame).unwrap();
                    stage.feed(Input::Request {
                        connection,
                        numbered,
                    });
                    asked = Some(connection);
                }
            }
            if let Some(connection) = asked.filter(|_| is_open) {
                *unanswered.entry(connection).or_default() += 1;
            }
            for (connection, sent) in &mut stage.sent {
                let answers = sent.drain(..).filter(Outgoing::is_answer).count();
                let left = unanswered.entry(*connection).or_default();
                *left = left
                    .checked_sub(answers)
                    .expect("no answer without a request");
            }
            unanswered.retain(|connection, left| {
                assert!(*left == 0 || !stage.core.connections.contains_key(connection));
                *left > 0
            });
        }
    }
}
