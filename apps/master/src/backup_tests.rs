use tepui_registry::MemberRecord;

use super::*;

fn bytes() -> Vec<u8> {
    let member = |name: &str| MemberRecord::new(name.to_owned(), format!("{name}:1"));
    let registry = Registry {
        cluster_id: Some("c1".to_owned()),
        weights: [("dev".to_owned(), 2.0)].into(),
        members: [(1, member("m1")), (4, member("m2"))].into(),
        last_member_id: 5,
        ..Registry::default()
    };
    Backup::of(&registry, 70, 3, 0, "0.1.0").encode()
}

#[test]
fn a_backup_says_what_it_holds() {
    let contents = verify(&bytes()).unwrap();
    assert_eq!((contents.index, contents.term), (70, 3));
    assert_eq!(contents.masters, ["m1", "m2"]);
    assert_eq!(contents.cluster_id.as_deref(), Some("c1"));
}

#[test]
fn a_restored_directory_belongs_to_a_group_of_one_and_is_not_restored_again() {
    let folder = tempfile::tempdir().unwrap();
    let work_dir = folder.path().join("new");
    let restored = restore(&bytes(), &work_dir, "m2").unwrap();
    assert_eq!(restored.member_id, 6);
    {
        let options = tepui_engine::Options::default();
        let path = work_dir.join("registry");
        let engine = RocksEngine::open(&path, &keys::MASTER_FAMILIES, &options).unwrap();
        let engine: SharedEngine = std::sync::Arc::new(engine);
        let owner = Identity::read(&engine, "m2").unwrap().unwrap();
        assert_eq!((owner.node_id, owner.group().as_str()), (6, "m2#6"));
    }
    let again = restore(&bytes(), &work_dir, "m2").unwrap_err().to_string();
    assert!(
        again.contains("a registry already") && again.contains("empty"),
        "{again}"
    );
}

#[test]
fn a_damaged_backup_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let work_dir = folder.path().join("new");
    let mut damaged = bytes();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    let text = restore(&damaged, &work_dir, "m1").unwrap_err().to_string();
    assert!(text.contains("use another copy"), "{text}");
    assert!(!work_dir.try_exists().unwrap());
}
