use tepui_protocol::message::{Ask, AskError, Message};

use super::*;
use crate::{Arbiter, Clock, Context, Handler, System};

struct Where;
impl Message for Where {
    type Reply = String;
}

struct Dweller;
impl Actor for Dweller {
    const NAME: &'static str = "dweller";
}

impl Handler<Where> for Dweller {
    fn handle(&mut self, Where: Where, _: &mut Context<Self>) -> String {
        std::thread::current().name().unwrap_or_default().to_owned()
    }
}

#[test]
fn an_actor_lives_on_the_arbiter_it_is_given() {
    let directory = Directory::new("node", Clock::system());
    System::new().block_on(async {
        let arbiter = Arbiter::new();
        let link = Spawn::new(&directory)
            .arbiter(&arbiter.handle())
            .start(|| Dweller);
        let thread = link.ask(Where).await.unwrap();
        assert_ne!(Some(thread.as_str()), std::thread::current().name());
        assert_eq!(directory.mailbox("dweller").unwrap().thread, thread);

        arbiter.stop();
        arbiter.join().unwrap();
        assert_eq!(link.ask(Where).await, Err(AskError::Closed));
        assert_eq!(directory.mailbox("dweller").unwrap().state, State::Stopped);
    });
}

#[test]
fn a_dead_arbiter_makes_a_failed_actor_not_a_panic() {
    let directory = Directory::new("node", Clock::system());
    System::new().block_on(async {
        let arbiter = Arbiter::new();
        let handle = arbiter.handle();
        arbiter.stop();
        arbiter.join().unwrap();
        let link = Spawn::new(&directory).arbiter(&handle).start(|| Dweller);
        assert_eq!(link.ask(Where).await, Err(AskError::Closed));
        assert_eq!(directory.mailbox("dweller").unwrap().state, State::Failed);
    });
}

#[test]
fn a_mailbox_that_is_never_started_closes() {
    let directory = Directory::new("node", Clock::system());
    let prepared = Spawn::new(&directory).prepare::<Dweller>();
    let link = prepared.link();
    drop(prepared);
    assert!(link.is_closed());
}

#[test]
fn pauses_double_up_to_their_bound() {
    let policy = RestartPolicy::default();
    let pauses = [0, 1, 2, 6, 7, 1_000_000].map(|recent| policy.pause(recent).as_millis());
    assert_eq!(pauses, [100, 200, 400, 6_400, 10_000, 10_000]);
}
