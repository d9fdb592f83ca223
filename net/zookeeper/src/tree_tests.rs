use proptest::prelude::*;

use super::*;

fn master(name: &str) -> Master {
    Master::new(format!("{{\"id\":\"{name}\"}}"))
}

fn members(term: u64, leader: Option<&str>, followers: &[&str]) -> Members {
    Members {
        term,
        leader: leader.map(master),
        followers: followers.iter().map(|name| master(name)).collect(),
    }
}

fn shown(tree: &Tree) -> Vec<(String, String)> {
    let base = tree.get("/mesos").unwrap();
    let data = |name: &String| {
        let node = tree.get(&format!("/mesos/{name}")).unwrap();
        String::from_utf8(node.data().to_vec())
            .unwrap()
            .replace("{\"id\":\"", "")
            .replace("\"}", "")
    };
    base.children()
        .iter()
        .map(|name| (name.clone(), data(name)))
        .collect()
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter()
        .map(|(name, data)| ((*name).to_owned(), (*data).to_owned()))
        .collect()
}

#[test]
fn a_failover_gives_the_new_leader_the_lowest_number() {
    let mut tree = Tree::new("/mesos", 9, 5);
    tree.show(&members(7, Some("a"), &["b", "c"]), 10);
    assert_eq!(
        shown(&tree),
        pairs(&[
            ("json.info_0000000700", "a"),
            ("json.info_0000000701", "b"),
            ("json.info_0000000702", "c")
        ])
    );
    let before = tree.zxid();
    assert_eq!(before >> 32, 7);
    let changes = tree.show(&members(7, None, &["b", "c"]), 20);
    assert!(
        changes
            .iter()
            .all(|change| change.kind == EventKind::Deleted)
    );
    assert_eq!((shown(&tree), changes.len()), (vec![], 3));
    tree.show(&members(9, Some("c"), &["b"]), 30);
    assert_eq!(
        shown(&tree),
        pairs(&[("json.info_0000000900", "c"), ("json.info_0000000901", "b")])
    );
    let stat = tree.get("/mesos/json.info_0000000900").unwrap().stat();
    assert!(
        stat.czxid > before && stat.czxid == stat.mzxid && stat.czxid >> 32 == 9,
        "{stat:?}"
    );
    assert_eq!(
        (
            stat.ctime_ms,
            stat.version,
            stat.data_length,
            stat.num_children
        ),
        (30, 0, 10, 0)
    );
    assert_ne!(stat.ephemeral_owner, 0);
    let base = tree.get("/mesos").unwrap().stat();
    assert_eq!(
        (
            base.cversion,
            base.num_children,
            base.pzxid,
            base.ephemeral_owner
        ),
        (8, 2, tree.zxid(), 0)
    );
}

#[test]
fn a_leader_that_comes_back_in_its_term_has_a_new_number() {
    let mut tree = Tree::new("/mesos", 9, 0);
    tree.show(&members(2, Some("a"), &[]), 0);
    tree.show(&members(2, None, &[]), 0);
    tree.show(&members(2, Some("a"), &[]), 0);
    assert_eq!(shown(&tree), pairs(&[("json.info_0000000201", "a")]));
    tree.show(&members(2, Some("b"), &["a"]), 0);
    assert_eq!(
        shown(&tree),
        pairs(&[("json.info_0000000202", "b"), ("json.info_0000000203", "a")])
    );
}

#[test]
fn followers_come_and_go_without_a_word_of_the_leader() {
    let mut tree = Tree::new("/mesos", 9, 0);
    tree.show(&members(1, Some("a"), &["b", "c"]), 0);
    let changes = tree.show(&members(1, Some("a"), &["c", "d", "a"]), 0);
    let told: Vec<_> = changes
        .iter()
        .map(|change| (change.kind, change.path.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (EventKind::Deleted, "/mesos/json.info_0000000101"),
            (EventKind::Created, "/mesos/json.info_0000000103")
        ]
    );
    assert_eq!(
        shown(&tree),
        pairs(&[
            ("json.info_0000000100", "a"),
            ("json.info_0000000102", "c"),
            ("json.info_0000000103", "d")
        ])
    );
    assert_eq!(tree.show(&members(1, Some("a"), &["d", "c"]), 0), []);
}

#[test]
fn the_base_may_be_deep_or_the_root() {
    let mut deep = Tree::new("/a/b/c", 9, 0);
    deep.show(&members(1, Some("a"), &[]), 0);
    assert!(deep.get("/a/b/c/json.info_0000000100").is_some());
    assert_eq!(deep.get("").unwrap().children(), ["a"]);
    assert_eq!(
        (deep.get("/a/b").unwrap().children(), deep.len()),
        (vec!["c".to_owned()], 5)
    );
    let mut root = Tree::new("/", 9, 0);
    root.show(&members(1, Some("a"), &[]), 0);
    assert_eq!(root.get("/").unwrap().children(), ["json.info_0000000100"]);
}

proptest! {
    #[test]
    fn numbers_are_new_states_grow_and_the_lowest_leads(
        steps in proptest::collection::vec((0..3_u64, proptest::option::of(0..4_usize), proptest::collection::vec(0..4_usize, 0..4)), 1..30)
    ) {
        let mut tree = Tree::new("/mesos", 9, 0);
        let (mut term, mut seen) = (0, BTreeMap::new());
        for (later, leader, followers) in steps {
            term += later;
            let before = tree.zxid();
            let names = ["a", "b", "c", "d"];
            let followers: Vec<&str> = followers.into_iter().map(|at| names[at]).collect();
            let leader = leader.map(|at| names[at]);
            let changes = tree.show(&members(term, leader, &followers), 0);
            prop_assert!(tree.is_sound());
            prop_assert!(tree.zxid() >> 16 == (before >> 16) + changes.len() as i64 || tree.zxid() >> 32 == term as i64);
            prop_assert!(tree.zxid() > before || changes.is_empty());
            prop_assert!(tree.has_been_at(tree.zxid()));
            let all = shown(&tree);
            prop_assert_eq!(all.first().map(|(_, data)| data.as_str()), leader);
            for (name, data) in all {
                // A name means one master for ever.
                prop_assert_eq!(seen.entry(name).or_insert_with(|| data.clone()), &data);
            }
        }
    }
}
