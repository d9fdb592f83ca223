use super::Table;

const TABLE: Table<u8> = Table {
    process: "master",
    own: &[("api/v1", 1), ("api/v1/scheduler", 2), ("state", 3)],
    others: &[("version", 4), ("metrics/snapshot", 5)],
};

/// As measured on Mesos 1.11.0, and more slashes by libprocess' source (`process.cpp`, `ProcessBase::consume(HttpEvent&&)`).
#[test]
fn paths_mean_what_they_mean_to_libprocess() {
    let cases = [
        ("/state", Some(3)),
        ("/state/", Some(3)),
        ("/state/foo", Some(3)),
        ("/statement", None),
        ("/master/state", Some(3)),
        ("/version//", Some(4)),
        ("/master/version", None),
        ("/api/v1", Some(1)),
        ("/api/v1/operator", Some(1)),
        ("/api/v1/scheduler/x", Some(2)),
        ("//api/v1", Some(1)),
        ("///api/v1", Some(1)),
        ("/master//api/v1", Some(1)),
        ("/metrics//snapshot", Some(5)),
        ("//metrics/snapshot", None),
        ("//master/state", None),
        ("/master/api/v1/scheduler", Some(2)),
        ("//version", None),
        ("/master//version", None),
        ("/master//state", Some(3)),
        ("/api//v1", None),
        ("/./version", None),
        ("/VERSION", None),
        ("/api", None),
        ("/metrics", None),
        ("", None),
        ("*", None),
    ];
    for (path, expected) in cases {
        assert_eq!(
            TABLE.find(path).map(|found| found.route),
            expected,
            "{path}"
        );
    }
    for root in ["/", "//", "/master", "/master/", ""] {
        assert!(TABLE.is_root(root), "{root}");
    }
    assert!(!TABLE.is_root("///"));
}

#[test]
fn a_rule_knows_a_route_by_one_path() {
    for path in [
        "/state",
        "//state",
        "/state/foo",
        "/master/state",
        "/master//state/",
    ] {
        let found = TABLE.find(path).unwrap();
        assert_eq!(TABLE.rule_path(&found), "/master/state", "{path}");
    }
    for path in ["/version", "/version/"] {
        let found = TABLE.find(path).unwrap();
        assert_eq!(TABLE.rule_path(&found), "/version", "{path}");
    }
}
