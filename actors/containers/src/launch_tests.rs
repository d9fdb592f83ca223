use super::*;
use crate::spec::RlimitKind;

fn spec(command: Command) -> LaunchSpec {
    LaunchSpec::new("c1", "/sandbox".into(), "/run/c1".into(), command)
}

fn shell(text: &str) -> LaunchSpec {
    spec(Command::Shell(text.into()))
}

#[test]
fn the_two_forms_of_a_command_become_one_vector() {
    let plan = shell("echo hi").plan("b00t", None);
    assert_eq!(
        (plan.program, plan.argv),
        (
            "/bin/sh".into(),
            vec!["sh".into(), "-c".into(), "echo hi".into()]
        )
    );
    assert_eq!(plan.working_dir, PathBuf::from("/sandbox"));

    let argv = vec!["zero".into(), "one".into()];
    let plan = spec(Command::Program {
        program: "prog".into(),
        argv: argv.clone(),
    })
    .plan("b00t", None);
    assert_eq!((plan.program, plan.argv), ("prog".into(), argv));

    let plan = spec(Command::Program {
        program: "prog".into(),
        argv: vec![],
    })
    .plan("b00t", None);
    assert_eq!(plan.argv, ["prog"]);
}

#[test]
fn forms_the_kernel_cannot_take_are_refused_before_anything_is_made() {
    assert_eq!(shell("true").check(), Ok(()));
    let bad = |change: fn(&mut LaunchSpec)| {
        let mut spec = shell("true");
        change(&mut spec);
        spec.check().expect_err("a broken launch was accepted")
    };
    let id = "a container id has";
    for (said, why) in [
        (bad(|s| s.container_id = "..".into()), id),
        (bad(|s| s.container_id = "a/b".into()), id),
        (bad(|s| s.container_id = String::new()), id),
        (bad(|s| s.container_id = "x".repeat(256)), id),
        (
            bad(|s| s.sandbox = "relative".into()),
            "sandbox must be an absolute",
        ),
        (bad(|s| s.stdout = "../out".into()), "the file for stdout"),
        (bad(|s| s.stderr = "..".into()), "the file for stderr"),
        (bad(|s| s.command = Command::Shell("a\0b".into())), "NUL"),
        (
            bad(|s| {
                s.command = Command::Program {
                    program: "".into(),
                    argv: vec![],
                }
            }),
            "no program",
        ),
        (bad(|s| drop(s.env.insert("A=".into(), "x".into()))), "'A='"),
        (
            bad(|s| drop(s.env.insert("A".into(), "hush\0".into()))),
            "'A' holds a NUL",
        ),
        (
            bad(|s| {
                s.rlimits = vec![Rlimit {
                    kind: RlimitKind::Core,
                    soft: None,
                    hard: Some(1),
                }]
            }),
            "Core",
        ),
    ] {
        assert!(said.contains(why) && !said.contains("hush"), "{said}");
    }
}
