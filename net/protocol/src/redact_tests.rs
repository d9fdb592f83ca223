use crate::codec::{Limits, json};

use super::*;

fn of<T: serde::de::DeserializeOwned + crate::descriptor::Described>(text: &str) -> T {
    json::decode(text.as_bytes(), &Limits::HTTP).unwrap()
}

#[test]
fn no_secret_is_shown_and_the_rest_is() {
    let secret = r#"{"type": "VALUE", "value": {"data": "Y2FuYXJ5"}}"#;
    let command = format!(
        r#"{{"value": "run", "environment": {{"variables": [
            {{"name": "PLAIN", "value": "shown"}}, {{"name": "HIDDEN", "type": "SECRET", "secret": {secret}}}]}}}}"#
    );
    let boxed = format!(
        r#"{{"type": "MESOS", "volumes": [{{"mode": "RO", "container_path": "key", "source": {{"type": "SECRET", "secret": {secret}}}}}]}}"#
    );
    let info: ExecutorInfo = of(&format!(
        r#"{{"executor_id": {{"value": "e"}}, "command": {command}, "container": {boxed}}}"#
    ));
    let shown = executor(&Arc::new(info));
    let text = String::from_utf8(json::encode(&*shown).unwrap()).unwrap();
    assert!(
        text.contains("shown") && text.contains("HIDDEN") && text.contains("key"),
        "{text}"
    );
    assert!(!text.contains("Y2FuYXJ5"), "{text}");
    let shown = json::encode(&container(&of(&boxed))).unwrap();
    assert!(!String::from_utf8(shown).unwrap().contains("Y2FuYXJ5"));
    let check: HealthCheck = of(&format!(r#"{{"type": "COMMAND", "command": {command}}}"#));
    let shown = json::encode(&health_check(&check)).unwrap();
    assert!(!String::from_utf8(shown).unwrap().contains("Y2FuYXJ5"));
}

#[test]
fn one_without_secrets_is_the_same() {
    let info: Arc<ExecutorInfo> = Arc::new(of(r#"{"executor_id": {"value": "e"}}"#));
    assert!(Arc::ptr_eq(&info, &executor(&info)));
}
