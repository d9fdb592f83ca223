use super::*;
use std::io::Write;
use std::process::Command;

#[test]
fn a_copy_runs_and_cannot_be_written_to() {
    let sealed = Sealed::copy_of(Path::new("/bin/true")).expect("copied");
    let run = Command::new(sealed.path()).status().expect("started");
    assert!(run.success());
    let opened = File::options().write(true).open(sealed.path());
    let written = opened.and_then(|mut file| file.write_all(b"x"));
    assert!(written.is_err(), "it was written to");
}
