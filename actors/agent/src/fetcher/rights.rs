//! Whose rights the fetcher works with: those of the task's user, although the agent may be root.
//!
//! A step works on a thread of its own whose view of the file system is the user's: with a foreign fsuid the
//! kernel takes root's power over files from that thread. Its real and effective ids stay the agent's: with those
//! given up, any process of the user could kill the agent through that thread. The thread ends with its work.

use std::{ffi::CString, sync::Arc, thread};

use nix::unistd::{Gid, Uid, User, geteuid, getgrouplist, setfsgid, setfsuid};
use tepui_kit::blocking;
use tepui_messages::containers::UserNumbers;
use tokio::sync::oneshot;

/// A user of this machine, not the one the agent runs as.
pub(super) struct Rights {
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
}

impl Rights {
    /// [`None`] where the agent is that user already.
    ///
    /// # Errors
    /// Words for the framework: there is no such user, or only root may act for others.
    pub(super) fn of(user: &str) -> Result<Option<Self>, String> {
        let found = Self::find(user)?;
        let own = geteuid();
        if found.uid == own {
            return Ok(None);
        }
        if !own.is_root() {
            return Err(format!(
                "an agent that runs as user id {own} cannot fetch for the user '{user}'; it must run as root for that"
            ));
        }
        Ok(Some(found))
    }

    fn find(user: &str) -> Result<Self, String> {
        if let Some(numbers) = UserNumbers::parse(user) {
            return Ok(Self {
                uid: Uid::from_raw(numbers.uid),
                gid: Gid::from_raw(numbers.gid),
                groups: numbers.groups.into_iter().map(Gid::from_raw).collect(),
            });
        }
        let found = User::from_name(user).map_err(|errno| errno.to_string())?;
        let found =
            found.ok_or_else(|| format!("the user '{user}' does not exist on this machine"))?;
        let name = CString::new(user).map_err(|error| error.to_string())?;
        let groups = getgrouplist(&name, found.gid).map_err(|errno| errno.to_string())?;
        Ok(Self {
            uid: found.uid,
            gid: found.gid,
            groups,
        })
    }

    /// From here on this thread sees the file system as the user does.
    fn assume(&self) -> Result<(), String> {
        let group = |gid: &Gid| rustix::thread::Gid::from_raw(gid.as_raw());
        let groups: Vec<_> = self.groups.iter().map(group).collect();
        rustix::thread::set_thread_groups(&groups).map_err(|errno| errno.to_string())?;
        setfsgid(self.gid);
        setfsuid(self.uid);
        // Neither says whether it worked; asked again, each tells what is set.
        if setfsgid(self.gid) != self.gid || setfsuid(self.uid) != self.uid {
            return Err(format!(
                "the agent cannot act for the user id {}; it lacks the capabilities CAP_SETUID and CAP_SETGID",
                self.uid
            ));
        }
        Ok(())
    }
}

/// Does blocking work on files with these rights, or with the agent's own.
pub(super) async fn acting<T: Send + 'static>(
    rights: Option<&Arc<Rights>>,
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let Some(rights) = rights.map(Arc::clone) else {
        return blocking(work).await;
    };
    let (tell, told) = oneshot::channel();
    let thread = thread::Builder::new().name("fetch".to_owned());
    let begun = thread.spawn(move || {
        // Nobody listens where the fetch was given up.
        drop(tell.send(rights.assume().and_then(|()| work())));
    });
    begun.map_err(|error| format!("no thread can be started ({error})"))?;
    told.await
        .unwrap_or_else(|_| Err("the work on its files broke off".to_owned()))
}
