use tepui_registry::MemberRecord;

use super::*;

fn own() -> Identity {
    Identity {
        node_id: 1,
        name: "m1".to_owned(),
        disk: "d".to_owned(),
        founders: (1..=3).map(|id| (id, format!("m{id}"))).collect(),
        cluster_id: None,
    }
}

fn peers() -> BTreeMap<String, String> {
    let names = ["m1", "m2", "m3"];
    names
        .map(|name| (name.to_owned(), format!("{name}:1")))
        .into()
}

/// m1, m2 (moved) and m5, which replaced m3.
fn grown() -> Roster {
    let member = |id, name: &str, address: &str| {
        let (name, address) = (name.to_owned(), address.to_owned());
        (id, MemberRecord::new(name, address))
    };
    let registry = Registry {
        members: [
            member(1, "m1", "m1:1"),
            member(2, "m2", "moved:1"),
            member(5, "m3", "m3:2"),
        ]
        .into(),
        last_member_id: 5,
        ..Registry::default()
    };
    Roster::of(&registry, &own(), &peers())
}

fn claim(name: &str, id: Option<u64>) -> Claim<'_> {
    Claim {
        name,
        id,
        group: "m1,m2,m3",
        same_cluster: true,
    }
}

#[test]
fn founders_count_until_the_registry_has_members() {
    let roster = Roster::of(&Registry::default(), &own(), &peers());
    assert_eq!((roster.id_of("m3"), roster.last_id), (Some(3), 3));
    assert_eq!(roster.members[&2].addresses, ["m2:1"]);
    assert_eq!(grown().id_of("m3"), Some(5));
}

#[test]
fn one_that_has_just_joined_answers_whoever_is_of_its_group() {
    let joined = Identity {
        node_id: 7,
        name: "m7".to_owned(),
        ..own()
    };
    let roster = Roster::of(&Registry::default(), &joined, &peers());
    let verdict = |name, id| roster.judge(&joined, claim(name, Some(id)), false);
    assert_eq!(verdict("m3", 5), Ok(Verdict::Newer(5)));
    let other = Claim {
        group: "x1",
        ..claim("x1", Some(1))
    };
    assert!(roster.judge(&joined, other, false).is_err());
}

#[test]
fn an_address_of_the_group_comes_before_a_stale_one_of_peers() {
    assert_eq!(grown().members[&2].addresses, ["moved:1", "m2:1"]);
    assert_eq!(grown().members[&1].addresses, ["m1:1"]);
}

#[test]
fn members_newer_ones_and_joiners_are_told_apart() {
    let judge = |claim| grown().judge(&own(), claim, false);
    assert_eq!(judge(claim("m2", Some(2))), Ok(Verdict::Member(2)));
    assert_eq!(judge(claim("m7", Some(7))), Ok(Verdict::Newer(7)));
    assert_eq!(judge(claim("m3", None)), Ok(Verdict::Joiner(5)));
}

/// Those who stay may have lost one of theirs meanwhile, and be no majority of what Raft has.
#[test]
fn one_that_is_let_go_belongs_to_the_group_as_long_as_raft_has_it() {
    let judge = |claim| grown().judge(&own(), claim, true);
    assert_eq!(judge(claim("m3", Some(3))), Ok(Verdict::Member(3)));
    let restored = Claim {
        group: "m7#7",
        ..claim("m3", Some(3))
    };
    assert!(judge(restored).is_err());
    assert!(judge(claim("m4", Some(2))).is_err());
}

/// With one more lost, the two are the majority that brings the group back in order.
#[test]
fn one_and_the_one_in_its_place_let_each_other_in() {
    let old = Identity {
        node_id: 3,
        name: "m3".to_owned(),
        ..own()
    };
    let new = Identity {
        node_id: 5,
        ..old.clone()
    };
    let roster = grown();
    let judged = roster.judge(&old, claim("m3", Some(5)), false);
    assert_eq!(judged, Ok(Verdict::Member(5)));
    let judged = roster.judge(&new, claim("m3", Some(3)), true);
    assert_eq!(judged, Ok(Verdict::Member(3)));
    let joins = roster.judge(&old, claim("m3", None), false);
    assert_eq!(joins, Ok(Verdict::Joiner(5)));
    // The copy of a disk is neither.
    let copy = roster.judge(&new, claim("m3", Some(5)), true);
    assert!(copy.unwrap_err().contains("both masters are named m3"));
}

#[test]
fn everyone_else_is_told_what_to_do() {
    let elsewhere = Claim {
        group: "m7",
        same_cluster: false,
        ..claim("m7", Some(7))
    };
    let restored = Claim {
        group: "m7#7",
        ..claim("m7", Some(7))
    };
    for (claim, expected) in [
        (claim("m1", Some(1)), "both masters are named m1"),
        (claim("m3", Some(3)), "it was removed, or replaced"),
        (claim("m4", Some(4)), "`tepui cluster add m4=ADDRESS`"),
        (claim("m4", Some(2)), "member 2, who is m2"),
        (claim("m4", None), "add it: `tepui cluster add m4=ADDRESS`"),
        (elsewhere, "the one of m7 is m7"),
        (restored, "no master of this group"),
    ] {
        let text = grown().judge(&own(), claim, false).unwrap_err();
        assert!(text.contains(expected), "{text}");
    }
}
