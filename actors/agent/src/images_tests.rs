use super::*;
use serde_json::{Value, json};
use tepui_messages::containers::{RootDirectory, VolumeLink};
use tepui_protocol::codec::{Limits, json as codec};

fn container(value: &Value) -> ContainerInfo {
    codec::decode(value.to_string().as_bytes(), &Limits::HTTP).expect("a container")
}

fn docker(more: Value) -> ContainerInfo {
    let mut docker = json!({"image": "box"});
    docker
        .as_object_mut()
        .expect("an object")
        .extend(more.as_object().expect("an object").clone());
    container(&json!({"type": "DOCKER", "docker": docker}))
}

fn made(entrypoint: &[&str], cmd: &[&str]) -> Provisioned {
    let all = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    Provisioned {
        root: RootDirectory {
            dir: "/roots/c".into(),
            overlay: None,
        },
        entrypoint: all(entrypoint),
        cmd: all(cmd),
        env: vec![
            "A=image".to_owned(),
            "B=image=b".to_owned(),
            "odd".to_owned(),
        ],
        working_dir: Some("/srv".into()),
        user: None,
    }
}

/// A command without a shell: its value, its arguments.
fn bare(value: Option<&str>, arguments: &[&str]) -> CommandInfo {
    CommandInfo {
        shell: Some(false),
        value: value.map(str::to_owned),
        arguments: arguments.iter().map(|&it| it.to_owned()).collect(),
        ..CommandInfo::default()
    }
}

fn ordered(container: &ContainerInfo, command: &CommandInfo, order: LaunchOrder) -> LaunchOrder {
    let asked = of(container).expect("it can be had").expect("an image");
    asked.order(order, command, Path::new("/mnt/sandbox"))
}

fn argv(
    container: &ContainerInfo,
    command: &CommandInfo,
    image: Provisioned,
) -> Result<Vec<String>, String> {
    let order = ordered(container, command, LaunchOrder::default());
    let done = complete(order, image)?;
    assert_eq!(
        done.program,
        if command.shell() {
            "/bin/sh"
        } else {
            done.argv[0].as_str()
        }
    );
    Ok(done.argv)
}

fn mesos() -> ContainerInfo {
    container(
        &json!({"type": "MESOS", "mesos": {"image": {"type": "DOCKER", "docker": {"name": "box"}}}}),
    )
}

/// The table in Mesos' `isolators/docker/runtime.cpp`, row by row.
#[test]
fn a_mesos_container_completes_its_command_by_the_table() {
    let kinds = [
        made(&[], &[]),
        made(&[], &["c0", "c1"]),
        made(&["e0", "e1"], &[]),
        made(&["e0", "e1"], &["c0", "c1"]),
    ];
    let row = |command: &CommandInfo| {
        kinds
            .clone()
            .map(|image| argv(&mesos(), command, image).map(|argv| argv.join(" ")))
    };
    let text = |text: &str| Ok(text.to_owned());
    let none = || Err("No executable is found".to_owned());
    assert_eq!(
        row(&bare(None, &[])),
        [none(), text("c0 c1"), text("e0 e1"), text("e0 e1 c0 c1")]
    );
    assert_eq!(
        row(&bare(None, &["x"]))[1..],
        [text("c0 x"), text("e0 e1 x"), text("e0 e1 x")]
    );
    assert_eq!(row(&bare(Some("v"), &[])), [(); 4].map(|()| text("v")));
    let shell = CommandInfo {
        value: Some("v w".to_owned()),
        ..CommandInfo::default()
    };
    assert_eq!(row(&shell), [(); 4].map(|()| text("sh -c v w")));
    let silent = CommandInfo::default();
    assert_eq!(
        row(&silent),
        [(); 4].map(|()| Err("Shell specified but no command value provided".to_owned()))
    );
}

#[test]
fn the_first_of_a_value_s_arguments_is_its_name() {
    let order = ordered(
        &mesos(),
        &bare(Some("/bin/v"), &["name", "x"]),
        LaunchOrder::default(),
    );
    let done = complete(order, made(&["e"], &["c"])).expect("it runs");
    assert_eq!(
        (done.program.as_str(), done.argv.join(" ").as_str()),
        ("/bin/v", "name x")
    );
}

#[test]
fn a_docker_container_completes_its_command_as_docker_does() {
    let docker = docker(json!({}));
    let run = |command: &CommandInfo, image: Provisioned| {
        argv(&docker, command, image).map(|argv| argv.join(" "))
    };
    let text = |text: &str| Ok(text.to_owned());
    assert_eq!(
        run(&bare(None, &[]), made(&[], &["c0", "c1"])),
        text("c0 c1")
    );
    assert_eq!(
        run(&bare(None, &["x", "y"]), made(&[], &["c0", "c1"])),
        text("x y")
    );
    assert_eq!(
        run(&bare(Some("v"), &["x"]), made(&["e"], &["c"])),
        text("e v x")
    );
    assert_eq!(
        run(&bare(Some("v"), &["x"]), made(&[], &["c"])),
        text("v x")
    );
    assert!(run(&bare(None, &[]), made(&[], &[])).is_err());
}

