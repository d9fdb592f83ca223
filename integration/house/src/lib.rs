//! Nothing here: the tests beside this crate hold the order of crates and modules against the code.
