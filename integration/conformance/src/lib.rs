//! Nothing here: the tests beside this crate hold the codecs against what Mesos was asked and answered.
