use std::time::Duration;

use futures_util::FutureExt;
use tepui_kit::{Ask, Link, OnPanic, Tell, stage::TestStage};
use tepui_messages::view::Encoding;
use tokio::sync::mpsc;

use super::*;
use crate::scene;

fn change(number: u64) -> Numbered {
    let change = match number {
        1 => scene::elected("068"),
        _ => Change::FrameworkAdded(scene::framework(&number.to_string(), &["dev"])),
    };
    Numbered { number, change }
}

fn start(stage: &TestStage) -> Link<View> {
    let spawn = stage.spawn().on_panic(OnPanic::Stop);
    spawn.start(|| View::new(ViewConfig::default()))
}

fn frameworks(after: u64) -> Query {
    let question = Question::Frameworks { framework_id: None };
    Query {
        after,
        question,
        viewer: None,
        seat: None,
    }
}

fn count(body: &[u8]) -> usize {
    let answer: Value = serde_json::from_slice(body).unwrap();
    answer["frameworks"].as_array().unwrap().len()
}

#[test]
fn a_question_waits_for_the_change_it_must_see() {
    TestStage::run(1, async |stage| {
        let view = start(stage);
        view.tell(Follow(vec![change(1), change(2)])).unwrap();
        assert_eq!(count(&view.ask(frameworks(2)).await.unwrap()), 1);
        let mut waiting = view.ask(frameworks(4));
        stage.settle().await;
        assert!((&mut waiting).now_or_never().is_none());
        view.tell(Follow(vec![change(3), change(4), change(5)]))
            .unwrap();
        assert_eq!(count(&waiting.await.unwrap()), 4);
        // The same question after another change has another answer.
        view.tell(Follow(vec![change(6)])).unwrap();
        assert_eq!(count(&view.ask(frameworks(0)).await.unwrap()), 5);
    });
}

#[test]
fn an_answer_that_is_kept_is_given_to_its_viewer_alone() {
    TestStage::run(4, async |stage| {
        let view = start(stage);
        view.tell(Follow(vec![change(1), change(2)])).unwrap();
        let acls = r#"{"view_frameworks": [{"principals": {"values": ["eve"]}, "users": {"type": "NONE"}}]}"#;
        let acls = std::sync::Arc::new(tepui_protocol::acls::Acls::from_json(acls).unwrap());
        let asked_by = |principal: &str| Query {
            viewer: Some(Subject {
                acls: std::sync::Arc::clone(&acls),
                principal: Some(principal.to_owned()),
            }),
            ..frameworks(2)
        };
        // Twice, so that each finds what the others left.
        for _ in 0..2 {
            assert_eq!(count(&view.ask(frameworks(2)).await.unwrap()), 1);
            assert_eq!(count(&view.ask(asked_by("eve")).await.unwrap()), 0);
            assert_eq!(count(&view.ask(asked_by("ops")).await.unwrap()), 1);
        }
    });
}

#[test]
fn an_answer_is_kept_for_a_moment_only() {
    TestStage::run(5, async |stage| {
        let view = start(stage);
        view.tell(Follow(vec![change(1), change(2)])).unwrap();
        let repeated = async || {
            view.ask(frameworks(2)).await.unwrap();
            let metrics = Query {
                question: Question::Metrics,
                ..frameworks(2)
            };
            let body = view.ask(metrics).await.unwrap();
            serde_json::from_slice::<Value>(&body).unwrap()["master/http_cache_hits"].clone()
        };
        assert_eq!(repeated().await, 0.0);
        stage.advance(KEPT_FOR / 2).await;
        assert_eq!(repeated().await, 1.0);
        stage.advance(KEPT_FOR).await;
        assert_eq!(repeated().await, 1.0);
        assert_eq!(repeated().await, 2.0);
        stage.advance(KEPT_FOR).await;
        assert_eq!(repeated().await, 2.0);
    });
}

#[test]
fn questions_beyond_the_bound_are_refused() {
    TestStage::run(2, async |stage| {
        let view = start(stage);
        let mut waiting = Vec::new();
        for _ in 0..MAX_WAITING {
            waiting.push(view.ask(frameworks(1)));
            stage.settle().await;
        }
        assert!(view.ask(frameworks(1)).await.is_err());
        view.tell(Follow(vec![change(1)])).unwrap();
        for answer in waiting {
            answer.await.unwrap();
        }
    });
}

#[test]
fn watchers_get_a_heartbeat_at_once_and_then_every_fifteen_seconds() {
    TestStage::run(3, async |stage| {
        let view = start(stage);
        view.tell(Follow(vec![change(1)])).unwrap();
        let (records, mut stream) = mpsc::channel(16);
        let encoding = Encoding::Json;
        let watch = Watch {
            encoding,
            viewer: None,
            records,
            waiting: Default::default(),
            seat: None,
        };
        view.tell(watch).unwrap();
        stage.settle().await;
        let mut arrived = || {
            let mut texts = Vec::new();
            while let Ok(record) = stream.try_recv() {
                texts.push(String::from_utf8(record.to_vec()).unwrap());
            }
            texts
        };
        let first = arrived();
        assert!(first[0].contains(r#"{"type":"SUBSCRIBED""#), "{first:?}");
        assert_eq!(first[1..], ["20\n{\"type\":\"HEARTBEAT\"}"]);
        stage.advance(Duration::from_secs(14)).await;
        assert!(arrived().is_empty());
        stage.advance(Duration::from_secs(17)).await;
        assert_eq!(arrived().len(), 2);
        view.tell(Follow(vec![change(2)])).unwrap();
        stage.settle().await;
        assert!(arrived()[0].contains("FRAMEWORK_ADDED"));
        // A new run of a master ends the streams of the last.
        view.tell(Follow(vec![change(1)])).unwrap();
        stage.settle().await;
        assert!(arrived().is_empty());
        assert!(stream.is_closed());
    });
}

#[test]
fn a_gap_in_the_stream_is_a_broken_invariant() {
    TestStage::run(4, async |stage| {
        let view = start(stage);
        let quiet = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        view.tell(Follow(vec![change(1), change(3)])).unwrap();
        stage.settle().await;
        std::panic::set_hook(quiet);
        assert!(view.is_closed());
    });
}
