use super::*;

const PASSWD: &str =
    "root:x:0:0:root:/root:/bin/sh\nbroken\nbox:x:1000:1001::/:/bin/sh\n7:x:70:71::/:/bin/sh\n";
const GROUP: &str = "root:x:0:\nbox:x:1001:\nmore:x:1002:other,box\nnone:x:1003:boxer\n";

fn found(user: &str) -> (u32, u32, Vec<u32>) {
    let found = resolve(user, PASSWD, GROUP).expect(user);
    (found.uid, found.gid, found.groups)
}

#[test]
fn names_and_numbers_of_users_and_groups() {
    assert_eq!(found("root"), (0, 0, vec![0]));
    assert_eq!(found("box"), (1000, 1001, vec![1001, 1002]));
    assert_eq!(found("1000"), (1000, 1001, vec![1001, 1002]));
    assert_eq!(found("5"), (5, 0, vec![0]));
    assert_eq!(
        found("7"),
        (70, 71, vec![71]),
        "a name comes before a number"
    );
    assert_eq!(found("box:more"), (1000, 1002, vec![1002]));
    assert_eq!(found("5:6"), (5, 6, vec![6]));
    assert_eq!(found("box:"), (1000, 1001, vec![1001, 1002]));
}

#[test]
fn what_the_image_does_not_name_is_refused() {
    let refused = |user: &str| resolve(user, PASSWD, GROUP).expect_err(user);
    assert_eq!(refused("nobody"), UserError::NoUser("nobody".to_owned()));
    assert_eq!(refused("-1"), UserError::NoUser("-1".to_owned()));
    assert_eq!(
        refused("4294967296"),
        UserError::NoUser("4294967296".to_owned())
    );
    assert_eq!(refused(""), UserError::NoUser(String::new()));
    assert_eq!(refused("box:wheel"), UserError::NoGroup("wheel".to_owned()));
}

#[test]
fn the_uppermost_file_counts_and_links_stay_in_the_image() {
    let all = tempfile::TempDir::new().expect("a directory");
    let layer = |name: &str, passwd: Option<&str>| {
        let layer = all.path().join(name);
        std::fs::create_dir_all(layer.join("etc")).expect("made");
        if let Some(passwd) = passwd {
            std::fs::write(layer.join("etc/passwd"), passwd).expect("written");
        }
        layer
    };
    let below = layer("below", Some("a:x:1:1::/:\n"));
    let above = layer("above", Some("a:x:2:2::/:\n"));
    let silent = layer("silent", None);
    let uid = |layers: &[PathBuf]| find("a", layers).map(|found| found.uid);
    assert_eq!(uid(&[below.clone(), above, silent.clone()]), Ok(2));
    assert_eq!(uid(&[below.clone(), silent]), Ok(1));
    let outside = all.path().join("outside");
    std::fs::write(&outside, "a:x:9:9::/:\n").expect("written");
    let linked = layer("linked", None);
    std::os::unix::fs::symlink(&outside, linked.join("etc/passwd")).expect("linked");
    assert!(
        uid(&[linked]).is_err(),
        "the machine's own file is not read"
    );
    let piped = layer("piped", None);
    rustix::fs::mknodat(CWD, piped.join("etc/passwd"), FileType::Fifo, Mode::RUSR, 0)
        .expect("made");
    assert!(uid(&[below, piped]).is_err(), "a pipe is not waited for");
}
