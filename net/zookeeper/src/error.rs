//! Why there is no endpoint.

/// What [`ZooKeeperEndpoint::serve`](crate::ZooKeeperEndpoint::serve) refuses.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "{0:?} is no path for the masters' nodes; expected one like /mesos: a slash first, names between slashes, none at the end"
    )]
    Base(String),
    #[error("the listener has no address")]
    Listener(#[from] std::io::Error),
}
