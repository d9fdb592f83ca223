//! Who is told of which ends, and what can be removed.

use super::{Ends, LINGER, MAX_ENDS, Removal};
use crate::{guests::GuestState, testing::*};
use tepui_messages::agent::{ContainerEnd, LaunchGuest};

fn ended(status: i32) -> GuestState {
    GuestState::Ended(end(status))
}

fn end(status: i32) -> ContainerEnd {
    ContainerEnd {
        status: Some(status),
        ..ContainerEnd::default()
    }
}

fn removes_sandbox(node: &Node, wanted: &str) -> bool {
    let removes =
        |it: &Effect| matches!(it, Effect::RemoveSandbox { name, .. } if *name == *wanted);
    node.said.iter().any(removes)
}

/// Two tasks in containers within that of their executor.
fn pair() -> (Node, [String; 3]) {
    let mut node = Node::running();
    node.order(group_order(pod(), vec![task("g1"), task("g2")], true));
    let pod_id = node.launched().order.container_id;
    node.on(started(&pod_id, 42));
    let first = node.launched().order.container_id;
    let second = node.launched().order.container_id;
    node.on(started(&first, 43));
    node.on(started(&second, 44));
    (node, [pod_id, first, second])
}

#[test]
fn the_end_of_a_tasks_own_container_is_told_to_those_who_wait_for_it() {
    let mut node = Node::running();
    node.run(task("t"));
    let id = node.start();
    assert_eq!(node.core.container_state(&id), GuestState::Running);
    node.exit(&id, 3 << 8);
    assert_eq!(node.core.container_state(&id), ended(3 << 8));
    node.on(Input::Woke);
    // As in Mesos nothing of it is known later.
    assert_eq!(node.core.container_state(&id), GuestState::Unknown);
    assert_eq!(node.core.removal(&id), Removal::Unknown);
}

#[test]
fn the_end_of_one_within_another_is_known_until_just_after_that_of_the_outermost() {
    let (mut node, [pod_id, first, second]) = pair();
    node.exit(&first, 0);
    node.on(Input::Woke);
    assert_eq!(node.core.container_state(&first), ended(0));
    assert_eq!(node.core.container_state(&second), GuestState::Running);
    node.exit(&pod_id, 0);
    // It ends what is left in it, and only then is its own end known.
    assert_eq!(node.core.container_state(&pod_id), GuestState::Running);
    node.exit(&second, 9);
    assert_eq!(node.core.container_state(&second), ended(9));
    assert_eq!(node.core.container_state(&pod_id), ended(0));
    // Whoever saw their output end is about to ask how.
    node.sleep(LINGER - Duration::from_millis(1));
    assert_eq!(node.core.container_state(&first), ended(0));
    assert_eq!(node.core.container_state(&second), ended(9));
    assert_eq!(node.core.container_state(&pod_id), GuestState::Unknown);
    // Also where nothing comes by which the time is seen.
    node.now.monotonic += Duration::from_millis(1);
    node.core.ends_are_told(node.now);
    for id in [&pod_id, &first, &second] {
        assert_eq!(node.core.container_state(id), GuestState::Unknown);
    }
}

#[test]
fn the_end_of_a_guest_is_told_also_where_it_follows_what_was_around_it() {
    let mut node = Node::running();
    node.run(task("t"));
    let outer = node.start();
    let inner = format!("{outer}.g");
    node.on(Input::LaunchGuest(Box::new(LaunchGuest {
        container_id: inner.clone(),
        command: Some(CommandInfo::default()),
        container: None,
        resources: Vec::new(),
        limits: BTreeMap::new(),
        is_session: false,
    })));
    node.on(started(&inner, 50));
    node.exit(&outer, 0);
    assert_eq!(node.core.container_state(&inner), GuestState::Running);
    assert_eq!(node.core.removal(&inner), Removal::Running);
    node.exit(&inner, 9);
    assert_eq!(node.core.container_state(&inner), ended(9));
    node.sleep(LINGER);
    assert_eq!(node.core.container_state(&inner), GuestState::Unknown);
}

#[test]
fn what_nobody_knows_within_a_container_that_lives_is_removed_already() {
    let (mut node, [pod_id, first, second]) = pair();
    node.exit(&first, 0);
    let unknown = format!("{pod_id}.x");
    for (id, expected) in [
        (first.as_str(), Removal::Possible),
        (&second, Removal::Running),
        (&pod_id, Removal::Running),
        (&unknown, Removal::Possible),
        ("other.x", Removal::UnknownRoot),
        ("other", Removal::Unknown),
    ] {
        assert_eq!(node.core.removal(id), expected, "{id}");
    }
    node.said.clear();
    for container_id in [&first, &unknown] {
        node.on(Input::RemoveGuest {
            container_id: container_id.clone(),
        });
        let (_, name) = container_id.rsplit_once('.').expect("a name");
        assert!(removes_sandbox(&node, name), "{name}");
        assert_eq!(node.core.container_state(container_id), GuestState::Unknown);
        assert_eq!(node.core.removal(container_id), Removal::Possible);
    }
}

#[test]
fn the_ends_of_many_tasks_are_bounded() {
    let mut ends = Ends::default();
    for number in 0..=MAX_ENDS {
        ends.keep(&format!("e.{number}"), end(0));
    }
    assert_eq!(ends.get("e.0"), None);
    assert_eq!(ends.get("e.1"), Some(&end(0)));
    ends.pass_within(Duration::ZERO, "e");
    assert_eq!((ends.kept.len(), ends.order.len()), (0, 0));
    assert_eq!(ends.get("e.1"), Some(&end(0)));
    for number in 0..=MAX_ENDS {
        ends.pass(Duration::ZERO, &format!("f.{number}"), end(0));
    }
    assert_eq!(ends.lingering.len(), MAX_ENDS);
    ends.forget_passing(LINGER);
    assert!(ends.lingering.is_empty());
}
