//! Nothing here: the tests beside this crate hold the plan of the house against the code.
