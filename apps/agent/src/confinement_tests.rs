use tepui_containers::{launch::Command, spec::Root};

use super::*;
use crate::Isolation;

#[test]
fn the_agent_shows_of_its_own_what_nobody_may_ask_for() {
    let home = tempfile::tempdir().unwrap();
    let own = home.path().join("work/run.executors");
    std::fs::create_dir_all(&own).unwrap();
    let shell = Command::Shell("true".into());
    let (sandbox, runtime) = (home.path().join("sandbox"), home.path().join("run"));
    let mut spec = LaunchSpec::new("c".to_owned(), sandbox, runtime, shell);
    spec.root = Some(Root {
        dir: home.path().join("root"),
        overlay: None,
        sandbox: "/mnt/sandbox".into(),
    });
    let refusing = Isolation {
        no_host_volumes: true,
        ..Isolation::default()
    };
    let closed = vec![home.path().join("work")];
    for isolation in [Isolation::default(), refusing] {
        let host = HostFiles::new(&isolation, closed.clone());
        let show = |source| {
            let order = MountOrder {
                source,
                container_path: "/run/mesos".into(),
                read_only: true,
                propagates: false,
            };
            mount(&spec, &order, &host, None)
        };
        assert!(show(MountSource::Host(own.clone())).is_err());
        let shown = show(MountSource::Own(own.clone())).unwrap().unwrap();
        assert_eq!(shown.source, own.canonicalize().unwrap());
        assert!(shown.read_only && shown.no_links);
    }
}
