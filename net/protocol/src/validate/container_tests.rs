use crate::codec::{Limits, json};
use crate::validate::{checks, container};

fn reason<T>(text: &str, validate: impl Fn(&T) -> super::Reason) -> String
where
    T: serde::de::DeserializeOwned + crate::descriptor::Described,
{
    let message = json::decode(text.as_bytes(), &Limits::HTTP).expect(text);
    validate(&message).err().unwrap_or_default()
}

#[test]
fn environments() {
    for (variable, expected) in [
        (r#""value":"v""#, ""),
        (
            r#""type":"VALUE""#,
            "Environment variable 'V' of type 'VALUE' must have a value set",
        ),
        (
            r#""value":"v","secret":{}"#,
            "Environment variable 'V' of type 'VALUE' must not have a secret set",
        ),
        (
            r#""type":"SECRET""#,
            "Environment variable 'V' of type 'SECRET' must have a secret set",
        ),
        (
            r#""type":"SECRET","secret":{},"value":"v""#,
            "Environment variable 'V' of type 'SECRET' must not have a value set",
        ),
        (
            r#""type":"SECRET","secret":{"type":"REFERENCE"}"#,
            "Environment variable 'V' specifies an invalid secret: Secret of type REFERENCE must have the 'reference' field set",
        ),
        (
            r#""type":"SECRET","secret":{"type":"VALUE","value":{"data":"AGE="}}"#,
            "Environment variable 'V' specifies a secret containing null bytes, which is not allowed in the environment",
        ),
        (
            r#""type":"UNKNOWN""#,
            "Environment variable of type 'UNKNOWN' is not allowed",
        ),
    ] {
        let text = format!(r#"{{"environment":{{"variables":[{{"name":"V",{variable}}}]}}}}"#);
        assert_eq!(reason(&text, container::command), expected, "{text}");
    }
}

#[test]
fn containers() {
    for (rest, expected) in [
        (r#""type":"MESOS""#, ""),
        (
            r#""type":"DOCKER""#,
            "DockerInfo 'docker' is not set for DOCKER typed ContainerInfo",
        ),
        (
            r#""type":"DOCKER","docker":{"image":"i","parameters":[{"key":"name","value":"n"}]}"#,
            "Parameter in DockerInfo must not be 'name'",
        ),
        (
            r#""type":"MESOS","volumes":[{"mode":"RW","container_path":"p"}]"#,
            "Invalid volume: Only one of them should be set: 'host_path', 'image' and 'source'",
        ),
        (
            r#""type":"MESOS","volumes":[{"mode":"RW","container_path":"p","source":{"type":"SECRET"}}]"#,
            "Invalid volume: 'source.secret' is not set for SECRET volume",
        ),
        (
            r#""type":"MESOS","volumes":[{"mode":"RW","container_path":"p","source":{"type":"CSI_VOLUME","csi_volume":{"plugin_name":"p"}}}]"#,
            "Invalid volume: 'source.csi_volume.static_provisioning' is not set for CSI volume",
        ),
        (
            r#""type":"MESOS","volumes":[{"mode":"RW","container_path":"p","source":{}}]"#,
            "Invalid volume: 'source.type' is unknown",
        ),
    ] {
        let text = format!("{{{rest}}}");
        assert_eq!(reason(&text, container::container), expected, "{text}");
    }
}

#[test]
fn health_checks() {
    for (text, expected) in [
        (r#"{}"#, "HealthCheck must specify 'type'"),
        (
            r#"{"type":"UNKNOWN"}"#,
            "'UNKNOWN' is not a valid health check type",
        ),
        (
            r#"{"type":"COMMAND"}"#,
            "Expecting 'command' to be set for COMMAND health check",
        ),
        (
            r#"{"type":"COMMAND","command":{}}"#,
            "Command health check must contain 'shell command'",
        ),
        (
            r#"{"type":"COMMAND","command":{"shell":false}}"#,
            "Command health check must contain 'executable path'",
        ),
        (
            r#"{"type":"HTTP"}"#,
            "Expecting 'http' to be set for HTTP health check",
        ),
        (
            r#"{"type":"HTTP","http":{"port":1,"scheme":"ftp"}}"#,
            "Unsupported HTTP health check scheme: 'ftp'",
        ),
        (
            r#"{"type":"HTTP","http":{"port":1,"path":"x"}}"#,
            "The path 'x' of HTTP health check must start with '/'",
        ),
        (
            r#"{"type":"TCP"}"#,
            "Expecting 'tcp' to be set for TCP health check",
        ),
        (
            r#"{"type":"TCP","tcp":{"port":1},"grace_period_seconds":-1}"#,
            "Expecting 'grace_period_seconds' to be non-negative",
        ),
        (r#"{"type":"TCP","tcp":{"port":1},"delay_seconds":0}"#, ""),
    ] {
        assert_eq!(reason(text, checks::health_check), expected, "{text}");
    }
}

#[test]
fn plain_checks() {
    for (text, expected) in [
        (r#"{}"#, "CheckInfo must specify 'type'"),
        (
            r#"{"type":"COMMAND"}"#,
            "Expecting 'command' to be set for COMMAND check",
        ),
        (
            r#"{"type":"COMMAND","command":{"command":{}}}"#,
            "Command check must contain 'shell command'",
        ),
        (
            r#"{"type":"HTTP","http":{"port":1,"path":"x"}}"#,
            "The path 'x' of HTTP check must start with '/'",
        ),
        (
            r#"{"type":"TCP","tcp":{"port":1},"timeout_seconds":-0.5}"#,
            "Expecting 'timeout_seconds' to be non-negative",
        ),
        (r#"{"type":"TCP","tcp":{"port":1}}"#, ""),
    ] {
        assert_eq!(reason(text, checks::check), expected, "{text}");
    }
}

#[test]
fn secrets() {
    let value = r#""value":{"data":"U0VDUkVU"}"#;
    let reference = r#""reference":{"name":"NAME"}"#;
    for (text, expected) in [
        (
            r#"{"type":"VALUE"}"#.to_owned(),
            "Secret of type VALUE must have the 'value' field set",
        ),
        (
            format!(r#"{{"type":"VALUE",{value},{reference}}}"#),
            "Secret of type VALUE must not have the 'reference' field set",
        ),
        (format!(r#"{{"type":"VALUE",{value}}}"#), ""),
        (
            r#"{"type":"REFERENCE"}"#.to_owned(),
            "Secret of type REFERENCE must have the 'reference' field set",
        ),
        (
            format!(r#"{{"type":"REFERENCE",{value},{reference}}}"#),
            "Secret 'NAME' of type REFERENCE must not have the 'value' field set",
        ),
        (format!(r#"{{"type":"REFERENCE",{reference}}}"#), ""),
    ] {
        assert_eq!(reason(&text, container::secret), expected, "{text}");
    }
}
