use tepui_kit::stage::Recorder;
use tokio::task::LocalSet;

use super::*;

#[test]
fn a_file_is_hostnames_one_a_line() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("list");
    assert!(read(&path).unwrap_err().contains("No such file"));
    for (text, expected) in [
        ("", [].as_slice()),
        ("b\na\n\n a \n", &["a", "b"]),
        ("h1\r\nh2", &["h1", "h2"]),
    ] {
        std::fs::write(&path, text).unwrap();
        let found: Vec<String> = read(&path).unwrap().into_iter().collect();
        assert_eq!(found, expected);
    }
    std::fs::write(&path, [0xff, 0xfe]).unwrap();
    assert!(read(&path).is_err());
}

#[tokio::test(start_paused = true)]
async fn each_new_list_is_told_and_one_that_cannot_be_read_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("list");
    std::fs::write(&path, "a\n").unwrap();
    let local = LocalSet::new();
    local
        .run_until(async {
            let told = Recorder::<Whitelist>::new();
            let listed = watch(&path).unwrap();
            let task = tell(listed, told.teller());
            let list = |names: &[&str]| {
                let names = names.iter().map(|name| name.to_string());
                Whitelist(Some(Arc::new(names.collect())))
            };
            assert_eq!(told.take(), [list(&["a"])]);
            for (text, expected) in [
                (Some("a\n\n"), None),
                (Some("a\nb\n"), Some(list(&["a", "b"]))),
                (None, None),
                (Some(""), Some(list(&[]))),
            ] {
                match text {
                    Some(text) => std::fs::write(&path, text).unwrap(),
                    None => std::fs::remove_file(&path).unwrap(),
                }
                sleep(2 * INTERVAL).await;
                let told = told.take();
                assert_eq!(told.first(), expected.as_ref(), "{text:?}");
                assert!(told.len() < 2);
            }
            task.abort();
        })
        .await;
}
