use std::{
    process::{Command, id},
    thread,
    time::Duration,
};

use super::*;

#[test]
fn a_marked_process_is_seen_as_long_as_it_lives() {
    let marks = std::env::temp_dir().join(format!("tepui-chaos-marks.{}", id()));
    fs::create_dir(&marks).unwrap();
    let command = format!(
        "{}; exec sleep 1000",
        mark(&marks.join("one").display().to_string())
    );
    let mut child = Command::new("sh").args(["-c", &command]).spawn().unwrap();
    // It writes its line at once, or never: nextest ends this test then.
    let seen = loop {
        let machine = look(&marks).unwrap();
        if machine.marks.get("one").is_some_and(|it| !it.is_empty()) {
            break machine;
        }
        thread::sleep(Duration::from_millis(5));
    };
    child.kill().unwrap();
    child.wait().unwrap();
    let later = look(&marks).unwrap();
    fs::write(marks.join("one"), "no pid").unwrap();
    let spoilt = look(&marks);
    fs::remove_dir_all(&marks).unwrap();

    assert_eq!(seen.marks["one"].len(), 1);
    assert_eq!(seen.marks["one"][0].pid, child.id());
    assert!(seen.alive.contains(&seen.marks["one"][0]));
    assert_eq!(later.marks, seen.marks);
    assert!(later.alive.is_empty());
    assert!(
        spoilt.is_err(),
        "a mark that cannot be read is not passed over"
    );
}
