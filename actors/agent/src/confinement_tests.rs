use super::{of, of_holder, shared_with_parent};
use tepui_messages::containers::{Capabilities, Confinement, Ipc, MountSource, Seccomp};
use tepui_protocol::v1::{
    CapabilityInfo, ContainerInfo, LinuxInfo, RLimitInfo, SeccompInfo, Volume,
    capability_info::Capability,
    linux_info::IpcMode,
    r_limit_info::{RLimit, r_limit},
    volume::{
        Mode, Source,
        source::{HostPath, SandboxPath, Type, sandbox_path},
    },
};

fn limited(soft: Option<u64>, hard: Option<u64>) -> ContainerInfo {
    let rlimits = vec![RLimit {
        r#type: Some(r_limit::Type::RlmtNofile as i32),
        soft,
        hard,
    }];
    ContainerInfo {
        rlimit_info: Some(RLimitInfo { rlimits }),
        ..ContainerInfo::default()
    }
}

fn set(capabilities: &[Capability]) -> Option<CapabilityInfo> {
    Some(CapabilityInfo {
        capabilities: capabilities.iter().map(|it| *it as i32).collect(),
    })
}

fn linux(linux_info: LinuxInfo) -> Result<Option<Capabilities>, String> {
    let container = ContainerInfo {
        linux_info: Some(linux_info),
        ..ContainerInfo::default()
    };
    of(&container).map(|it| it.capabilities)
}

fn with(volume: Volume) -> Result<(MountSource, bool), String> {
    let container = ContainerInfo {
        volumes: vec![volume],
        ..ContainerInfo::default()
    };
    let mounts = of(&container)?.mounts;
    assert_eq!(mounts.len(), 1);
    assert_eq!(mounts[0].container_path.to_str(), Some("data"));
    Ok((mounts[0].source.clone(), mounts[0].read_only))
}

fn volume(mode: Mode) -> Volume {
    Volume {
        mode: mode as i32,
        container_path: "data".to_owned(),
        ..Volume::default()
    }
}

#[test]
fn rlimits_have_both_bounds_or_none() {
    for (soft, hard) in [(None, None), (Some(1), Some(1)), (Some(1), Some(2))] {
        let rlimits = of(&limited(soft, hard)).unwrap().rlimits;
        assert_eq!((rlimits[0].soft, rlimits[0].hard), (soft, hard));
    }
    for (soft, hard, text) in [
        (Some(1), None, "Invalid rlimit values"),
        (None, Some(1), "Invalid rlimit values"),
        (Some(2), Some(1), "above its hard limit 1"),
    ] {
        let problem = of(&limited(soft, hard)).unwrap_err();
        assert!(problem.contains(text), "{problem}");
        assert!(problem.contains("RLMT_NOFILE"), "{problem}");
    }
    let mut unknown = limited(None, None);
    unknown.rlimit_info.as_mut().unwrap().rlimits[0].r#type = None;
    assert_eq!(of(&unknown).unwrap_err(), "Unknown rlimit type");
}

#[test]
fn an_effective_set_bounds_where_nothing_else_does() {
    let chown = set(&[Capability::Chown]);
    let both = set(&[Capability::Chown, Capability::Kill]);
    assert_eq!(linux(LinuxInfo::default()), Ok(None));
    let expected = |bounding, effective| {
        Ok(Some(Capabilities {
            bounding,
            effective,
        }))
    };
    let old = LinuxInfo {
        capability_info: chown.clone(),
        ..LinuxInfo::default()
    };
    assert_eq!(linux(old), expected(1, Some(1)));
    let effective = LinuxInfo {
        effective_capabilities: set(&[Capability::CheckpointRestore]),
        ..LinuxInfo::default()
    };
    assert_eq!(linux(effective), expected(1 << 40, Some(1 << 40)));
    let bounding = LinuxInfo {
        bounding_capabilities: both.clone(),
        ..LinuxInfo::default()
    };
    assert_eq!(linux(bounding.clone()), expected(0b10_0001, None));
    let within = LinuxInfo {
        effective_capabilities: chown.clone(),
        ..bounding
    };
    assert_eq!(linux(within), expected(0b10_0001, Some(1)));
    let beyond = LinuxInfo {
        effective_capabilities: both,
        bounding_capabilities: chown,
        ..LinuxInfo::default()
    };
    assert!(linux(beyond).unwrap_err().contains("not all within"));
}

#[test]
fn no_number_of_a_capability_is_taken_for_another() {
    for number in [i32::MIN, -1, 0, 999, 1041, i32::MAX] {
        let info = LinuxInfo {
            effective_capabilities: Some(CapabilityInfo {
                capabilities: vec![number],
            }),
            ..LinuxInfo::default()
        };
        assert!(linux(info).is_err(), "{number}");
    }
}

