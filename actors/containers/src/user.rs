//! Owns turning a user's name into the numbers the shim sets. It may block on name services.

use crate::error::Error;
use crate::spec::Credentials;
use nix::unistd::{User, getgrouplist};
use std::ffi::CString;
use std::io;

/// The most supplementary groups a user may have here; the kernel takes 65 536.
const MAX_GROUPS: usize = 65_536;

/// The numbers of a user: uid, primary group and all groups as a login would get them.
pub fn lookup(name: &str) -> Result<Credentials, Error> {
    let user = User::from_name(name)
        .map_err(|errno| Error::Kernel {
            action: "look up a user",
            source: errno.into(),
        })?
        .ok_or_else(|| Error::UnknownUser(name.to_owned()))?;
    let c_name = CString::new(name).map_err(|_| Error::UnknownUser(name.to_owned()))?;
    let mut groups: Vec<u32> = getgrouplist(&c_name, user.gid)
        .map_err(|errno| Error::Kernel {
            action: "look up the groups of a user",
            source: errno.into(),
        })?
        .into_iter()
        .map(nix::unistd::Gid::as_raw)
        .collect();
    groups.sort_unstable();
    groups.dedup();
    if groups.len() > MAX_GROUPS {
        let source = io::Error::new(
            io::ErrorKind::InvalidData,
            format!("more than {MAX_GROUPS} groups"),
        );
        return Err(Error::Kernel {
            action: "use the groups of a user",
            source,
        });
    }
    Ok(Credentials {
        uid: user.uid.as_raw(),
        gid: user.gid.as_raw(),
        groups,
    })
}

/// What a launch by this agent has to set so that a command runs as this user: `None` where it is the agent's own.
pub fn switch_to(wanted: Credentials) -> Option<Credentials> {
    let own = rustix::process::geteuid();
    // Root sets even its own groups anew; anybody else may not, and need not.
    let is_own = own.as_raw() == wanted.uid && !own.is_root();
    (!is_own).then_some(wanted)
}
