use super::*;
use crate::images::testing::{digest, lay_out, layer};
use crate::images::unpack::Bounds;
use tempfile::TempDir;

struct Fixture {
    all: TempDir,
    store: Store,
}

impl Fixture {
    fn new() -> Self {
        let all = TempDir::new().expect("a directory");
        let store = Store::open(all.path().join("store"), Bounds::default());
        Self {
            store: store.expect("opened"),
            all,
        }
    }

    fn take(&self, name: &str) -> Result<StoredImage, ImageError> {
        take(
            self.all.path(),
            &name.parse().expect("a name"),
            &self.store,
            &mut Taking::forever(),
        )
    }
}

#[test]
fn an_image_is_found_by_its_tag_its_name_or_its_digest() {
    let fixture = Fixture::new();
    let data = layer(&[("a", "1")]);
    lay_out(fixture.all.path(), "v1", std::slice::from_ref(&data));
    assert!(is_layout(fixture.all.path()));
    let taken = fixture.take("box:v1").expect("taken");
    assert_eq!(taken.layers, [digest(&data).to_string()]);
    let index = std::fs::read_to_string(fixture.all.path().join(INDEX)).expect("there");
    let manifest = index
        .split('"')
        .find(|word| word.starts_with("sha256:"))
        .expect("a digest");
    fixture.take(&format!("box@{manifest}")).expect("taken");
    let other = fixture.take("box:v2").expect_err("not there");
    assert!(other.to_string().contains("it has: v1"), "{other}");
}

#[test]
fn a_blob_that_was_changed_is_refused() {
    let fixture = Fixture::new();
    let data = layer(&[("a", "1")]);
    lay_out(fixture.all.path(), "v1", std::slice::from_ref(&data));
    let path = blob_path(fixture.all.path(), &digest(&data));
    std::fs::write(&path, layer(&[("a", "2")])).expect("written");
    assert!(matches!(
        fixture.take("box:v1"),
        Err(ImageError::Digest { .. })
    ));
    std::fs::remove_file(&path).expect("removed");
    assert!(matches!(
        fixture.take("box:v1"),
        Err(ImageError::File { .. })
    ));
    assert!(
        fixture
            .store
            .image(&"box:v1".parse().expect("a name"), &mut Taking::forever())
            .is_none()
    );
}
