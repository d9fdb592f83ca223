use tepui_registry::MemberRecord;

use super::*;

fn registry(ids: &[u64]) -> Registry {
    let members = ids.iter().map(|id| founder(*id));
    Registry {
        members: members
            .map(|(id, name, address)| (id, MemberRecord::new(name, address)))
            .collect(),
        last_member_id: 5,
        ..Registry::default()
    }
}

fn next(ids: &[u64], wish: Wish) -> Option<Command> {
    next_command(&registry(ids), wish, &mut Random::seeded(1))
}

#[test]
fn a_group_grows_by_the_next_id() {
    let command = next(&[1, 2, 3], Wish::Size(5));
    assert!(
        matches!(command, Some(Command::AddMember { name, replace: false, .. }) if name == "m6")
    );
}

#[test]
fn a_group_shrinks_by_one_of_its_own() {
    let command = next(&[1, 2, 4], Wish::Size(1));
    assert!(
        matches!(command, Some(Command::RemoveMember { name }) if ["m1", "m2", "m4"].contains(&name.as_str()))
    );
}

#[test]
fn a_lost_master_is_replaced_once_under_its_name() {
    let command = next(&[1, 2, 3], Wish::Replace(2));
    assert!(
        matches!(command, Some(Command::AddMember { name, replace: true, .. }) if name == "m2")
    );
    assert_eq!(next(&[1, 3, 6], Wish::Replace(2)), None);
}

#[test]
fn what_is_wanted_twice_is_asked_for_once() {
    let wishes = Wishes::default();
    wishes.add(Wish::Replace(1));
    wishes.add(Wish::Replace(1));
    assert_eq!(wishes.count(), 1);
    assert_eq!(next(&[1, 2, 3], Wish::Size(3)), None);
}
