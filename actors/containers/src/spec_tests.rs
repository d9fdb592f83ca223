use super::wire::{field, tag};
use super::*;
use crate::devices::DeviceKind;
use crate::rotation::Bound;
use crate::switchboard::{Terminal, WindowSize};
use proptest::prelude::*;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

fn sample() -> ShimSpec {
    ShimSpec {
        boot_id: "b00t".into(),
        runtime_dir: "/run/c1".into(),
        sandbox: "/sandbox".into(),
        working_dir: "/sandbox".into(),
        program: "/bin/sh".into(),
        argv: vec!["sh".into(), "-c".into(), "echo a=b".into()],
        env: vec![("A".into(), "b=c".into()), ("EMPTY".into(), "".into())],
        credentials: Some(Credentials {
            uid: 1,
            gid: 2,
            groups: vec![2, 3],
        }),
        cgroup_join: vec!["/cg/cpu/tasks".into(), "/cg/memory/tasks".into()],
        cgroup_kill: Some("/cg/pids".into()),
        cgroup_memory: Some("/cg/memory/c1".into()),
        oom_score_adj: Some(997),
        rlimits: vec![Rlimit {
            kind: RlimitKind::OpenFiles,
            soft: Some(64),
            hard: None,
        }],
        stdout: "stdout".into(),
        stderr: "stderr".into(),
        umask: 0o022,
        no_new_privs: true,
        capabilities: Some(Capabilities {
            bounding: 3,
            effective: Some(1),
        }),
        secrets: vec![SecretFile {
            target: "keys/one".into(),
            read_only: true,
            data: b"one\0two".to_vec(),
        }],
        mounts: vec![Mount {
            source: "/host".into(),
            target: "data".into(),
            read_only: true,
            no_links: true,
            propagates: true,
            keeps_owners: true,
            overlay: Some("lowerdir=l/0,upperdir=u,workdir=w".into()),
        }],
        switchboard: Some(Switchboard {
            terminal: Some(Terminal {
                size: Some(WindowSize {
                    rows: 24,
                    columns: 80,
                }),
            }),
            is_session: true,
        }),
        rotation: Some(Rotation {
            stdout: Bound {
                max_bytes: 1 << 33,
                kept: 1,
            },
            stderr: Bound {
                max_bytes: 1,
                kept: 0,
            },
        }),
        outer: Some(ProcessId {
            pid: 8,
            start_ticks: 3,
        }),
        enter: Some(ProcessId {
            pid: 7,
            start_ticks: 1 << 40,
        }),
        root: Some(Root {
            dir: "/var/lib/roots/c1".into(),
            overlay: Some("lowerdir=l/0:l/1,upperdir=u,workdir=w".into()),
            sandbox: "/mnt/sandbox".into(),
        }),
        cgroups_shown: vec![
            ShownCgroup {
                dir: "/cg/cpu,cpuacct/c1".into(),
                name: "cpu,cpuacct".into(),
            },
            ShownCgroup {
                dir: "/cg".into(),
                name: "".into(),
            },
        ],
        view: Some(View {
            of: ProcessId {
                pid: 7,
                start_ticks: 1 << 40,
            },
            sandbox: "/mnt/sandbox".into(),
        }),
        namespaces: Namespaces {
            pids: true,
            ..Namespaces::default()
        },
        network: Some("/run/networks/c1/ns".into()),
        seccomp: vec![vec![6, 0, 0, 0, 0, 0, 255, 127]],
        users: UserRange::new(100_000, 65_536),
        device_nodes: vec![DeviceNode {
            name: "net/tun".into(),
            kind: DeviceKind::Character,
            major: 10,
            minor: 200,
            mode: 0o666,
        }],
        patience: Some(Patience {
            presence: "/run/tepui/1/@agent".into(),
            timeout: Duration::from_mins(15),
            grace: Duration::from_secs(3),
        }),
    }
}

#[test]
fn a_filter_that_the_kernel_would_not_take_is_refused() {
    let mut spec = sample();
    for filter in [vec![], vec![6; 7], vec![6; 8 * 4097]] {
        spec.seccomp = vec![filter];
        assert_eq!(
            decode(&encode(&spec)),
            Err(SpecError::BadField(tag::SECCOMP))
        );
    }
}

#[test]
fn a_root_that_is_not_absolute_is_refused() {
    let mut spec = sample();
    spec.root = spec.root.map(|root| Root {
        dir: "work".into(),
        ..root
    });
    assert_eq!(decode(&encode(&spec)), Err(SpecError::BadField(tag::ROOT)));
    let mut spec = sample();
    spec.view = spec.view.map(|view| View {
        sandbox: "mnt".into(),
        ..view
    });
    assert_eq!(decode(&encode(&spec)), Err(SpecError::BadField(tag::VIEW)));
}

