use std::{
    fs,
    io::Write,
    os::unix::{
        fs::{DirBuilderExt, PermissionsExt},
        net::UnixStream,
    },
};

use std::path::Path;

use super::{beside, open};

#[test]
fn it_is_where_it_was_said_and_in_a_directory_of_its_own() {
    let place = tempfile::tempdir().unwrap();
    let (runtime, location) = (place.path().join("run"), place.path().join("agent.sock"));
    let socket = open(Some(&location), &runtime).unwrap();
    assert_eq!(socket.told.location, location);
    let within = socket.told.directory.join("agent.sock");
    for path in [&location, &within] {
        let mode = fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o666);
        UnixStream::connect(path)
            .unwrap()
            .write_all(b"POST ")
            .unwrap();
    }
    drop(socket);
    // What is left of an agent before is replaced.
    open(Some(&location), &runtime).unwrap();
    let socket = open(None, &runtime).unwrap();
    assert_eq!((socket.told.location, socket.listeners.len()), (within, 1));
}

#[test]
fn every_user_reaches_it_whatever_the_mask_of_the_agent() {
    let place = tempfile::tempdir().unwrap();
    let runtime = place.path().join("run");
    // As a mask made it.
    fs::DirBuilder::new()
        .mode(0o700)
        .create(place.path().join("run.executors"))
        .unwrap();
    let directory = open(None, &runtime).unwrap().told.directory;
    let mode = fs::metadata(directory).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o755);
}

#[test]
fn a_directory_that_is_not_the_agents_own_is_refused_and_left_as_it_is() {
    let place = tempfile::tempdir().unwrap();
    let (runtime, others) = (place.path().join("run"), place.path().join("others"));
    let own = place.path().join("run.executors");
    fs::DirBuilder::new().mode(0o700).create(&others).unwrap();
    std::os::unix::fs::symlink(&others, &own).unwrap();
    let refused = open(None, &runtime).unwrap_err().to_string();
    assert!(refused.contains("run.executors"), "{refused}");
    let mode = fs::metadata(&others).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn it_lies_where_every_user_comes_along() {
    let of = |path: &str| beside(Path::new(path)).display().to_string();
    assert_eq!(of("/run/tepui/0ab1"), "/run/tepui-executors/0ab1");
    assert_eq!(of("/srv/run"), "/srv/run.executors");
}

#[test]
fn nothing_but_a_socket_is_replaced_and_the_path_has_its_bound() {
    let place = tempfile::tempdir().unwrap();
    let (runtime, location) = (place.path().join("run"), place.path().join("agent.sock"));
    fs::write(&location, "somebody's").unwrap();
    let refused = open(Some(&location), &runtime).unwrap_err().to_string();
    assert!(refused.contains("nothing is"), "{refused}");
    assert_eq!(fs::read(&location).unwrap(), b"somebody's");
    let long = place.path().join("x".repeat(108));
    let refused = open(Some(&long), &runtime).unwrap_err().to_string();
    assert!(
        refused.contains("must have less than 108 characters"),
        "{refused}"
    );
}