#[test]
fn volumes_are_of_the_host_or_of_the_sandbox() {
    let host = MountSource::Host("/srv/data".into());
    let own = MountSource::Sandbox("own".into());
    let of_host = |path: &str| Source {
        r#type: Some(Type::HostPath as i32),
        host_path: Some(HostPath {
            path: path.to_owned(),
            mount_propagation: None,
        }),
        ..Source::default()
    };
    let of_sandbox = |kind: sandbox_path::Type| Source {
        r#type: Some(Type::SandboxPath as i32),
        sandbox_path: Some(SandboxPath {
            r#type: Some(kind as i32),
            path: "own".to_owned(),
        }),
        ..Source::default()
    };
    let sourced = |mode, source| Volume {
        source: Some(source),
        ..volume(mode)
    };
    let old = |path: &str| Volume {
        host_path: Some(path.to_owned()),
        ..volume(Mode::Ro)
    };
    assert_eq!(with(old("/srv/data")), Ok((host.clone(), true)));
    assert_eq!(with(old("own")), Ok((own.clone(), true)));
    assert_eq!(
        with(sourced(Mode::Rw, of_host("/srv/data"))),
        Ok((host, false))
    );
    let relative = with(sourced(Mode::Rw, of_host("srv/data"))).unwrap_err();
    assert_eq!(
        relative,
        "Path 'srv/data' in HOST_PATH volume is not absolute"
    );
    let selfs = of_sandbox(sandbox_path::Type::Self_);
    assert_eq!(with(sourced(Mode::Rw, selfs)), Ok((own, false)));

    let parents = sourced(Mode::Rw, of_sandbox(sandbox_path::Type::Parent));
    assert_eq!(shared_with_parent(&parents), Some("own"));
    let container = ContainerInfo {
        volumes: vec![parents],
        ..ContainerInfo::default()
    };
    assert!(of(&container).unwrap().mounts.is_empty());
    assert!(with(volume(Mode::Rw)).is_err());
}

fn of_linux(linux: LinuxInfo) -> ContainerInfo {
    ContainerInfo {
        linux_info: Some(linux),
        ..ContainerInfo::default()
    }
}

#[test]
fn ipc_is_private_shared_or_the_agents_choice() {
    let with = |mode: IpcMode, shm_size| {
        of(&of_linux(LinuxInfo {
            ipc_mode: Some(mode as i32),
            shm_size,
            ..LinuxInfo::default()
        }))
        .map(|confinement| confinement.ipc)
    };
    let private = Ipc::Private { shm_mb: Some(8) };
    assert_eq!(with(IpcMode::Private, Some(8)), Ok(Some(private)));
    assert_eq!(with(IpcMode::ShareParent, None), Ok(Some(Ipc::Shared)));
    assert_eq!(with(IpcMode::Unknown, None), Ok(None));
    for mode in [IpcMode::ShareParent, IpcMode::Unknown] {
        let refused = with(mode, Some(8)).unwrap_err();
        assert!(
            refused.contains("when the IPC mode is PRIVATE"),
            "{refused}"
        );
    }
}

#[test]
fn a_profile_of_calls_has_a_name_or_there_is_none() {
    let with = |name: Option<&str>, unconfined| {
        let seccomp = Some(SeccompInfo {
            profile_name: name.map(str::to_owned),
            unconfined,
        });
        of(&of_linux(LinuxInfo {
            seccomp,
            ..LinuxInfo::default()
        }))
        .map(|confinement| confinement.seccomp)
    };
    let profile = Seccomp::Profile("default".to_owned());
    assert_eq!(with(Some("default"), None), Ok(Some(profile)));
    assert_eq!(with(None, Some(true)), Ok(Some(Seccomp::All)));
    assert_eq!(
        with(None, None).unwrap_err(),
        "Missing Seccomp profile name"
    );
    let both = with(Some("default"), Some(true)).unwrap_err();
    assert!(
        both.contains("'unconfined' Seccomp setting is enabled"),
        "{both}"
    );
}

#[test]
fn a_hostname_is_one_that_the_kernel_takes() {
    let with = |name: &str| {
        of(&ContainerInfo {
            hostname: Some(name.to_owned()),
            ..ContainerInfo::default()
        })
        .map(|confinement| confinement.hostname)
    };
    assert_eq!(with("box-1.test"), Ok(Some("box-1.test".to_owned())));
    for wrong in ["", "a b", "a/b", &"x".repeat(65)] {
        assert!(with(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn what_holds_a_group_has_process_ids_and_ipc_for_itself_and_nothing_else() {
    let container = ContainerInfo {
        hostname: Some("box".into()),
        linux_info: Some(LinuxInfo {
            share_pid_namespace: Some(false),
            ipc_mode: Some(IpcMode::Private as i32),
            shm_size: Some(8),
            ..LinuxInfo::default()
        }),
        ..ContainerInfo::default()
    };
    let expected = Confinement {
        shares_pids: Some(false),
        ipc: Some(Ipc::Private { shm_mb: Some(8) }),
        ..Confinement::default()
    };
    assert_eq!(of_holder(&container), expected);
}
