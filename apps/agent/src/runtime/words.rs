//! Users and errors, from words and to words.

use tepui_containers::{Credentials, Error, user};
use tepui_messages::containers::UserNumbers;

/// Whom a name of this machine, or a text of numbers, stands for; `None`: the agent's own user.
pub(super) fn credentials(user: Option<&str>) -> Result<Option<Credentials>, String> {
    let Some(user) = user else { return Ok(None) };
    if let Some(numbers) = UserNumbers::parse(user) {
        let UserNumbers { uid, gid, groups } = numbers;
        let credentials = Credentials { uid, gid, groups };
        return Ok(user::switch_to(credentials));
    }
    let credentials = user::lookup(user).map_err(|error| told(&error))?;
    Ok(user::switch_to(credentials))
}

/// An error with its causes, in one line.
pub(crate) fn told(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    text
}