#[test]
fn the_command_finds_its_sandbox_where_its_root_has_it() {
    let mut spec = sample();
    assert_eq!(spec.inner_sandbox(), Path::new("/mnt/sandbox"));
    spec.root = None;
    spec.view = None;
    assert_eq!(spec.inner_sandbox(), Path::new("/sandbox"));
}

#[test]
fn a_spec_survives_its_encoding() {
    let spec = sample();
    assert_eq!(decode(&encode(&spec)), Ok(spec));
    let mut spec = sample();
    spec.capabilities = Some(Capabilities {
        bounding: u64::MAX,
        effective: None,
    });
    assert_eq!(decode(&encode(&spec)), Ok(spec));
    for terminal in [None, Some(Terminal { size: None })] {
        let mut spec = sample();
        spec.switchboard = Some(Switchboard {
            terminal,
            is_session: false,
        });
        assert_eq!(decode(&encode(&spec)), Ok(spec));
    }
}

#[test]
fn what_is_not_understood_is_refused() {
    let good = encode(&sample());
    assert_eq!(decode(b"TPSH\x02"), Err(SpecError::Version));
    assert_eq!(decode(&[]), Err(SpecError::Version));
    assert_eq!(decode(&good[..good.len() - 1]), Err(SpecError::Truncated));
    assert_eq!(decode(MAGIC), Err(SpecError::Missing(tag::BOOT_ID)));

    let with = |tag: u8, value: &[u8]| {
        let mut bytes = good.clone();
        field(&mut bytes, tag, value);
        decode(&bytes)
    };
    assert_eq!(with(99, b""), Err(SpecError::UnknownField(99)));
    for (tag, value) in [
        (tag::STDOUT, &b"../stdout"[..]),
        (tag::STDERR, b".."),
        (tag::ENV, b"NOVALUE"),
        (tag::ENV, b"=x"),
        (tag::RLIMIT, b"\x07"),
        (tag::RLIMIT, &[16; 17]),
        (tag::CREDENTIALS, b"\0\0\0\0\0"),
        (tag::UMASK, b""),
        (tag::NO_NEW_PRIVS, b"\x02"),
        (tag::CAPABILITIES, b""),
        (tag::CAPABILITIES, &[0; 12]),
        (tag::CAPABILITIES, &[0; 24]),
        (tag::SWITCHBOARD, b""),
        (tag::SWITCHBOARD, b"\x02"),
        (tag::SWITCHBOARD, b"\0\x02"),
        (tag::SWITCHBOARD, b"\0\0\0"),
        (tag::SWITCHBOARD, b"\x01\x01\0\0\0"),
        (tag::ENTER, &[0; 11]),
        (tag::ENTER, &[0; 13]),
        (tag::MOUNT, b""),
        (tag::MOUNT, b"\x00/host"),
        (tag::MOUNT, b"\x00/host\0"),
        (tag::MOUNT, b"\x00/host\0data"),
        (tag::MOUNT, b"\x00\0data\0"),
        (tag::MOUNT, b"\x10/host\0data\0"),
        (tag::MOUNT, b"\x00/host\0data\0o\0more"),
    ] {
        assert_eq!(
            with(tag, value),
            Err(SpecError::BadField(tag)),
            "{tag} {value:?}"
        );
    }
}

#[test]
fn the_numbers_of_rlimits_are_their_places() {
    for (place, kind) in RlimitKind::ALL.into_iter().enumerate() {
        assert_eq!(kind as usize, place);
    }
}

proptest! {
    #[test]
    fn any_arguments_and_environment_survive(
        args in prop::collection::vec(prop::collection::vec(1u8.., 0..20), 1..8),
        env in prop::collection::vec(("[A-Z_]{1,8}", prop::collection::vec(1u8.., 0..20)), 0..8),
    ) {
        let mut spec = sample();
        spec.argv = args.into_iter().map(OsString::from_vec).collect();
        spec.env = env.into_iter().map(|(name, value)| (name.into(), OsString::from_vec(value))).collect();
        prop_assert_eq!(decode(&encode(&spec)), Ok(spec));
    }

    #[test]
    fn any_bytes_are_taken_or_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0usize..400) {
        let _ = decode(&[MAGIC.as_slice(), &bytes].concat());
        let good = encode(&sample());
        let _ = decode(&good[..cut.min(good.len())]);
    }
}

#[test]
fn a_bound_of_nothing_is_refused() {
    let mut spec = sample();
    if let Some(rotation) = &mut spec.rotation {
        rotation.stderr.max_bytes = 0;
    }
    assert_eq!(
        decode(&encode(&spec)),
        Err(SpecError::BadField(tag::ROTATION))
    );
}
