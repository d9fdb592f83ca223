//! `/version`: which Mesos we speak and which build this is.

use serde_json::{Map, Value};
use tepui_protocol::v1::VersionInfo;

use crate::{incoming::Incoming, reply::Reply};

/// The release of Mesos whose API is spoken: clients compare it.
pub const MESOS_VERSION: &str = "1.11.0";

/// `/version`: what is known, keys in alphabetical order.
pub fn version(info: &VersionInfo, request: &Incoming) -> Reply {
    let mut object = Map::new();
    let texts = [
        ("build_date", &info.build_date),
        ("build_user", &info.build_user),
        ("git_branch", &info.git_branch),
        ("git_sha", &info.git_sha),
        ("git_tag", &info.git_tag),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            object.insert(name.to_string(), text.as_str().into());
        }
        if name == "build_date"
            && let Some(time) = info.build_time
        {
            object.insert("build_time".to_string(), time.into());
        }
    }
    object.insert("version".to_string(), info.version.as_str().into());
    Reply::json(
        Value::Object(object).to_string(),
        request.parameter("jsonp"),
    )
}
