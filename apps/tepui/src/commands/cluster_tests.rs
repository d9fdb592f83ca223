use super::*;

#[test]
fn a_file_is_replaced_whole_or_stays_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup");
    for content in ["first", "second"] {
        write_whole(&file, content.as_bytes()).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), content);
    }
    let missing = folder.path().join("missing").join("backup");
    assert!(write_whole(&missing, b"x").is_err());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}
