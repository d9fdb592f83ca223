use std::path::PathBuf;

use tepui_containers::{Capabilities, Command, LaunchSpec};
use tepui_messages::containers::{Confinement, Ipc, Seccomp};

use super::{Around, Isolation, OF_IMAGES};

fn spec() -> LaunchSpec {
    let command = Command::Shell("true".into());
    LaunchSpec::new("c", PathBuf::from("/s"), PathBuf::from("/r"), command)
}

fn applied(isolation: &Isolation, confinement: &Confinement, has_image: bool) -> LaunchSpec {
    let mut spec = spec();
    let applied = isolation.apply(confinement, &mut spec, has_image, None);
    applied.unwrap();
    spec
}

#[test]
fn an_image_brings_a_world_of_its_own() {
    let made = applied(&Isolation::default(), &Confinement::default(), true);
    let namespaces = &made.namespaces;
    assert!(namespaces.pids && namespaces.ipc && namespaces.names);
    assert_eq!(made.capabilities.unwrap().bounding, OF_IMAGES);
    assert!(!made.seccomp.is_empty());
    assert_eq!(made.limits.processes, Some(4096));
}

#[test]
fn others_share_the_machine_unless_somebody_says_otherwise() {
    let plain = applied(&Isolation::default(), &Confinement::default(), false);
    assert_eq!(plain.namespaces, Default::default());
    assert!(plain.seccomp.is_empty() && !plain.no_new_privs && plain.capabilities.is_none());

    let all = Isolation {
        pids: true,
        ipc: true,
        no_new_privs: true,
        seccomp: true,
        ..Isolation::default()
    };
    let made = applied(&all, &Confinement::default(), false);
    assert!(made.namespaces.pids && made.namespaces.ipc && made.no_new_privs);
    assert!(!made.seccomp.is_empty());

    let asked = Confinement {
        shares_pids: Some(false),
        ipc: Some(Ipc::Private { shm_mb: Some(8) }),
        hostname: Some("box".into()),
        seccomp: Some(Seccomp::Profile("default".into())),
        ..Confinement::default()
    };
    let made = applied(&Isolation::default(), &asked, false);
    assert!(made.namespaces.pids && made.namespaces.ipc && made.namespaces.names);
    assert_eq!(made.namespaces.shm_bytes, Some(8 << 20));
    assert!(!made.seccomp.is_empty());
}

#[test]
fn a_task_of_a_group_shares_the_ipc_of_the_others() {
    let isolation = Isolation {
        ipc: true,
        ..Isolation::default()
    };
    let mut inner = spec();
    let applied = isolation.apply(
        &Confinement::default(),
        &mut inner,
        false,
        Some(Around::default()),
    );
    assert!(applied.is_ok() && !inner.namespaces.ipc);
}

#[test]
fn what_was_asked_for_comes_first() {
    let open = Confinement {
        shares_pids: Some(true),
        ipc: Some(Ipc::Shared),
        seccomp: Some(Seccomp::All),
        ..Confinement::default()
    };
    let made = applied(&Isolation::default(), &open, true);
    assert!(!made.namespaces.pids && !made.namespaces.ipc && made.namespaces.machine_shm);
    assert!(made.seccomp.is_empty());

    let mut own = spec();
    own.capabilities = Some(Capabilities {
        bounding: 1,
        effective: None,
    });
    Isolation::default()
        .apply(&Confinement::default(), &mut own, true, None)
        .unwrap();
    assert_eq!(own.capabilities.unwrap().bounding, 1);
}

#[test]
fn an_agent_keeps_its_own_to_itself_where_it_is_told_to() {
    let isolation = Isolation {
        keep_pids: true,
        keep_ipc: true,
        ..Isolation::default()
    };
    for confinement in [
        Confinement {
            shares_pids: Some(true),
            ..Confinement::default()
        },
        Confinement {
            ipc: Some(Ipc::Shared),
            ..Confinement::default()
        },
    ] {
        let refused = isolation.apply(&confinement, &mut spec(), true, None);
        assert!(refused.unwrap_err().contains("share its"));
    }
}

#[test]
fn a_profile_that_is_not_there_is_refused() {
    let confinement = Confinement {
        seccomp: Some(Seccomp::Profile("strict".into())),
        ..Confinement::default()
    };
    let refused = Isolation::default().apply(&confinement, &mut spec(), false, None);
    assert!(refused.unwrap_err().contains("'strict'"));
}

#[test]
fn what_a_container_shares_is_that_of_the_one_around_it() {
    let apart = Around {
        pids: true,
        ipc: true,
    };
    let asked = Confinement {
        shares_pids: Some(true),
        ipc: Some(Ipc::Shared),
        ..Confinement::default()
    };
    let kept = Isolation {
        keep_pids: true,
        keep_ipc: true,
        ..Isolation::default()
    };
    for confinement in [&asked, &Confinement::default()] {
        let within = kept.namespaces(confinement, false, Some(apart)).unwrap();
        assert!(within.outer_pids && within.outer_ipc && !within.machine_shm);
        assert!(!within.pids && !within.ipc);
    }
    // With an image it has its own, unless it asks.
    let own = kept.namespaces(&Confinement::default(), true, Some(apart));
    let own = own.unwrap();
    assert!(own.pids && own.ipc && !own.shares_outer());
    let image = kept.namespaces(&asked, true, Some(apart)).unwrap();
    assert!(image.outer_pids && image.outer_ipc);
    // The one around it has the machine's: then these are meant.
    let open = Some(Around::default());
    assert!(kept.namespaces(&asked, false, open).is_err());
    let plain = Isolation::default().namespaces(&asked, false, open);
    assert!(!plain.unwrap().shares_outer());
}
