//! What each request means.

use super::{ConnectionId, Core, Effect};
use crate::{
    reply::{Body, Code, EventKind, Found, Outgoing},
    request::{Numbered, Read, ReadKind, Request, WatchSet},
    tree::Node,
    watches::Table,
};

impl Core {
    pub(super) fn request(
        &mut self,
        id: ConnectionId,
        numbered: Numbered,
        effects: &mut Vec<Effect>,
    ) {
        let Numbered { xid, request } = numbered;
        if self.session(id) == 0 {
            return self.close(id, effects);
        }
        let last = matches!(request, Request::Close);
        let mut zxid = self.tree.zxid();
        let result = match request {
            Request::Ping | Request::Close => Ok(Body::Empty),
            Request::Read(read) => self.read(id, read).map(Body::Found),
            Request::MultiRead(reads) => {
                let results = reads.into_iter().map(|read| self.read(id, read));
                Ok(Body::Many(results.collect()))
            }
            Request::Acl { path } => self.find(&path).map(|node| Body::Acl(node.stat())),
            Request::Sync { path } => self.bounded(&path).map(|()| Body::Path(path)),
            Request::Auth { scheme } => {
                zxid = 0;
                authenticate(&scheme)
            }
            Request::SetWatches {
                relative_zxid,
                data,
                exist,
                child,
            } => {
                let known = self.tree.has_been_at(relative_zxid);
                let since = if known { relative_zxid } else { i64::MIN };
                let lists = [
                    (Left::Data, data),
                    (Left::Exists, exist),
                    (Left::Children, child),
                ];
                self.set_watches(id, since, lists, effects)
            }
            Request::RemoveWatches {
                path,
                set,
                only_check,
            } => self.remove_watches(id, &path, set, only_check),
            Request::Write => Err(Code::NotReadOnly),
            Request::Unknown => Err(Code::Unimplemented),
            Request::Malformed => Err(Code::Marshalling),
        };
        let refused = matches!(result, Err(Code::AuthFailed));
        self.send(id, Outgoing::Reply { xid, zxid, result }, effects);
        if last || refused {
            self.close(id, effects);
        }
    }

    fn bounded(&self, path: &str) -> Result<(), Code> {
        match path.len() <= self.settings.max_path_bytes {
            true => Ok(()),
            false => Err(Code::BadArguments),
        }
    }

    fn find(&self, path: &str) -> Result<&Node, Code> {
        self.bounded(path)?;
        self.tree.get(path).ok_or(Code::NoNode)
    }

    fn read(&mut self, id: ConnectionId, read: Read) -> Result<Found, Code> {
        let Read { kind, path, watch } = read;
        let found = self.find(&path).map(|node| match kind {
            ReadKind::Exists => Found::Stat(node.stat()),
            ReadKind::Data => Found::Data(node.data().clone(), node.stat()),
            ReadKind::Children => Found::Children(node.children()),
            ReadKind::Children2 => Found::Children2(node.children(), node.stat()),
        });
        // Only exists may wait for a node that is not there yet.
        let leaves_watch = match &found {
            Ok(_) => watch,
            Err(Code::NoNode) => watch && kind == ReadKind::Exists,
            Err(_) => false,
        };
        let table = match kind {
            ReadKind::Exists | ReadKind::Data => Table::Data,
            ReadKind::Children | ReadKind::Children2 => Table::Children,
        };
        if leaves_watch && !self.watches.add(id, table, &path) {
            return Err(Code::BadArguments);
        }
        found
    }

    /// Watches that would have fired meanwhile fire now, before the answer; the others are set.
    fn set_watches(
        &mut self,
        id: ConnectionId,
        since: i64,
        lists: [(Left, Vec<String>); 3],
        effects: &mut Vec<Effect>,
    ) -> Result<Body, Code> {
        let asked: usize = lists.iter().map(|(_, paths)| paths.len()).sum();
        if asked > self.settings.max_watches {
            return Err(Code::BadArguments);
        }
        let mut fits = true;
        for (left, paths) in lists {
            for path in paths {
                if self.bounded(&path).is_err() {
                    fits = false;
                    continue;
                }
                let stat = self.tree.get(&path).map(Node::stat);
                let event = match (left, stat) {
                    (Left::Exists, Some(_)) => Some(EventKind::Created),
                    (Left::Exists, None) => None,
                    (Left::Data | Left::Children, None) => Some(EventKind::Deleted),
                    (Left::Data, Some(stat)) => {
                        (stat.mzxid > since).then_some(EventKind::DataChanged)
                    }
                    (Left::Children, Some(stat)) => {
                        (stat.pzxid > since).then_some(EventKind::ChildrenChanged)
                    }
                };
                match event {
                    Some(kind) => self.send(id, Outgoing::Event { kind, path }, effects),
                    None => fits &= self.watches.add(id, left.table(), &path),
                }
            }
        }
        if fits {
            Ok(Body::Empty)
        } else {
            Err(Code::BadArguments)
        }
    }

    fn remove_watches(
        &mut self,
        id: ConnectionId,
        path: &str,
        set: WatchSet,
        only_check: bool,
    ) -> Result<Body, Code> {
        let tables: &[Table] = match set {
            WatchSet::Children => &[Table::Children],
            WatchSet::Data => &[Table::Data],
            WatchSet::Any => &[Table::Data, Table::Children],
        };
        if !tables
            .iter()
            .any(|table| self.watches.has(id, *table, path))
        {
            return Err(Code::NoWatcher);
        }
        if !only_check {
            for table in tables {
                self.watches.remove(id, *table, path);
            }
        }
        Ok(Body::Empty)
    }
}

/// What left a watch that a client sets again.
#[derive(Debug, Clone, Copy)]
enum Left {
    Data,
    Exists,
    Children,
}

impl Left {
    fn table(self) -> Table {
        match self {
            Left::Data | Left::Exists => Table::Data,
            Left::Children => Table::Children,
        }
    }
}

/// ZooKeeper takes whatever name and password come with these two: they decide only what its access lists allow.
fn authenticate(scheme: &str) -> Result<Body, Code> {
    match scheme {
        "digest" | "ip" => Ok(Body::Empty),
        _ => Err(Code::AuthFailed),
    }
}
