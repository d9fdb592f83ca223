use bytes::Bytes;
use proptest::prelude::*;
use tepui_protocol::v1::TaskId;

use super::*;

fn key() -> TaskKey {
    TaskKey {
        framework_id: "f".to_owned(),
        task_id: "t".to_owned(),
    }
}

fn update(number: u8, state: TaskState) -> TaskStatus {
    TaskStatus {
        task_id: TaskId {
            value: "t".to_owned(),
        },
        state: state as i32,
        uuid: Some(Bytes::copy_from_slice(&[number; 16])),
        ..TaskStatus::default()
    }
}

fn streams() -> Streams {
    Streams::new(Duration::from_secs(10), Duration::from_mins(10))
}

#[test]
fn waits_double_up_to_the_longest() {
    let mut streams = streams();
    streams.resume();
    streams.append(&key(), Arc::new(update(1, TaskState::TaskRunning)));
    let mut now = Duration::ZERO;
    let mut waits = Vec::new();
    for _ in 0..8 {
        let forward = streams.due(&key(), now).expect("due");
        waits.push((forward.again_at - now).as_secs());
        now = forward.again_at;
    }
    assert_eq!(waits, [10, 20, 40, 80, 160, 320, 600, 600]);
}

#[test]
fn a_new_head_starts_over_and_a_foreign_acknowledgement_is_ignored() {
    let mut streams = streams();
    streams.resume();
    streams.append(&key(), Arc::new(update(1, TaskState::TaskStarting)));
    streams.append(&key(), Arc::new(update(2, TaskState::TaskRunning)));
    let first = streams.due(&key(), Duration::ZERO).expect("due");
    assert_eq!(streams.due(&key(), Duration::from_secs(9)), None);
    assert_eq!(streams.acknowledge(&key(), [2; 16]), Acknowledged::Ignored);
    let head = Acknowledged::Head {
        ended: false,
        replaces: false,
        again_at: Some(first.again_at),
    };
    assert_eq!(streams.acknowledge(&key(), [1; 16]), head);
    assert_eq!(streams.acknowledge(&key(), [1; 16]), Acknowledged::Ignored);
    let second = streams.due(&key(), Duration::from_secs(9)).expect("due");
    assert_eq!(second.again_at, Duration::from_secs(19));
}

