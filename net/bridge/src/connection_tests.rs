use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use tepui_protocol::message::{Ask, AskError, Tell, TellError, Wire};

use super::*;
use crate::{
    handshake::{Role, Versions},
    settings::Overflow,
    testing::{
        Blob, Chatter, Double, Event, Hang, Inflate, Note, Puppet, Scene, Stranger, next, settings,
        sides,
    },
};

type Answered = Result<u64, AskError>;

#[tokio::test(start_paused = true)]
async fn both_sides_tell_and_ask_in_order() {
    let ((agent, _agent_events), (master, mut events)) = sides(Settings::default());
    let (to_master, to_agent) = memory_pair(&agent, &master).await.unwrap();
    assert_eq!(next(&mut events).await, Event::Connected("agent-1".into()));
    assert_eq!(to_master.remote().role, Role::Master);
    for number in 0..10_000 {
        to_master.tell(Note(number)).unwrap();
    }
    for number in 0..10_000 {
        assert_eq!(next(&mut events).await, Event::Noted(number));
    }
    assert_eq!(to_agent.ask(Double(21)).await, Ok(42));
    let text = "too large".to_owned();
    let refused: Answered = to_master.ask(Double(u64::MAX)).await;
    assert_eq!(refused, Err(AskError::Refused(text)));
    let stats = to_master.stats();
    assert_eq!((stats.queue_depth, stats.accepted), (0, 10_001 + 1));
    assert_eq!((stats.queue_oldest_ms, stats.refused), (None, 0));
    assert!(serde_json::to_value(&stats).unwrap()["bytes_out"].as_u64() > Some(160_000));
}

