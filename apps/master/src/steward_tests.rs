use tepui_registry::MemberRecord;

use super::*;

struct Scene {
    status: Status,
    registry: Registry,
    reachable: Vec<u64>,
}

/// Member 1 leads `voters`; `members` are wanted.
fn scene(voters: &[u64], learners: &[u64], members: &[u64]) -> Scene {
    let others = voters.iter().chain(learners).filter(|id| **id != 1);
    let member = |id: &u64| {
        let (name, address) = (format!("m{id}"), format!("m{id}:1"));
        let mut record = MemberRecord::new(name, address);
        record.disk = Some(format!("disk-{id}"));
        (*id, record)
    };
    Scene {
        status: Status {
            node_id: 1,
            voters: voters.to_vec(),
            learners: learners.to_vec(),
            last_index: 1_000,
            acknowledged: others.map(|id| (*id, 1_000)).collect(),
            ..Status::default()
        },
        registry: Registry {
            members: members.iter().map(member).collect(),
            last_member_id: 9,
            ..Registry::default()
        },
        reachable: (2..=9).collect(),
    }
}

fn next(scene: &Scene) -> Option<Step> {
    next_step(&Sight {
        status: &scene.status,
        registry: &scene.registry,
        founders: vec![(1, "m1".to_owned(), "m1:1".to_owned())],
        own_address: "m1:1".to_owned(),
        own_disk: "disk-1",
        reachable: scene.reachable.clone(),
    })
}

fn change(change: MembershipChange) -> Option<Step> {
    Some(Step::Change(change))
}

fn comes_before_3_leaves(mut scene: Scene, id: u64) {
    assert_eq!(next(&scene), change(MembershipChange::AddLearner(id)));
    scene.status.learners = vec![id];
    scene.status.acknowledged.push((id, 1_000));
    assert_eq!(next(&scene), change(MembershipChange::Promote(id)));
    scene.status.learners.clear();
    scene.status.voters.push(id);
    assert_eq!(next(&scene), change(MembershipChange::Remove(3)));
}

#[test]
fn a_group_that_is_as_it_should_be_is_left_alone() {
    assert_eq!(next(&scene(&[1, 2, 3], &[], &[1, 2, 3])), None);
}

#[test]
fn the_founders_are_written_down_first() {
    let first = next(&scene(&[1, 2, 3], &[], &[]));
    assert!(matches!(
        first,
        Some(Step::Propose(Command::FoundMembers { .. }))
    ));
}

#[test]
fn a_new_member_learns_before_it_votes() {
    let mut scene = scene(&[1], &[], &[1, 4]);
    scene.reachable.clear();
    assert_eq!(next(&scene), None, "it does not run yet");
    scene.reachable = vec![4];
    assert_eq!(next(&scene), change(MembershipChange::AddLearner(4)));
    scene.status.learners = vec![4];
    for (index, expected) in [
        (0, None),
        (100, None),
        (900, change(MembershipChange::Promote(4))),
    ] {
        scene.status.acknowledged = vec![(4, index)];
        assert_eq!(next(&scene), expected, "{index}");
    }
    scene.reachable.clear();
    assert_eq!(
        next(&scene),
        None,
        "a vote that cannot be given is in the way"
    );
}

#[test]
fn who_is_lost_goes_before_who_comes() {
    let mut scene = scene(&[1, 2, 3], &[], &[1, 2, 5]);
    scene.reachable = vec![2, 5];
    assert_eq!(next(&scene), change(MembershipChange::Remove(3)));
}

#[test]
fn who_is_there_goes_after_who_comes_in_its_place() {
    let mut scene = scene(&[1, 2, 3], &[], &[1, 2, 5]);
    scene.reachable = vec![2, 3];
    assert_eq!(next(&scene), None, "5 does not run yet");
    scene.status.acknowledged = vec![(2, 1_000), (3, 0)];
    assert_eq!(next(&scene), None, "3 was not heard of yet");
    scene.status.acknowledged = vec![(2, 1_000), (3, 1_000)];
    scene.reachable.push(5);
    comes_before_3_leaves(scene, 5);
}

#[test]
fn a_group_that_becomes_smaller_waits_for_nobody() {
    let mut scene = scene(&[1, 2, 3, 4, 5], &[], &[1, 2, 3]);
    for id in [4, 5] {
        assert_eq!(next(&scene), change(MembershipChange::Remove(id)));
        scene.status.voters.retain(|it| *it != id);
    }
    assert_eq!(next(&scene), None);
}

#[test]
fn who_is_needed_for_the_majority_leaves_after_another_has_come() {
    // 2 has lost its disk; without 3 nobody could lead any more.
    let mut scene = scene(&[1, 2, 3], &[], &[1, 2, 4]);
    scene.reachable = vec![3, 4];
    comes_before_3_leaves(scene, 4);
}

#[test]
fn a_leader_that_is_to_leave_lets_its_heir_in_first() {
    let mut scene = scene(&[1], &[], &[5]);
    assert_eq!(next(&scene), change(MembershipChange::AddLearner(5)));
    scene.status.learners = vec![5];
    scene.status.acknowledged = vec![(5, 1_000)];
    assert_eq!(next(&scene), change(MembershipChange::Promote(5)));
    scene.status = Status {
        voters: vec![1, 5],
        learners: Vec::new(),
        ..scene.status
    };
    assert_eq!(next(&scene), Some(Step::GiveAway(5)));
}

#[test]
fn a_lost_master_leaves_before_one_that_is_needed() {
    let mut scene = scene(&[1, 2, 3], &[], &[1, 4]);
    scene.reachable = vec![2];
    assert_eq!(next(&scene), change(MembershipChange::Remove(3)));
}

#[test]
fn a_leader_that_is_to_leave_gives_the_lead_to_one_that_stays() {
    let mut scene = scene(&[1, 2, 3], &[], &[2, 3]);
    scene.reachable = vec![3];
    assert_eq!(next(&scene), Some(Step::GiveAway(3)));
    scene.status.acknowledged = vec![(2, 1_000), (3, 10)];
    assert_eq!(next(&scene), None, "nobody could lead at once");
}

#[test]
fn a_founder_that_leads_has_its_disk_written_down() {
    let mut scene = scene(&[1, 2], &[], &[1, 2]);
    let record = |id: u64| MemberRecord::new(format!("m{id}"), format!("m{id}:1"));
    scene.registry.members = [(1, record(1)), (2, record(2))].into();
    let (id, disk) = (1, "disk-1".to_owned());
    let claim = Step::Propose(Command::ClaimMember { id, disk });
    assert_eq!(next(&scene), Some(claim));
}

#[test]
fn a_leader_with_another_address_says_so() {
    let mut scene = scene(&[1], &[], &[1]);
    scene.registry.members = [(1, MemberRecord::new("m1".into(), "old:1".into()))].into();
    let moved = next(&scene);
    assert!(matches!(
        moved,
        Some(Step::Propose(Command::MoveMember { id: 1, .. }))
    ));
}
