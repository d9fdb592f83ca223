use tepui_protocol::parts::{REGISTRATION_PART_BYTES, split};

use super::*;

fn parts(bytes: usize) -> Vec<RegisterAgentPart> {
    let message = Bytes::from(vec![7; bytes]);
    let parts = split(&message, REGISTRATION_PART_BYTES);
    parts.map(RegisterAgentPart::from).collect()
}

#[test]
fn what_one_agent_says_is_bounded_and_forgotten_when_it_is_too_much() {
    let joining = Joining::default();
    for _ in 0..2 {
        let taken = parts(65 << 20).into_iter().map(|it| joining.take(1, it));
        let taken: Result<Vec<_>, String> = taken.collect();
        let text = taken.unwrap_err();
        assert!(text.contains("limit of 67108864 bytes"), "{text}");
        assert_eq!(joining.lock().held, 0);
    }
    let taken = parts(9 << 20)
        .into_iter()
        .map(|it| joining.take(1, it).unwrap());
    let whole: Vec<Bytes> = taken.flatten().collect();
    assert_eq!(whole.iter().map(Bytes::len).collect::<Vec<_>>(), [9 << 20]);
    assert_eq!(joining.lock().held, 0);
}

#[test]
fn what_all_agents_say_is_bounded_and_given_back_with_their_connections() {
    let joining = Joining::default();
    let first = parts(5 << 20).swap_remove(0);
    let held = MAX_HELD_BYTES / REGISTRATION_PART_BYTES;
    let say = |agent: usize| joining.take(agent as u64, first.clone());
    assert!((0..held).all(|agent| say(agent) == Ok(None)));
    assert!(say(held).unwrap_err().contains("try again later"));
    assert_eq!(
        say(0),
        Ok(None),
        "it begins anew, and holds no more than before"
    );
    joining.forget(0);
    joining.forget(0);
    assert_eq!(say(held), Ok(None));
    let second = parts(5 << 20).swap_remove(1);
    assert!(
        joining
            .take(1, second)
            .unwrap_err()
            .contains("try again later")
    );
    assert_eq!(say(0), Ok(None), "what was refused is forgotten");
    (0..=held).for_each(|agent| joining.forget(agent as u64));
    assert_eq!(joining.lock().held, 0);
}
