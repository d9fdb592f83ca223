use crate::member::Input;
use crate::member::tests::{Group, TICK};

/// Ticks after which nobody keeps to a leader's lease any more; each member of the tests draws more.
const LEASE_TICKS: u32 = 10;

/// The leader dies, and who has a connection to it notices.
fn kill_leader(group: &mut Group) -> u64 {
    let leader = group.until_leader();
    group.ticks(6);
    group.crash(leader, 0);
    for id in [1, 2, 3] {
        group.work(id, |member, now| {
            member.handle(now, Input::Unreachable(leader));
        });
    }
    leader
}

fn ticks_until_leader(group: &mut Group) -> u32 {
    let killed = group.now;
    group.until_leader();
    ((group.now - killed).as_nanos() / TICK.as_nanos()) as u32
}

#[test]
fn a_leader_whose_connection_broke_is_replaced_as_soon_as_its_lease_is_over() {
    let mut group = Group::new(&[1, 2, 3]);
    for _ in 0..3 {
        let dead = kill_leader(&mut group);
        let ticks = ticks_until_leader(&mut group);
        // A heartbeat may have come just before, or two ticks ago; the next leader needs a tick to be confirmed.
        assert!(
            (LEASE_TICKS - 2..=LEASE_TICKS + 1).contains(&ticks),
            "{ticks} ticks"
        );
        group.start(dead, &[1, 2, 3]);
        group.ticks(2 * LEASE_TICKS);
    }
}

#[test]
fn a_leader_that_is_merely_silent_is_waited_for_as_long_as_was_drawn() {
    let mut group = Group::new(&[1, 2, 3]);
    let leader = group.until_leader();
    group.ticks(6);
    group.crash(leader, 0);
    let ticks = ticks_until_leader(&mut group);
    assert!(ticks > LEASE_TICKS + 1, "{ticks} ticks");
}

#[test]
fn the_next_in_turn_leads_where_the_first_lacks_what_was_acknowledged() {
    let mut group = Group::new(&[1, 2, 3]);
    let leader = group.until_leader();
    let [first, second] = match leader {
        1 => [2, 3],
        2 => [1, 3],
        _ => [1, 2],
    };
    group.ticks(6);
    group.cut_off = vec![first];
    let mut answer = group.propose(leader, "only the second has it");
    group.deliver(|| false);
    answer.try_recv().unwrap().unwrap();
    group.cut_off.clear();
    group.crash(leader, 0);
    for id in [first, second] {
        group.work(id, |member, now| {
            member.handle(now, Input::Unreachable(leader));
        });
    }
    assert_eq!(group.until_leader(), second);
    assert_eq!(group.lines(second), [b"only the second has it".to_vec()]);
}

#[test]
fn a_leader_that_is_heard_again_stays() {
    let mut group = Group::new(&[1, 2, 3]);
    let leader = group.until_leader();
    let term = group.members[&leader].status().term;
    for id in [1, 2, 3].into_iter().filter(|id| *id != leader) {
        group.work(id, |member, now| {
            member.handle(now, Input::Unreachable(leader));
        });
    }
    group.ticks(5 * LEASE_TICKS);
    assert_eq!(group.until_leader(), leader);
    assert_eq!(group.members[&leader].status().term, term);
}
