use crate::machine::tests::{Stage, id, info};
use crate::{Command, MAX_REFUSALS_PER_FRAMEWORK, MAX_REFUSED_BYTES, Outcome, Refused};

fn stage() -> Stage {
    let mut stage = Stage::new();
    for framework in ["f", "g"] {
        stage.apply(Command::AdmitFramework {
            id: id(framework),
            info: info("info"),
            suppressed: vec![],
        });
    }
    stage
}

fn refused(framework: &str, agent: &str, role: &str, until_nanos: i64) -> Refused {
    Refused {
        framework: id(framework),
        agent: id(agent),
        role: id(role),
        until_nanos,
        resources: info("cpus"),
    }
}

fn refuse(now_nanos: i64, refused: Vec<Refused>) -> Command {
    Command::RefuseOffers { now_nanos, refused }
}

/// Framework, agent, role and until when.
fn kept(stage: &Stage) -> Vec<String> {
    let mut kept = Vec::new();
    for (framework, agents) in stage.registry().refusals {
        for (agent, roles) in agents {
            for (role, record) in roles {
                let until = record.until_nanos;
                kept.push(format!("{framework} {agent} {role} {until}"));
            }
        }
    }
    assert_eq!(stage.reloaded(), stage.registry());
    kept
}

#[test]
fn refusals_end_with_what_they_are_of() {
    let mut stage = stage();
    stage.apply(refuse(
        1,
        vec![
            refused("f", "a", "r", 9),
            refused("f", "a", "s", 9),
            refused("f", "b", "r", 9),
            refused("f", "b", "r", 7),
            refused("g", "a", "r", 9),
            refused("unknown", "a", "r", 9),
        ],
    ));
    let all = ["f a r 9", "f a s 9", "f b r 7", "g a r 9"];
    assert_eq!(kept(&stage), all);
    let again = refuse(1, vec![refused("f", "b", "r", 7)]);
    assert_eq!(stage.apply(again), Outcome::changed(false));
    stage.apply(Command::ForgetRefusals {
        id: id("f"),
        roles: vec![id("r")],
    });
    assert_eq!(kept(&stage), ["f a s 9", "g a r 9"]);
    stage.apply(Command::FrameworksAway {
        now_nanos: 2,
        deadlines: vec![(id("f"), 9)],
    });
    assert_eq!(kept(&stage), ["g a r 9"]);
    stage.apply(Command::RemoveFramework {
        id: id("g"),
        at_nanos: 1,
    });
    assert!(kept(&stage).is_empty());
}

#[test]
fn so_many_are_kept_and_those_that_have_ended_make_room() {
    let mut stage = stage();
    let agents = 0..MAX_REFUSALS_PER_FRAMEWORK;
    let many = agents.map(|number| refused("f", &number.to_string(), "r", 9 + number as i64 % 2));
    stage.apply(refuse(1, many.collect()));
    assert_eq!(kept(&stage).len(), MAX_REFUSALS_PER_FRAMEWORK);
    stage.apply(refuse(1, vec![refused("f", "one more", "r", 99)]));
    assert!(!kept(&stage).contains(&id("f one more r 99")));
    // One that is known is replaced all the same.
    stage.apply(refuse(1, vec![refused("f", "7", "r", 99)]));
    assert!(kept(&stage).contains(&id("f 7 r 99")));
    stage.apply(refuse(9, vec![refused("f", "one more", "r", 99)]));
    assert!(kept(&stage).contains(&id("f one more r 99")));
    assert_eq!(kept(&stage).len(), MAX_REFUSALS_PER_FRAMEWORK / 2 + 1);
    let mut huge = refused("g", "a", "r", 9);
    huge.resources = vec![0; MAX_REFUSED_BYTES + 1].into();
    stage.apply(refuse(9, vec![huge]));
    assert!(!kept(&stage).iter().any(|it| it.starts_with("g ")));
}
