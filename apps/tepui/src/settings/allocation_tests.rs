use super::*;

#[test]
fn policies_go_by_our_names_and_the_fair_one_by_mesos_too() {
    for name in ["drf", "hierarchical", "HierarchicalDRF"] {
        assert_eq!(policy("--allocator", name).unwrap(), "drf");
    }
    let refused = policy("--allocator", "fair").unwrap_err().to_string();
    assert!(refused.contains("--allocator fair") && refused.contains("drf"));
}

#[test]
fn the_least_worth_an_offer_is_sets_of_amounts() {
    let sets = least("cpus:0.5;gpus:1|mem:64").unwrap();
    let cpus = vec![("cpus".to_string(), 500), ("gpus".to_string(), 1_000)];
    assert_eq!(sets, [cpus, vec![("mem".to_string(), 64_000)]]);
    for text in ["", "cpus:1|", "ports:[1-2]", "cpus(a):1", "cpus:x"] {
        let refused = least(text).unwrap_err().to_string();
        assert!(
            refused.contains("such as cpus:0.01|mem:32"),
            "{text}: {refused}"
        );
    }
}

#[test]
fn a_whitelist_is_a_path_and_a_star_is_none() {
    let path = Some(PathBuf::from("/etc/agents"));
    assert_eq!(whitelist("/etc/agents"), path);
    assert_eq!(whitelist("file:///etc/agents"), path);
    assert_eq!(whitelist("*"), None);
}