#[tokio::test(start_paused = true)]
async fn idle_peers_stay_connected_and_a_silent_one_does_not() {
    let ((agent, _), (master, mut events)) = sides(settings());
    let (to_master, to_agent) = memory_pair(&agent, &master).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert!(!to_master.is_closed() && !to_agent.is_closed());
    assert!(to_agent.stats().heard_ago_ms <= 5_000);
    to_master.close("done");
    let farewell = Reason::ClosedThere("done".to_owned());
    assert_eq!(to_agent.closed().await.reason, farewell);

    let began = tokio::time::Instant::now();
    let (_puppet, peer) = Puppet::connect(&master, 4 << 10).await;
    let end = peer.closed().await;
    assert_eq!(end.reason, Reason::Silent(Duration::from_secs(15)));
    assert!(end.silent());
    assert_eq!(began.elapsed().as_secs(), 15);
    while next(&mut events).await != Event::Disconnected(end.clone()) {}
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_and_may_cut() {
    for overflow in [Overflow::Refuse, Overflow::CutPeer] {
        let settings = Settings {
            overflow,
            ..settings()
        };
        let (_, (master, _events)) = sides(settings);
        let (_puppet, peer) = Puppet::connect(&master, 256).await;
        // The puppet reads nothing: 64 are taken, wherever between queue and socket they are.
        let taken = (0..1_000)
            .take_while(|number| peer.tell(Blob(vec![*number as u8; 300].into())).is_ok())
            .count();
        assert_eq!(taken, 64);
        match overflow {
            Overflow::Refuse => {
                tokio::time::sleep(Duration::from_secs(3)).await;
                let stats = peer.stats();
                assert_eq!((stats.refused, stats.queue_depth), (1, 64));
                assert_eq!(stats.queue_oldest_ms, Some(3_000));
                assert!(!peer.is_closed());
            }
            Overflow::CutPeer => {
                assert_eq!(peer.tell(Note(1)), Err(TellError::Closed));
                assert_eq!(peer.closed().await.reason, Reason::Overflow);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_bounded_in_bytes_and_a_stalled_peer_is_silent() {
    let (_, (master, _events)) = sides(settings());
    let (mut puppet, peer) = Puppet::connect(&master, 1 << 10).await;
    let mut taken = 0;
    while peer.tell(Blob(vec![0; 100_000].into())).is_ok() {
        taken += 1;
        tokio::task::yield_now().await;
    }
    assert_eq!(taken, 3);
    // It goes on heartbeating, but takes nothing.
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(4)).await;
        puppet.send(FrameType::Heartbeat, 0, 0, &[]).await;
    }
    let end = peer.closed().await;
    assert_eq!(end.reason, Reason::Stalled(Duration::from_secs(15)));
    assert!(end.silent());
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_to_send_is_named_and_harms_nobody() {
    let ((agent, _), (master, mut events)) = sides(settings());
    let (to_master, _) = memory_pair(&agent, &master).await.unwrap();
    next(&mut events).await;
    to_master.tell(Blob(vec![0; 2 << 20].into())).unwrap();
    to_master.tell(Blob(vec![0; 1_000_000].into())).unwrap();
    assert_eq!(next(&mut events).await, Event::Blob(1_000_000));
    let Err(AskError::Refused(text)) = to_master.ask(Inflate(1 << 20)).await else {
        panic!("the answer exceeds the limit");
    };
    assert!(
        text.contains("exceeds the bridge's limit of 1048576"),
        "{text}"
    );
    assert_eq!(to_master.stats().unsendable, 1);
}

fn cutting() -> Settings {
    Settings {
        overflow: Overflow::CutPeer,
        ..settings()
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_owed_and_too_large_cuts_where_a_full_queue_does() {
    let ((agent, _), (master, _events)) = sides(cutting());
    let (to_master, _) = memory_pair(&agent, &master).await.unwrap();
    to_master.tell(Chatter(vec![0; 2 << 20].into())).unwrap();
    let Err(AskError::Refused(_)) = to_master.ask(Inflate(1 << 20)).await else {
        panic!("the answer exceeds the limit");
    };
    assert!(!to_master.is_closed(), "nothing that is owed was lost");
    to_master.tell(Blob(vec![0; 2 << 20].into())).unwrap();
    let Reason::Unsendable(text) = to_master.closed().await.reason else {
        panic!("the loss went unnoticed");
    };
    assert!(text.starts_with("message 1904 of 20971"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn what_is_of_best_effort_neither_cuts_nor_crowds_out_the_rest() {
    for size in [1, 100_000] {
        let (_, (master, _events)) = sides(cutting());
        let (mut puppet, peer) = Puppet::connect(&master, 256).await;
        let mut taken = 0;
        for _ in 0..1_000 {
            taken += u32::from(peer.tell(Chatter(vec![0; size].into())).is_ok());
            tokio::task::yield_now().await;
        }
        assert!(taken < 64, "{taken}");
        // The rest has what it has while nobody chatters.
        for number in 0..30 {
            peer.tell(Note(number)).unwrap();
            tokio::task::yield_now().await;
        }
        let mut notes = 0;
        while notes < 30 {
            let frame = puppet.receive().await.expect("the connection lives");
            notes += u64::from(frame.kind == Note::KIND);
        }
        assert_eq!(peer.stats().queue_depth, 0);
        peer.tell(Chatter(vec![0; 1].into())).unwrap();
    }
}

/// Told in one go, so that the queue cannot know yet how large they are.
#[tokio::test(start_paused = true)]
async fn a_burst_of_best_effort_is_bounded_in_bytes_too() {
    let (_, (master, _events)) = sides(cutting());
    let (mut puppet, peer) = Puppet::connect(&master, 256).await;
    for _ in 0..20 {
        peer.tell(Chatter(vec![0; 100_000].into())).unwrap();
    }
    peer.tell(Note(1)).unwrap();
    let mut arrived = 0;
    while puppet.receive().await.unwrap().kind != Note::KIND {
        arrived += 1;
    }
    assert!((2..20).contains(&arrived), "{arrived}");
    let stats = peer.stats();
    assert_eq!(stats.refused, 20 - arrived);
    assert_eq!(stats.queue_depth, 0);
}

#[tokio::test(start_paused = true)]
async fn oversize_and_garbage_close_the_connection() {
    let (_, (master, _events)) = sides(settings());
    let (mut puppet, peer) = Puppet::connect(&master, 4 << 10).await;
    let mut header = BytesMut::new();
    frame::put(&mut header, FrameType::Tell, 1, 0, &[]);
    header[..4].copy_from_slice(&u32::MAX.to_be_bytes());
    puppet.stream.write_all(&header).await.unwrap();
    let Reason::Garbage(FrameError::TooLarge { limit, .. }) = peer.closed().await.reason else {
        panic!("a frame of 4 GiB was taken");
    };
    assert_eq!(limit, 1 << 20);
    while puppet.receive().await.is_some() {}

    let (mut puppet, peer) = Puppet::connect(&master, 4 << 10).await;
    puppet.stream.write_all(&[0xab; 64]).await.unwrap();
    let garbage = Reason::Garbage(FrameError::Mark(0xab));
    assert_eq!(peer.closed().await.reason, garbage);

    let (mut puppet, peer) = Puppet::connect(&master, 4 << 10).await;
    puppet.send(FrameType::Hello, 0, 0, &[]).await;
    let misplaced = Reason::Garbage(FrameError::Misplaced(FrameType::Hello));
    assert_eq!(peer.closed().await.reason, misplaced);
}

#[tokio::test(start_paused = true)]
async fn unknown_kinds_and_unreadable_messages_are_survived() {
    let ((agent, _), (master, mut events)) = sides(settings());
    let (to_master, to_agent) = memory_pair(&agent, &master).await.unwrap();
    next(&mut events).await;
    to_master.tell(Stranger(1)).unwrap();
    let Err(AskError::Refused(text)) = to_master.ask(Stranger(2)).await else {
        panic!("nobody answers a stranger");
    };
    assert_eq!(
        text,
        "message 1905 is not known here: upgrade this side, or do without"
    );
    assert_eq!(to_agent.stats().unknown_kind, 2);

    let (mut puppet, peer) = Puppet::connect(&master, 4 << 10).await;
    next(&mut events).await;
    puppet.send(FrameType::Tell, Note::KIND, 0, &[0xc1]).await;
    puppet
        .send(FrameType::Ask, Double::KIND, 9, b"nonsense")
        .await;
    let failure = puppet.receive().await.unwrap();
    assert_eq!(
        (failure.frame_type, failure.correlation),
        (FrameType::Failure, 9)
    );
    assert!(failure.text().starts_with("message 1902 cannot be read"));
    assert_eq!(peer.stats().undecodable, 2);
    to_master.tell(Note(3)).unwrap();
    assert_eq!(next(&mut events).await, Event::Noted(3));
}

#[tokio::test(start_paused = true)]
async fn asks_time_out_and_fail_when_the_connection_breaks() {
    let settings = Settings {
        asks_out: 2,
        asks_in: 1,
        ..settings()
    };
    let ((agent, _), (master, _events)) = sides(settings);
    let (to_master, to_agent) = memory_pair(&agent, &master).await.unwrap();
    let began = tokio::time::Instant::now();
    assert_eq!(to_master.ask(Hang(1)).await, Err(AskError::Timeout));
    assert_eq!(began.elapsed().as_secs(), 10);
    assert_eq!(to_master.stats().asks_waiting, 0);
    // The other side still works on the first, and its bound is one.
    let Err(AskError::Refused(text)) = to_master.ask(Hang(2)).await else {
        panic!("the bound of questions does not hold");
    };
    assert!(text.starts_with("1 questions are being answered"), "{text}");

    let (mut puppet, peer) = Puppet::connect(&master, 4 << 10).await;
    let questions = [1, 2].map(|number| peer.ask(Double(number)));
    let full: Answered = peer.ask(Double(3)).await;
    assert_eq!(full, Err(AskError::Full));
    let [first, second] = questions;
    drop(first);
    assert_eq!(peer.stats().asks_waiting, 1);
    assert!(puppet.receive().await.is_some());
    drop(puppet);
    assert_eq!(second.await, Err(AskError::Closed));
    assert_eq!(peer.ask(Double(4)).await, Err(AskError::Closed));
    assert!(matches!(peer.closed().await.reason, Reason::Lost(_)));

    let pending = to_agent.ask(Hang(1));
    to_agent.close("enough");
    assert_eq!(pending.await, Err(AskError::Closed));
    assert_eq!(to_master.tell(Note(1)), Err(TellError::Closed));
}

#[tokio::test(start_paused = true)]
async fn what_was_told_before_the_close_arrives() {
    let ((agent, _), (master, mut events)) = sides(Settings::default());
    let (to_master, to_agent) = memory_pair(&agent, &master).await.unwrap();
    for number in 0..5_000 {
        to_master.tell(Note(number)).unwrap();
    }
    to_master.close("going home");
    assert_eq!(to_master.tell(Note(0)), Err(TellError::Closed));
    next(&mut events).await;
    for number in 0..5_000 {
        assert_eq!(next(&mut events).await, Event::Noted(number));
    }
    let end = to_agent.closed().await;
    assert_eq!(end.reason, Reason::ClosedThere("going home".to_owned()));
    assert!(!end.silent());
    assert_eq!(next(&mut events).await, Event::Disconnected(end));
}

/// What an agent registers with at the next master is then after all it was ordered by the last.
#[tokio::test(start_paused = true)]
async fn nothing_is_routed_once_the_end_was_told() {
    let ((agent, _), (master, mut events)) = sides(Settings::default());
    let (to_master, to_agent) = memory_pair(&agent, &master).await.unwrap();
    for number in 0..5_000 {
        to_master.tell(Note(number)).unwrap();
    }
    next(&mut events).await;
    assert_eq!(next(&mut events).await, Event::Noted(0));
    to_agent.close("enough");
    let end = to_agent.closed().await;
    while next(&mut events).await != Event::Disconnected(end.clone()) {}
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(events.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_close_does_not_wait_for_a_peer_that_reads_nothing() {
    let (_, (master, _events)) = sides(settings());
    let (_puppet, peer) = Puppet::connect(&master, 128).await;
    peer.tell(Blob(vec![0; 10_000].into())).unwrap();
    let began = tokio::time::Instant::now();
    peer.close("bye");
    let here = Reason::ClosedHere("bye".to_owned());
    assert_eq!(peer.closed().await.reason, here);
    assert_eq!(began.elapsed(), Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn both_sides_see_the_words_of_a_refusal() {
    let (agent, _) = Scene::new(Role::Agent);
    agent.hello.lock().unwrap().versions = Versions { min: 7, max: 7 };
    let agent = Bridge::new(settings(), agent);
    let (near, far) = tokio::io::duplex(1 << 10);
    let (_, (master, _)) = sides(settings());
    let (here, there) = tokio::join!(
        agent.connect_stream(near, None),
        master.accept_stream(far, None)
    );
    let text = "this master speaks bridge versions 1 to 1, the agent speaks 7: upgrade the master";
    let (here, there) = (
        here.unwrap_err().to_string(),
        there.unwrap_err().to_string(),
    );
    assert!(
        here.starts_with(&format!("the other side refused: {text}")),
        "{here}"
    );
    assert!(
        there.starts_with(&format!("refused the other side: {text}")),
        "{there}"
    );

    let ((agent, _), _) = sides(settings());
    let (strict, _) = Scene::with(Role::Master, false);
    let strict = Bridge::new(settings(), strict);
    let error = memory_pair(&agent, &strict).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the other side refused: agent-1 is not welcome"
    );
    let (wary, _) = Scene::with(Role::Master, false);
    let wary = Bridge::new(settings(), wary);
    let error = memory_pair(&wary, &agent).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "refused the other side: agent-1 was not looked for"
    );
}

#[tokio::test(start_paused = true)]
async fn the_handshake_has_a_deadline_and_small_frames() {
    let (_, (master, _)) = sides(settings());
    let (_near, far) = tokio::io::duplex(1 << 10);
    let error = master.accept_stream(far, None).await.unwrap_err();
    assert!(matches!(error, Error::Deadline(after) if after.as_secs() == 5));

    let (mut near, far) = tokio::io::duplex(1 << 10);
    let mut header = BytesMut::new();
    frame::put(
        &mut header,
        FrameType::Hello,
        0,
        0,
        &vec![0; MAX_HANDSHAKE_BYTES + 1],
    );
    near.write_all(&header[..64]).await.unwrap();
    let error = master.accept_stream(far, None).await.unwrap_err();
    assert!(matches!(error, Error::Frame(FrameError::TooLarge { .. })));

    let (mut near, far) = tokio::io::duplex(1 << 10);
    near.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let error = master.accept_stream(far, None).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("does the address belong to something else")
    );
}

/// Random bytes after the handshake, in random pieces: whatever they are, the connection ends or lives, and is counted.
#[tokio::test(start_paused = true)]
async fn mutated_frames_after_the_handshake_never_panic() {
    let (_, (master, _events)) = sides(settings());
    let mut state = 1u64;
    let mut roll = |sides: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % sides
    };
    for _ in 0..200 {
        let (mut puppet, peer) = Puppet::connect(&master, 64 << 10).await;
        let mut bytes = BytesMut::new();
        for correlation in 0..20 {
            let frame_type = [
                FrameType::Tell,
                FrameType::Ask,
                FrameType::Answer,
                FrameType::Failure,
            ];
            let kind = 1_901 + roll(7) as u16;
            let body: Vec<u8> = (0..roll(12)).map(|_| roll(256) as u8).collect();
            // An inflated answer is only as large as the bytes that ask for it allow; keep the number small.
            let body = if kind == Inflate::KIND {
                vec![0x91, 9]
            } else {
                body
            };
            frame::put(
                &mut bytes,
                frame_type[roll(4) as usize],
                kind,
                correlation,
                &body,
            );
        }
        if roll(2) == 0 {
            let at = roll(bytes.len() as u64) as usize;
            bytes[at] = roll(256) as u8;
        }
        puppet.stream.write_all(&bytes).await.unwrap();
        drop(puppet);
        let end = peer.closed().await;
        assert_ne!(end.reason, Reason::Aborted);
        assert!(peer.shared.stats.frames_in.load(Relaxed) <= 20 + 1);
    }
}
