use super::*;

#[test]
fn a_command_gets_the_open_files_of_the_agents_start() {
    let had = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    descriptors::raise().unwrap();
    let given = open_files(&[]).unwrap();
    assert_eq!((given.soft, given.hard), (had.current, had.maximum));
    assert_eq!(given.kind, RlimitKind::OpenFiles);
    // What was ordered stands.
    assert_eq!(open_files(&[given]), None);
}
