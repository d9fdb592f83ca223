use crate::cli::AgentArgs;
use std::os::unix::fs::PermissionsExt;

use super::super::*;
use crate::cli::ExecutorArgs;

fn parsed(executors: ExecutorArgs) -> anyhow::Result<tepui_agent::AgentSettings> {
    agent(&AgentArgs {
        master: Some("127.0.0.1:5050".into()),
        work_dir: Some("/w".into()),
        executors,
        ..Default::default()
    })
}

#[test]
fn times_numbers_and_variables_are_as_the_flags_say() {
    let defaults = parsed(ExecutorArgs::default()).unwrap().executors;
    assert_eq!(defaults, Default::default());
    assert_eq!(defaults.registration_timeout, Duration::from_mins(1));
    let given = parsed(ExecutorArgs {
        executor_registration_timeout: Some("3mins".into()),
        executor_reregistration_timeout: Some("15secs".into()),
        executor_shutdown_grace_period: Some("20secs".into()),
        recovery_timeout: Some("1hrs".into()),
        executor_environment_variables: Some(r#"{"PATH": "/bin", "A": "b"}"#.into()),
        max_completed_executors_per_framework: Some(3),
        ..Default::default()
    });
    let given = given.unwrap().executors;
    assert_eq!(given.registration_timeout, Duration::from_mins(3));
    assert_eq!(given.reregistration_timeout, Duration::from_secs(15));
    assert_eq!(given.shutdown_grace, Duration::from_secs(20));
    assert_eq!(given.recovery_timeout, Duration::from_hours(1));
    assert_eq!(given.max_completed, 3);
    let variables = [("A", "b"), ("PATH", "/bin")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(given.environment, Some(variables.to_vec()));
}

#[test]
fn sockets_of_executors_are_where_an_absolute_path_says() {
    let with = |location: &str| {
        parsed(ExecutorArgs {
            http_executor_domain_sockets: Some(true),
            domain_socket_location: Some(location.into()),
            ..Default::default()
        })
    };
    let given = with("/srv/agent.sock").unwrap().executors;
    assert!(given.domain_sockets);
    assert_eq!(given.domain_socket, Some("/srv/agent.sock".into()));
    for wrong in ["agent.sock", "systemd:agent"] {
        let refused = with(wrong).unwrap_err().to_string();
        assert!(refused.contains("expected an absolute path"), "{refused}");
    }
}

#[test]
fn a_key_for_tokens_is_a_secret_and_is_needed_where_they_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, "secret").unwrap();
    let with = |mode| {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        parsed(ExecutorArgs {
            authenticate_http_executors: Some(true),
            jwt_secret_key: Some(path.display().to_string()),
            ..Default::default()
        })
    };
    let security = with(0o600).unwrap().security.executors;
    assert!(security.asked && security.key.is_some());
    assert!(format!("{:#}", with(0o644).unwrap_err()).contains("--jwt-secret-key"));
    // Keys are bytes, such as those of /dev/urandom.
    std::fs::write(&path, [0xff, 0, 0xfe]).unwrap();
    let key = with(0o600).unwrap().security.executors.key.unwrap();
    let token = concat!(
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.",
        "eyJjaWQiOiJjIiwiZWlkIjoiZSIsImZpZCI6ImYifQ.",
        "UF379MTuxMvQSdUz_Wc_ABwlPg9Th3uJETVPGx94fSs",
    );
    assert_eq!(key.verify(token).unwrap().container_id, "c");
    for length in [0, (1 << 20) + 1] {
        std::fs::write(&path, vec![7; length]).unwrap();
        assert!(format!("{:#}", with(0o600).unwrap_err()).contains("--jwt-secret-key"));
    }
}

#[test]
fn what_is_wrong_names_the_flag_and_what_was_expected() {
    let late = ExecutorArgs {
        executor_reregistration_timeout: Some("16secs".into()),
        ..Default::default()
    };
    let soon = ExecutorArgs {
        executor_registration_timeout: Some("soon".into()),
        ..Default::default()
    };
    let numbers = ExecutorArgs {
        executor_environment_variables: Some(r#"{"A": 1}"#.into()),
        ..Default::default()
    };
    let keyless = ExecutorArgs {
        authenticate_http_executors: Some(true),
        ..Default::default()
    };
    for (args, flag) in [
        (late, "--executor-reregistration-timeout"),
        (soon, "--executor-registration-timeout"),
        (numbers, "--executor-environment-variables"),
        (keyless, "--jwt-secret-key"),
    ] {
        let text = parsed(args).unwrap_err().to_string();
        assert!(text.contains(flag) && text.contains("expected"), "{text}");
    }
}