#[derive(Debug, Clone)]
enum Step {
    /// The executor's next update, or an earlier one again.
    Append {
        again: bool,
    },
    Acknowledge {
        of: u8,
    },
    Tick {
        seconds: u64,
    },
    Lost,
    Back,
    /// The agent restarts from what was kept.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => any::<bool>().prop_map(|again| Step::Append { again }),
        4 => (1..12_u8).prop_map(|of| Step::Acknowledge { of }),
        2 => (1..700_u64).prop_map(|seconds| Step::Tick { seconds }),
        1 => Just(Step::Lost),
        1 => Just(Step::Back),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    /// Every update is delivered at least once and in order, and none after the last.
    #[test]
    fn all_arrive_in_order(steps in prop::collection::vec(step(), 1..120), last in 2..10_u8) {
        let mut streams = streams();
        streams.resume();
        let mut now = Duration::ZERO;
        let mut kept: Vec<(TaskStatus, bool)> = Vec::new();
        let mut delivered: Vec<u8> = Vec::new();
        let mut next = 1_u8;
        let state = |number| if number == last { TaskState::TaskFinished } else { TaskState::TaskRunning };
        let mut ended = false;
        let mut run = |step: &Step, streams: &mut Streams| {
            match step {
                Step::Append { again } => {
                    let number = if *again { next.saturating_sub(1).max(1) } else { next };
                    let new = update(number, state(number));
                    match streams.append(&key(), Arc::new(new.clone())) {
                        Appended::Taken => {
                            prop_assert!(number == next && number <= last && !ended);
                            kept.push((new, false));
                            next += 1;
                        }
                        Appended::Duplicate => prop_assert!(number < next),
                        Appended::Closed => prop_assert!(number > last),
                        Appended::Refused => prop_assert!(false, "within the bound"),
                    }
                }
                // Nobody knows the uuid of what was never sent.
                Step::Acknowledge { of } if !delivered.contains(of) => {}
                Step::Acknowledge { of } => {
                    let in_flight = delivered.last() == Some(of);
                    match streams.acknowledge(&key(), [*of; 16]) {
                        Acknowledged::Head { ended: at_end, .. } => {
                            let entry = kept.iter_mut().find(|(_, done)| !done);
                            let (status, done) = entry.expect("a head");
                            prop_assert_eq!(uuid_of(status), Some([*of; 16]));
                            *done = true;
                            ended |= at_end;
                        }
                        Acknowledged::Ignored => {
                            let waits = kept.iter().any(|(status, done)| !done && uuid_of(status) == Some([*of; 16]));
                            prop_assert!(!in_flight || !waits);
                        }
                    }
                }
                Step::Tick { seconds } => now += Duration::from_secs(*seconds),
                Step::Lost => streams.pause(),
                Step::Back => drop(streams.resume()),
                Step::Restart => {
                    *streams = self::streams();
                    if !ended && !kept.is_empty() {
                        streams.restore(key(), Vec::new(), kept.clone());
                    }
                    streams.resume();
                }
            }
            if ended {
                // The agent drops the stream; the core refuses updates of a task it does not know.
                return Ok(true);
            }
            while let Some(forward) = streams.due(&key(), now) {
                let [number, ..] = uuid_of(&forward.status).expect("a uuid");
                let previous = delivered.last().copied().unwrap_or(0);
                prop_assert!(number == previous || number == previous + 1);
                delivered.push(number);
            }
            Ok(false)
        };
        for step in &steps {
            if run(step, &mut streams)? {
                return Ok(());
            }
        }
        // In the end the master comes back and acknowledges what is in flight.
        run(&Step::Back, &mut streams)?;
        while !kept.iter().all(|(_, done)| *done) {
            let head = kept.iter().position(|(_, done)| !done).expect("one waits");
            let of = u8::try_from(head + 1).expect("few");
            prop_assert_eq!(delivered.last(), Some(&of));
            match streams.acknowledge(&key(), [of; 16]) {
                Acknowledged::Head { .. } => kept[head].1 = true,
                Acknowledged::Ignored => prop_assert!(false, "it is in flight"),
            }
            while let Some(forward) = streams.due(&key(), now) {
                delivered.push(uuid_of(&forward.status).expect("a uuid")[0]);
            }
        }
    }
}

#[test]
fn an_update_acknowledged_in_an_earlier_life_is_no_new_one() {
    let mut streams = streams();
    let running = |number| update(number, TaskState::TaskRunning);
    streams.restore(key(), vec![[1; 16]], vec![(running(2), true)]);
    for (uuid, expected) in [
        (1, Appended::Duplicate),
        (2, Appended::Duplicate),
        (3, Appended::Taken),
    ] {
        assert_eq!(streams.append(&key(), Arc::new(running(uuid))), expected);
    }
}

#[test]
fn large_updates_fill_the_room_of_many() {
    let mut streams = streams();
    let large = |number: u8, state, bytes: usize| TaskStatus {
        message: Some("a".repeat(bytes)),
        uuid: Some(Bytes::copy_from_slice(&[number; 16])),
        ..update(0, state)
    };
    let mut append =
        |number, state, bytes| streams.append(&key(), Arc::new(large(number, state, bytes)));
    let (running, third) = (TaskState::TaskRunning, MAX_PENDING_BYTES / 3 - 1000);
    for number in 0..4 {
        assert_eq!(append(number, running, third), Appended::Taken);
    }
    assert_eq!(append(4, running, third), Appended::Refused);
    assert_eq!(append(5, running, 100), Appended::Taken);
    assert_eq!(append(6, TaskState::TaskFailed, third), Appended::Taken);
}

#[test]
fn the_end_of_a_task_is_taken_however_many_updates_wait() {
    let mut streams = streams();
    let numbered = |number: usize, state| TaskStatus {
        uuid: Some(Bytes::copy_from_slice(&(number as u128).to_be_bytes())),
        ..update(0, state)
    };
    let mut append = |number, state| streams.append(&key(), Arc::new(numbered(number, state)));
    for number in 0..MAX_PENDING_UPDATES {
        assert_eq!(append(number, TaskState::TaskRunning), Appended::Taken);
    }
    let next = MAX_PENDING_UPDATES;
    assert_eq!(append(next, TaskState::TaskRunning), Appended::Refused);
    assert_eq!(append(next + 1, TaskState::TaskFinished), Appended::Taken);
    assert_eq!(append(next + 2, TaskState::TaskRunning), Appended::Closed);
}
