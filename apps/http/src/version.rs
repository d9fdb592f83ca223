//! `/version`: which Mesos we speak and which build this is.

use serde_json::{Map, Value};
use tepui_protocol::v1::VersionInfo;

use crate::{incoming::Incoming, reply::Reply};

/// The release of Mesos whose API is spoken: clients compare it.
pub const MESOS_VERSION: &str = "1.11.0";

/// Seconds since 1970 of this build; zero where the stamp is no number.
pub fn build_time() -> f64 {
    env!("TEPUI_BUILD_TIME").parse().unwrap_or(0.0)
}

/// This build, in the fields that Mesos' clients read.
pub fn own() -> VersionInfo {
    let seconds = build_time();
    VersionInfo {
        version: MESOS_VERSION.to_string(),
        build_date: Some(calendar(seconds as u64)),
        build_time: Some(seconds),
        build_user: Some("tepui".to_string()),
        git_sha: Some(env!("TEPUI_GIT_SHA").to_string()),
        git_branch: None,
        git_tag: Some(env!("CARGO_PKG_VERSION").to_string()),
    }
}

/// `2020-11-24 15:38:37`, UTC. The date after H. Hinnant, "chrono-compatible low-level date algorithms".
fn calendar(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!(
        "{year}-{month:02}-{day:02} {:02}:{:02}:{:02}",
        rest / 3_600,
        rest / 60 % 60,
        rest % 60
    )
}

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

#[cfg(test)]
mod tests {
    #[test]
    fn seconds_become_a_date() {
        assert_eq!(super::calendar(1_606_232_317), "2020-11-24 15:38:37");
        assert_eq!(super::calendar(951_782_400), "2000-02-29 00:00:00");
    }
}
