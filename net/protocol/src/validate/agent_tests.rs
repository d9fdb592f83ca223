use super::call;
use crate::codec::{Limits, json};

#[test]
fn calls() {
    let twice = r#""container_id":{"value":"c","parent":{"value":"b","parent":{"value":"a"}}}"#;
    let launch =
        |rest: &str| format!(r#"{{"type":"LAUNCH_CONTAINER","launch_container":{{{rest}}}}}"#);
    let gpus = r#"{"name":"gpus","type":"SCALAR","scalar":{"value":0.5}}"#;
    let reserved = r#"{"name":"cpus","type":"SCALAR","scalar":{"value":1},"role":"x"}"#;
    let revocable = r#"{"name":"cpus","type":"SCALAR","scalar":{"value":1},"revocable":{}}"#;
    let top = r#""container_id":{"value":"a"}"#;
    let cgroups = |value: bool| {
        format!(r#""container":{{"type":"MESOS","linux_info":{{"share_cgroups":{value}}}}}"#)
    };
    for (text, expected) in [
        ("{}".to_owned(), "Expecting 'type' to be present"),
        (r#"{"type":"GET_STATE"}"#.into(), ""),
        (r#"{"type":"GET_METRICS"}"#.into(), "Expecting 'get_metrics' to be present"),
        (r#"{"type":"WAIT_CONTAINER"}"#.into(), "Expecting 'wait_container' to be present"),
        (r#"{"type":"WAIT_CONTAINER","wait_container":{"container_id":{"value":"nope"}}}"#.into(), ""),
        (r#"{"type":"ATTACH_CONTAINER_INPUT","attach_container_input":{}}"#.into(), "Expecting 'attach_container_input.type' to be present"),
        (r#"{"type":"ATTACH_CONTAINER_INPUT","attach_container_input":{"type":"CONTAINER_ID"}}"#.into(), "'attach_container_input.container_id' is invalid: ID must not be empty"),
        (r#"{"type":"LAUNCH_NESTED_CONTAINER","launch_nested_container":{"container_id":{"value":"a"}}}"#.into(), "Expecting 'launch_nested_container.container_id.parent' to be present"),
        (r#"{"type":"KILL_NESTED_CONTAINER","kill_nested_container":{"container_id":{"value":"a"}}}"#.into(), "Expecting 'kill_nested_container.container_id.parent' to be present"),
        (format!(r#"{{"type":"LAUNCH_NESTED_CONTAINER","launch_nested_container":{{{twice},{}}}}}"#, cgroups(false)), "'launch_nested_container' is invalid: containers nested at the second level or greater cannot set 'share_cgroups' to 'false'"),
        (launch(r#""container_id":{"value":"a.b"}"#), "'launch_container.container_id' is invalid: 'ContainerID.value' 'a.b' contains invalid characters"),
        (launch(&format!(r#"{top},"resources":[{gpus}]"#)), "Invalid GPU resources: The 'gpus' resource must be an unsigned integer"),
        (launch(&format!(r#"{top},"resources":[{reserved}]"#)), "'launch_container.resources' must be unreserved"),
        (launch(&format!(r#"{top},"resources":[{revocable}]"#)), "'launch_container.resources' must be non-revocable"),
        (launch(&format!(r#"{top},"container":{{"type":"DOCKER"}}"#)), "'launch_container.container' is invalid: DockerInfo 'docker' is not set for DOCKER typed ContainerInfo"),
        (launch(&format!(r#"{top},"command":{{"environment":{{"variables":[{{"name":"V"}}]}}}}"#)), "'launch_container.command' is invalid: Environment variable 'V' of type 'VALUE' must have a value set"),
        (launch(&format!(r#"{twice},"resources":[{gpus}]"#).replace("0.5", "1")), "'launch_container' is invalid: containers nested at the second level or greater cannot specify resources"),
        (launch(&format!("{top},{}", cgroups(true))), "'launch_container' is invalid: containers without a parent cannot set 'share_cgroups' to 'true'"),
        (launch(&format!("{top},{}", cgroups(false))), ""),
        (
            format!(r#"{{"type":"LAUNCH_NESTED_CONTAINER_SESSION","launch_nested_container_session":{{"container_id":{{"value":"a","parent":{{"value":"b"}}}},{}}}}}"#, cgroups(false)),
            "'launch_nested_container_session.container.linux_info' is invalid: 'share_cgroups' cannot be set to 'false' for nested container sessions",
        ),
    ] {
        let message = json::decode(text.as_bytes(), &Limits::HTTP).expect(&text);
        assert_eq!(call(&message).err().unwrap_or_default(), expected, "{text}");
    }
}

/// What all calls about containers within others have in common, and what their launches add.
#[test]
fn calls_about_nested_containers() {
    let parent = r#""parent":{"value":"b"}"#;
    let told = |kind: &str, body: &str| {
        let field = kind.to_lowercase();
        let text = format!(r#"{{"type":"{kind}","{field}":{{{body}}}}}"#);
        let message = json::decode(text.as_bytes(), &Limits::HTTP).expect(&text);
        call(&message).err().unwrap_or_default()
    };
    for kind in [
        "LAUNCH_NESTED_CONTAINER",
        "LAUNCH_NESTED_CONTAINER_SESSION",
        "WAIT_NESTED_CONTAINER",
        "KILL_NESTED_CONTAINER",
        "REMOVE_NESTED_CONTAINER",
    ] {
        let field = kind.to_lowercase();
        let bare = format!(r#"{{"type":"{kind}"}}"#);
        let message = json::decode(bare.as_bytes(), &Limits::HTTP).expect(&bare);
        let expected = format!("Expecting '{field}' to be present");
        assert_eq!(call(&message), Err(expected), "{bare}");
        let id = |inner: &str| told(kind, &format!(r#""container_id":{{{inner}}}"#));
        let expected = format!(
            "'{field}.container_id' is invalid: 'ContainerID.value' 'no spaces allowed' contains invalid characters"
        );
        assert_eq!(id(r#""value":"no spaces allowed""#), expected);
        let expected = format!("Expecting '{field}.container_id.parent' to be present");
        assert_eq!(id(r#""value":"a""#), expected);
        assert_eq!(id(&format!(r#""value":"a",{parent}"#)), "");
        let deeper = r#""value":"a","parent":{"value":"b","parent":{"value":"c"}}"#;
        assert_eq!(id(deeper), "", "any number of parents");
    }
    for kind in ["LAUNCH_NESTED_CONTAINER", "LAUNCH_NESTED_CONTAINER_SESSION"] {
        let field = kind.to_lowercase();
        let id = format!(r#""container_id":{{"value":"a",{parent}}}"#);
        let variable = r#""command":{"value":"exit 0","environment":{"variables":[{"name":"ENV_VAR_KEY","type":"VALUE"}]}}"#;
        let expected = format!(
            "'{field}.command' is invalid: Environment variable 'ENV_VAR_KEY' of type 'VALUE' must have a value set"
        );
        assert_eq!(told(kind, &format!("{id},{variable}")), expected);
        let shared = r#""container":{"type":"MESOS","linux_info":{"share_cgroups":true}}"#;
        assert_eq!(told(kind, &format!("{id},{shared}")), "");
        let docker = r#""container":{"type":"DOCKER"}"#;
        let expected = format!(
            "'{field}.container' is invalid: DockerInfo 'docker' is not set for DOCKER typed ContainerInfo"
        );
        assert_eq!(told(kind, &format!("{id},{docker}")), expected);
    }
}
