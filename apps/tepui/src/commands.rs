//! What the command line does.

pub(crate) mod allocator;
pub(crate) mod cluster;
pub(crate) mod demo;
pub(crate) mod demo_executor;
pub(crate) mod dev;
pub(crate) mod lists;
pub(crate) mod run;
pub(crate) mod tasks;
pub(crate) mod why;
