//! Small images for tests, owned by whoever runs them.

use crate::images::digesting::digest_of;
use crate::images::reference::Digest;
use crate::images::taking::{Taking, Waiting};
use crate::images::unpack::Bounds;
use std::path::Path;
use tar::{Builder, EntryType, Header};

impl Taking {
    /// Of one who waits to the end.
    pub(crate) fn forever() -> Self {
        let waiting = Waiting::default();
        let taking = Self::new(Bounds::default(), &waiting);
        std::mem::forget(waiting);
        taking
    }
}

/// A layer of plain files.
pub(crate) fn layer(files: &[(&str, &str)]) -> Vec<u8> {
    let mut layer = Builder::new(Vec::new());
    for (path, text) in files {
        append(&mut layer, path, text.as_bytes());
    }
    layer.into_inner().expect("finished")
}

fn append(archive: &mut Builder<Vec<u8>>, path: &str, data: &[u8]) {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_size(data.len() as u64);
    header.set_mode(0o644);
    header.set_uid(rustix::process::geteuid().as_raw().into());
    header.set_gid(rustix::process::getegid().as_raw().into());
    archive
        .append_data(&mut header, path, data)
        .expect("written");
}

pub(crate) fn digest(bytes: &[u8]) -> Digest {
    digest_of(bytes).expect("memory can be read")
}

/// The configuration of an image of these layers.
pub(crate) fn config(layers: &[Vec<u8>]) -> Vec<u8> {
    let digests = layers.iter().map(|layer| format!("\"{}\"", digest(layer)));
    let digests: Vec<String> = digests.collect();
    let layers = digests.join(",");
    format!(r#"{{"config":{{"Cmd":["run"],"Env":["A=1"]}},"rootfs":{{"diff_ids":[{layers}]}}}}"#)
        .into_bytes()
}

/// An archive as `docker save` makes it.
pub(crate) fn save(path: &Path, name: &str, layers: &[Vec<u8>]) {
    let mut archive = Builder::new(Vec::new());
    append(&mut archive, "image.json", &config(layers));
    let names: Vec<String> = (0..layers.len())
        .map(|it| format!("{it}/layer.tar"))
        .collect();
    for (name, layer) in names.iter().zip(layers) {
        append(&mut archive, name, layer);
    }
    let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    let quoted = quoted.join(",");
    let manifest =
        format!(r#"[{{"Config":"image.json","RepoTags":["{name}"],"Layers":[{quoted}]}}]"#);
    append(&mut archive, "manifest.json", manifest.as_bytes());
    std::fs::write(path, archive.into_inner().expect("finished")).expect("written");
}

/// An OCI layout with one image under the name `tag`.
pub(crate) fn lay_out(dir: &Path, tag: &str, layers: &[Vec<u8>]) {
    let blobs = dir.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).expect("made");
    let blob = |data: &[u8]| {
        let digest = digest(data);
        std::fs::write(blobs.join(digest.hex()), data).expect("written");
        format!(r#"{{"digest":"{digest}","size":{}"#, data.len())
    };
    let described: Vec<String> = layers.iter().map(|layer| blob(layer) + "}").collect();
    let (config, described) = (blob(&config(layers)), described.join(","));
    let manifest = format!(r#"{{"schemaVersion":2,"config":{config}}},"layers":[{described}]}}"#);
    let manifest = blob(manifest.as_bytes());
    let name = format!(r#""annotations":{{"org.opencontainers.image.ref.name":"{tag}"}}"#);
    let index = format!(r#"{{"schemaVersion":2,"manifests":[{manifest},{name}}}]}}"#);
    std::fs::write(dir.join("index.json"), index).expect("written");
    std::fs::write(dir.join("oci-layout"), "{}").expect("written");
}
