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
        if let Some(found) = longest(self.others, path) {
            return Some(found);
        }
        let below = path
            .strip_prefix(self.process)
            .and_then(|rest| rest.strip_prefix('/'));
        match below {
            Some(below) => longest(self.own, below),
            // One slash too many is tolerated, but not behind the name of the process.
            None => longest(self.own, path.strip_prefix('/').unwrap_or(path)),
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
    let mut best: Option<Found<'p, R>> = None;
    for (name, route) in routes {
        let rest = match path.strip_prefix(name) {
            Some("") => None,
            Some(rest) => match rest.strip_prefix('/') {
                Some(rest) => Some(rest),
                None => continue,
            },
            None => continue,
        };
        if best.is_none_or(|best| best.name.len() < name.len()) {
            best = Some(Found {
                route: *route,
                name,
                rest,
            });
        }
    }
    best
}

#[cfg(test)]
#[path = "routes_tests.rs"]
mod tests;
