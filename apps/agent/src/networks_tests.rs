use super::*;

#[test]
fn what_is_kept_lies_beside_the_runtime_directory_or_where_it_lasts() {
    let dir = tempfile::TempDir::new().unwrap();
    let path = |name: &str| dir.path().join(name);
    let settings = |persist| NetworkSettings {
        persist,
        ..NetworkSettings::default()
    };
    settings(false).open(&path("work"), &path("run/a")).unwrap();
    assert!(path("run/a.networks").is_dir() && !path("work").exists());
    settings(true).open(&path("work"), &path("run/b")).unwrap();
    assert!(path("work/networks").is_dir() && !path("run/b.networks").exists());
}
