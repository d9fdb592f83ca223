use super::super::*;
use crate::cli::AgentArgs;
use crate::cli::SandboxArgs;

fn parsed(sandboxes: SandboxArgs) -> anyhow::Result<tepui_agent::SandboxSettings> {
    let settings = agent(&AgentArgs {
        master: Some("127.0.0.1:5050".into()),
        work_dir: Some("/w".into()),
        sandboxes,
        ..Default::default()
    });
    settings.map(|settings| settings.sandboxes)
}

#[test]
fn old_sandboxes_go_as_the_flags_say() {
    let defaults = parsed(SandboxArgs::default()).unwrap().gc;
    assert_eq!(defaults, Default::default());
    let gc = parsed(SandboxArgs {
        gc_delay: Some("2days".into()),
        gc_disk_headroom: Some(0.25),
        gc_non_executor_container_sandboxes: Some(true),
        disk_watch_interval: Some("10secs".into()),
        ..Default::default()
    })
    .unwrap()
    .gc;
    assert_eq!(gc.delay, Duration::from_hours(48));
    assert_eq!((gc.headroom, gc.within), (0.25, true));
    assert_eq!(gc.interval, Duration::from_secs(10));
}

#[test]
fn what_is_wrong_names_the_flag_and_what_was_expected() {
    let delay = SandboxArgs {
        gc_delay: Some("soon".into()),
        ..Default::default()
    };
    let headroom = SandboxArgs {
        gc_disk_headroom: Some(1.5),
        ..Default::default()
    };
    let interval = SandboxArgs {
        disk_watch_interval: Some("1ms".into()),
        ..Default::default()
    };
    let logger = SandboxArgs {
        container_logger: Some("syslog".into()),
        ..Default::default()
    };
    let recover = SandboxArgs {
        recover: Some("forget".into()),
        ..Default::default()
    };
    let policy = SandboxArgs {
        reconfiguration_policy: Some("any".into()),
        ..Default::default()
    };
    for (args, flag) in [
        (recover, "--recover"),
        (policy, "--reconfiguration-policy"),
        (logger, "--container-logger"),
        (delay, "--gc-delay"),
        (headroom, "--gc-disk-headroom"),
        (interval, "--disk-watch-interval"),
    ] {
        let text = parsed(args).unwrap_err().to_string();
        assert!(text.contains(flag) && text.contains("expected"), "{text}");
    }
}
