use super::super::*;
use crate::cli::{AgentArgs, MachineArgs};

fn parsed(machine: MachineArgs) -> anyhow::Result<tepui_agent::AgentSettings> {
    agent(&AgentArgs {
        master: Some("127.0.0.1:5050".into()),
        work_dir: Some("/w".into()),
        machine,
        ..Default::default()
    })
}

#[test]
fn flags_about_the_machine_say_what_mesos_let_them_say() {
    let defaults = parsed(MachineArgs::default()).unwrap();
    assert_eq!(defaults.machine, Default::default());
    let given = parsed(MachineArgs {
        advertise_ip: Some("192.0.2.7".parse().unwrap()),
        advertise_port: Some(6051),
        ip_discovery_command: Some("echo 127.0.0.2".into()),
        switch_user: Some(false),
        default_role: Some("web".into()),
        runtime_dir: Some("/run/mesos".into()),
        cgroups_root: Some("/mesos/agent/".into()),
        cgroups_destroy_timeout: Some("2mins".into()),
        registration_backoff_factor: Some("3secs".into()),
        firewall_rules: Some(
            r#"{"disabled_endpoints": {"paths": ["/files/browse", "/state/"]}}"#.into(),
        ),
        nvidia_gpu_devices: None,
    });
    let given = given.unwrap();
    assert_eq!(given.ip, IpAddr::from([127, 0, 0, 2]));
    assert_eq!(given.hostname, "127.0.0.2");
    let machine = given.machine;
    assert_eq!(machine.advertise_ip, Some(IpAddr::from([192, 0, 2, 7])));
    assert_eq!(
        (machine.advertise_port, machine.switch_user),
        (Some(6051), false)
    );
    assert_eq!(
        (machine.default_role.as_str(), machine.cgroups_root.as_str()),
        ("web", "mesos/agent")
    );
    assert_eq!(machine.runtime_dir, Some("/run/mesos".into()));
    assert_eq!(machine.destroy_timeout, Duration::from_mins(2));
    assert_eq!(machine.registration_backoff, Duration::from_secs(3));
    let paths: Vec<_> = machine.disabled_endpoints.into_iter().collect();
    assert_eq!(paths, ["/files/browse", "/state"]);
}

#[test]
fn what_is_wrong_with_them_is_told() {
    let none = MachineArgs::default;
    for (wrong, word) in [
        (
            MachineArgs {
                default_role: Some("a/../b".into()),
                ..none()
            },
            "--default-role a/../b",
        ),
        (
            MachineArgs {
                runtime_dir: Some("run".into()),
                ..none()
            },
            "--runtime-dir run",
        ),
        (
            MachineArgs {
                cgroups_root: Some("../x".into()),
                ..none()
            },
            "--cgroups-root ../x",
        ),
        (
            MachineArgs {
                cgroups_destroy_timeout: Some("soon".into()),
                ..none()
            },
            "such as 1mins",
        ),
        (
            MachineArgs {
                firewall_rules: Some(r#"{"disabled": []}"#.into()),
                ..none()
            },
            "expected JSON",
        ),
        (
            MachineArgs {
                firewall_rules: Some(r#"{"disabled_endpoints": {"paths": ["x"]}}"#.into()),
                ..none()
            },
            "'x' is no path",
        ),
        (
            MachineArgs {
                ip_discovery_command: Some("echo here".into()),
                ..none()
            },
            "it printed 'here'",
        ),
        (
            MachineArgs {
                ip_discovery_command: Some("exit 3".into()),
                ..none()
            },
            "exit status: 3",
        ),
        (
            MachineArgs {
                nvidia_gpu_devices: Some("first".into()),
                ..none()
            },
            "--nvidia-gpu-devices first",
        ),
        // They are looked for where they lie.
        (
            MachineArgs {
                nvidia_gpu_devices: Some("0,997".into()),
                ..none()
            },
            "/dev/nvidia",
        ),
    ] {
        let refused = parsed(wrong).unwrap_err().to_string();
        assert!(refused.contains(word), "{refused}");
    }
}