#[test]
fn variables_of_the_image_come_last() {
    let order = LaunchOrder {
        env: vec![("A".to_owned(), "task".to_owned())],
        ..LaunchOrder::default()
    };
    let done = complete(
        ordered(&mesos(), &bare(Some("v"), &[]), order),
        made(&[], &[]),
    )
    .expect("it runs");
    let shown: Vec<String> = done
        .env
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(
        shown,
        ["A=task", "B=image=b", &format!("PATH={DEFAULT_PATH}")]
    );
    assert_eq!(done.working_dir, Some("/srv".into()));
    assert_eq!(done.root, Some(made(&[], &[]).root));
}

#[test]
fn an_image_gives_nobody_more_rights_than_its_task_has() {
    let user = |container: &ContainerInfo, user: Option<&str>| {
        let order = LaunchOrder {
            user: user.map(str::to_owned),
            ..LaunchOrder::default()
        };
        ordered(container, &bare(Some("v"), &[]), order)
            .image
            .expect("an image")
            .user
    };
    let named = docker(json!({"parameters": [{"key": "user", "value": "box"}]}));
    assert_eq!(user(&docker(json!({})), Some("root")), ImageUser::Image);
    assert_eq!(user(&docker(json!({})), None), ImageUser::Image);
    assert_eq!(user(&docker(json!({})), Some("alice")), ImageUser::Task);
    assert_eq!(
        user(&named, Some("root")),
        ImageUser::Named("box".to_owned())
    );
    assert_eq!(user(&named, Some("alice")), ImageUser::Task);
    assert_eq!(
        user(&mesos(), Some("root")),
        ImageUser::Task,
        "as Mesos, which looks at the task's alone"
    );
}

#[test]
fn options_of_docker_run() {
    let pair = |key: &str, value: &str| json!({"key": key, "value": value});
    let parameters = json!({"parameters": [pair("env", "A=1=2"), pair("w", "/etc"), pair("v", "/host:/inner:ro"), pair("label", "x"), pair("entrypoint", "/e")]});
    let order = LaunchOrder {
        container_id: "c".to_owned(),
        volumes: vec![VolumeLink {
            source: "/volumes/v".into(),
            container_path: "data".to_owned(),
            read_only: false,
        }],
        ..LaunchOrder::default()
    };
    let order = ordered(&docker(parameters), &bare(None, &["x"]), order);
    let env: Vec<_> = order
        .env
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(env, ["A=1=2", "MESOS_CONTAINER_NAME=mesos-c"]);
    let mounts: Vec<_> = order
        .confinement
        .mounts
        .iter()
        .map(|it| (it.source.clone(), it.read_only))
        .collect();
    let expected = [
        (MountSource::Host("/host".into()), true),
        (MountSource::Persistent("/volumes/v".into()), false),
    ];
    assert_eq!(mounts, expected);
    assert!(order.volumes.is_empty(), "a link would lead nowhere");
    let done = complete(order, made(&["e"], &["c"])).expect("it runs");
    assert_eq!(
        (done.argv.join(" ").as_str(), done.working_dir),
        ("/e x", Some("/etc".into()))
    );
}

#[test]
fn what_cannot_be_had_is_refused_in_words() {
    let parameter =
        |key: &str, value: &str| docker(json!({"parameters": [{"key": key, "value": value}]}));
    let secret = json!({"type": "MESOS", "mesos": {"image": {"type": "DOCKER", "docker": {"name": "b", "config": {"type": "VALUE", "value": {"data": "e30="}}}}}});
    for (container, words) in [
        (docker(json!({"privileged": true})), "privileged"),
        (docker(json!({"volume_driver": "x"})), "volume drivers"),
        (
            parameter("device", "/dev/sda"),
            "does not know the Docker parameter 'device'",
        ),
        (parameter("env", "A"), "expected NAME=value"),
        (parameter("workdir", "../etc"), "an absolute path"),
        (parameter("volume", "/a:/../b"), "expected /host/path"),
        (parameter("volume", "name:/b"), "expected /host/path"),
        (
            container(
                &json!({"type": "MESOS", "mesos": {"image": {"type": "APPC", "appc": {"name": "a"}}}}),
            ),
            "type DOCKER only",
        ),
        (
            container(&json!({"type": "MESOS", "mesos": {"image": {"type": "DOCKER"}}})),
            "is not set",
        ),
        (container(&secret), "--docker_config"),
        (container(&json!({"type": "DOCKER"})), "is not set"),
    ] {
        let refused = of(&container).expect_err(words);
        assert!(refused.contains(words), "{refused}");
    }
    assert_eq!(of(&container(&json!({"type": "MESOS"}))), Ok(None));
}
