use tepui_kit::{Ask, Message, Tell, TellError, stage::TestStage};

use super::*;

struct Noise;
impl Message for Noise {
    type Reply = ();
}

struct Deaf;
impl Actor for Deaf {
    const NAME: &'static str = "deaf";
}
impl Handler<Noise> for Deaf {
    fn handle(&mut self, _: Noise, _: &mut Context<Self>) {}
}

#[test]
fn what_a_full_mailbox_refused_is_on_record() {
    TestStage::run(1, async |stage| {
        let directory = stage.directory().clone();
        let recorder = stage
            .spawn()
            .start_once(move || DeadLetters::new(directory));
        let deaf = stage.spawn().capacity(2).start_once(|| Deaf);
        let refused = (0..5)
            .filter(|_| deaf.tell(Noise) == Err(TellError::Full))
            .count();
        assert_eq!(refused, 3);
        stage.advance(Duration::from_secs(2)).await;
        let losses = recorder.ask(GetLosses).await.expect("the recorder lives");
        assert_eq!(losses.len(), 1);
        assert_eq!(
            (
                losses[0].mailbox.as_str(),
                losses[0].refused,
                losses[0].lost
            ),
            ("deaf", 3, 0)
        );
    });
}
