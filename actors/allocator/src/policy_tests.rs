use std::path::Path;

use super::*;

/// Adding one is a file and a line, and a row for those who choose.
#[test]
fn each_policy_has_its_file_and_its_row_in_the_reference() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let reference = std::fs::read_to_string(here.join("../../docs/reference.md")).unwrap();
    for name in names() {
        let file = format!("src/{}.rs", name.replace('-', "_"));
        assert!(here.join(&file).is_file(), "{name} is in {file}");
        let row = format!("| `{name}` |");
        assert!(
            reference.contains(&row),
            "docs/reference.md tells what {name} does"
        );
        assert_eq!(by_name(name).unwrap().name(), name);
    }
}
