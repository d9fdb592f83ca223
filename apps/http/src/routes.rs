//! Which route a path means: libprocess' rule, where the longest route that is a prefix wins.

/// The routes of one daemon. `own` ones answer with and without `/<process>` before them, `others` (those of
/// other libprocess actors in Mesos) only as they stand. Routes have no leading slash.
#[derive(Debug, Clone, Copy)]
pub struct Table<R: 'static> {
    pub process: &'static str,
    pub own: &'static [(&'static str, R)],
    pub others: &'static [(&'static str, R)],
}

/// A route and what came after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found<'p, R> {
    pub route: R,
    /// The part of the path that is the route, without slash before and after.
    pub name: &'static str,
    /// What follows the route, after the slash; `None` if the path ends with it.
    pub rest: Option<&'p str>,
}

impl<R: Copy> Table<R> {
    /// Looks a decoded path up.
    pub fn find<'p>(&self, path: &'p str) -> Option<Found<'p, R>> {
        let path = path.strip_prefix('/')?;
        let (process, below) = path.split_once('/').unwrap_or((path, ""));
        // Behind the name of a process they count as one (libprocess: `ProcessBase::consume`).
        let below = below.trim_start_matches('/');
        let other = self.others.iter().filter_map(|(name, route)| {
            let (of, tail) = name.split_once('/').unwrap_or((name, ""));
            let rest = match tail {
                "" => path.contains('/').then_some(below),
                tail => rest_of(below, tail)?,
            };
            let route = *route;
            (of == process).then_some(Found { route, name, rest })
        });
        if let Some(found) = other.max_by_key(|found| found.name.len()) {
            return Some(found);
        }
        match process == self.process {
            true => longest(self.own, below),
            false => longest(self.own, path.trim_start_matches('/')),
        }
    }

    /// The one path by which rules know a route, however it was asked for.
    pub fn rule_path(&self, found: &Found<'_, R>) -> String {
        match self.own.iter().any(|(name, _)| *name == found.name) {
            true => format!("/{}/{}", self.process, found.name),
            false => format!("/{}", found.name),
        }
    }

    /// Whether the path is the root of the daemon: `/`, `//`, `/master`, `/master/`.
    pub fn is_root(&self, path: &str) -> bool {
        let path = path.strip_prefix('/').unwrap_or(path);
        let path = path.strip_suffix('/').unwrap_or(path);
        path.is_empty() || path == self.process
    }
}

fn longest<'p, R: Copy>(
    routes: &'static [(&'static str, R)],
    path: &'p str,
) -> Option<Found<'p, R>> {
    let found = routes.iter().filter_map(|(name, route)| {
        let rest = rest_of(path, name)?;
        let route = *route;
        Some(Found { route, name, rest })
    });
    found.max_by_key(|found| found.name.len())
}

/// What follows `name` in `path`, if that begins with it: nothing, or what is behind a slash.
fn rest_of<'p>(path: &'p str, name: &str) -> Option<Option<&'p str>> {
    match path.strip_prefix(name)? {
        "" => Some(None),
        rest => rest.strip_prefix('/').map(Some),
    }
}

#[cfg(test)]
#[path = "routes_tests.rs"]
mod tests;
