use std::{ffi::OsString, os::unix::ffi::OsStringExt};

use super::*;

fn with(given: &[&str], variables: &[(&str, &str)]) -> Result<(Vec<String>, Vec<String>), String> {
    let given = given.iter().map(OsString::from).collect();
    let variables = variables
        .iter()
        .map(|(name, value)| (name.into(), value.into()));
    let found = translate(given, variables)?;
    let arguments = found.arguments.into_iter();
    let arguments = arguments.map(|it| it.into_string().unwrap()).collect();
    Ok((arguments, found.notes))
}

#[test]
fn flags_are_spelt_as_mesos_spells_them_too() {
    let given = [
        "tepui",
        "agent",
        "--work_dir=/w_d",
        "--no-switch_user",
        "--no-network-cni-metrics",
        "--ip",
        "--cgroups_enable_cfs",
        "x_y",
        "--",
        "--executor_environment_variables={\"A_B\": \"c=d\"}",
    ];
    let expected = [
        "tepui",
        "agent",
        "--work-dir=/w_d",
        "--switch-user=false",
        "--network-cni-metrics=false",
        "--ip",
        "--cgroups-enable-cfs",
        "x_y",
        "--",
        "--executor-environment-variables={\"A_B\": \"c=d\"}",
    ];
    let (arguments, notes) = with(&given, &[]).unwrap();
    assert_eq!(arguments, expected);
    assert!(notes.is_empty());
    // What a command line of ours says of its own is left alone.
    let other = ["tepui", "exec", "task", "--no-tty", "--", "a", "--b_c"];
    assert_eq!(with(&other, &[("MESOS_MODULES", "x")]).unwrap().0, other);
    let master = ["tepui", "master", "--root_submissions=false", "--modules=x"];
    assert_eq!(with(&master, &[]).unwrap().0[2], "--root-submissions=false");
}

#[test]
fn a_value_that_is_no_text_is_left_as_it_is() {
    let argument = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    let given = ["tepui", "agent"].map(OsString::from).into_iter();
    let given = given.chain([argument(b"--work_dir=/w\xff_d=")]).collect();
    let found = translate(given, std::iter::empty()).unwrap();
    assert_eq!(found.arguments[2], argument(b"--work-dir=/w\xff_d="));
}

#[test]
fn what_has_no_meaning_here_is_overlooked_with_a_word_or_refused_with_what_to_do() {
    let agent = |flag: &str| with(&["tepui", "agent", flag], &[]);
    for taken in [
        "--launcher=linux",
        "--image_providers=docker",
        "--no-hostname_lookup",
        "--authorizer=local",
    ] {
        assert_eq!(
            agent(taken).unwrap(),
            (vec!["tepui".to_owned(), "agent".to_owned()], vec![]),
            "{taken}"
        );
    }
    let (arguments, notes) = agent("--log_dir=/var/log").unwrap();
    assert_eq!(arguments.len(), 2);
    assert_eq!(
        notes,
        ["--log_dir is overlooked: the log lies in log/ of the work directory"]
    );
    for (flag, word) in [
        ("--image_providers=APPC", "type DOCKER only"),
        ("--modules=file:///m", "no modules"),
        (
            "--xfs-project-range=[1-2]",
            "--enforce-container-disk-quota",
        ),
        ("--hostname_lookup", "--hostname NAME"),
        ("--egress_rate_limit_per_container=1MB", "CNI"),
    ] {
        let refused = agent(flag).unwrap_err();
        assert!(
            refused.starts_with("--") && refused.contains(word),
            "{refused}"
        );
    }
    let environment = |name, value| with(&["tepui", "agent"], &[(name, value)]);
    assert!(
        environment("MESOS_MODULES", "x")
            .unwrap_err()
            .starts_with("MESOS_MODULES: ")
    );
    assert_eq!(environment("MESOS_STRICT", "true").unwrap().1.len(), 1);
    assert_eq!(
        environment("MESOS_IMAGE_PROVIDERS", "docker")
            .unwrap()
            .1
            .len(),
        0
    );
    assert_eq!(environment("MESOS_SANDBOX", "/s").unwrap().1.len(), 0);
}
