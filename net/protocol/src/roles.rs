//! Role names: their syntax and the tree they form.
//!
//! Owns the rules of `a/b/c` (Mesos `src/common/roles.cpp`). Never knows which roles exist.

/// The role of what is reserved for nobody.
pub const ANY: &str = "*";

/// Tab, line feed, vertical tab, form feed, carriage return, space, DEL.
const FORBIDDEN: [char; 7] = ['\t', '\n', '\u{b}', '\u{c}', '\r', ' ', '\u{7f}'];

/// Checks the syntax of `role`; the error is Mesos' own sentence.
pub fn validate(role: &str) -> Result<(), String> {
    if role == ANY {
        return Ok(());
    }
    if role.starts_with('/') {
        return Err(format!("Role '{role}' cannot start with a slash"));
    }
    if role.ends_with('/') {
        return Err(format!("Role '{role}' cannot end with a slash"));
    }
    if role.contains("//") {
        return Err(format!("Role '{role}' cannot contain two adjacent slashes"));
    }
    if role.is_empty() {
        return Err("Role names cannot be the empty string".into());
    }
    role.split('/')
        .try_for_each(|component| validate_component(role, component))
}

fn validate_component(role: &str, component: &str) -> Result<(), String> {
    if matches!(component, "." | ".." | "*") {
        return Err(format!(
            "Role '{role}' cannot include '{component}' as a component"
        ));
    }
    if component.starts_with('-') {
        return Err(format!(
            "Role component '{component}' is invalid because it starts with a dash"
        ));
    }
    if component.contains(FORBIDDEN) {
        return Err(format!(
            "Role component '{component}' is invalid because it contains backspace or whitespace"
        ));
    }
    Ok(())
}

/// Whether `role` lies below `ancestor`: `a/b` below `a`, never `a` below itself.
#[must_use]
pub fn is_strict_subrole_of(role: &str, ancestor: &str) -> bool {
    role.strip_prefix(ancestor)
        .is_some_and(|rest| rest.starts_with('/'))
}

/// The roles above `role`, nearest first: `a/b/c` has `a/b` and `a`.
pub fn ancestors(role: &str) -> impl Iterator<Item = &str> {
    role.rmatch_indices('/').map(|(at, _)| &role[..at])
}

#[cfg(test)]
#[path = "roles_tests.rs"]
mod tests;
