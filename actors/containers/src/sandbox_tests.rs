use super::*;
use std::io::Read;
use std::os::unix::fs::symlink;

fn read(sandbox: &Path, name: &str) -> Result<String, Error> {
    let mut text = String::new();
    open_beneath(sandbox, Path::new(name))?
        .read_to_string(&mut text)
        .unwrap();
    Ok(text)
}

#[test]
fn only_plain_files_beneath_are_opened() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = dir.path().join("a/b");
    prepare_sandbox(&sandbox, None).unwrap();
    std::fs::write(dir.path().join("secret"), "secret").unwrap();
    std::fs::write(sandbox.join("stdout"), "out").unwrap();
    std::fs::write(sandbox.join("two"), "").unwrap();
    std::fs::hard_link(sandbox.join("two"), sandbox.join("names")).unwrap();
    symlink("stdout", sandbox.join("inner")).unwrap();
    symlink("../../secret", sandbox.join("outer")).unwrap();
    symlink(dir.path(), sandbox.join("absolute")).unwrap();
    rustix::fs::mknodat(
        CWD,
        sandbox.join("pipe"),
        rustix::fs::FileType::Fifo,
        Mode::RUSR | Mode::WUSR,
        0,
    )
    .unwrap();

    assert_eq!(read(&sandbox, "stdout").unwrap(), "out");
    assert_eq!(read(&sandbox, "inner").unwrap(), "out");
    for bad in [
        "../../secret",
        "outer",
        "absolute/secret",
        "/etc/passwd",
        "pipe",
        ".",
        "",
        "names",
        "missing",
        "a\0b",
    ] {
        assert!(read(&sandbox, bad).is_err(), "{bad:?} was opened");
    }
}

#[test]
fn a_sandbox_is_private_and_never_a_link() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = dir.path().join("s");
    prepare_sandbox(&sandbox, None).unwrap();
    prepare_sandbox(&sandbox, None).unwrap();
    assert_eq!(
        std::fs::metadata(&sandbox).unwrap().mode() & 0o7777,
        SANDBOX_MODE
    );

    symlink(&sandbox, dir.path().join("link")).unwrap();
    assert!(prepare_sandbox(&dir.path().join("link"), None).is_err());
}
