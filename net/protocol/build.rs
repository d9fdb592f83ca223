//! Compiles `proto/` into Rust types (prost) and, from the same descriptors, their tables and serde code.

#[path = "build/generate.rs"]
mod generate;
#[path = "build/names.rs"]
mod names;

use std::{env, error::Error, fs, path::Path, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    println!("cargo::rerun-if-changed=build");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true);
    compiler.open_files(proto_files(Path::new("proto"))?)?;

    prost_build::Config::new()
        .out_dir(&out)
        .bytes(["."])
        .btree_map(["."])
        .compile_well_known_types()
        // Large, and mostly not there: of a resource a disk would take four fifths, of a task these two.
        .boxed(".mesos.v1.Resource.disk")
        .boxed(".mesos.v1.Task.container")
        .boxed(".mesos.v1.Task.health_check")
        .disable_comments(["."])
        .include_file("schema.rs")
        .compile_fds(undeprecated(compiler.file_descriptor_set()))?;
    fs::write(
        out.join("serde.rs"),
        generate::generate(compiler.descriptor_pool()),
    )?;
    Ok(())
}

/// prost warns at every use of a deprecated field, but Mesos' old fields are part of what we must speak.
fn undeprecated(mut files: prost_types::FileDescriptorSet) -> prost_types::FileDescriptorSet {
    fn message(descriptor: &mut prost_types::DescriptorProto) {
        for options in descriptor
            .field
            .iter_mut()
            .filter_map(|f| f.options.as_mut())
        {
            options.deprecated = None;
        }
        descriptor.nested_type.iter_mut().for_each(message);
        descriptor.enum_type.iter_mut().for_each(enumeration);
    }
    fn enumeration(descriptor: &mut prost_types::EnumDescriptorProto) {
        for options in descriptor
            .value
            .iter_mut()
            .filter_map(|v| v.options.as_mut())
        {
            options.deprecated = None;
        }
    }
    for file in &mut files.file {
        file.message_type.iter_mut().for_each(message);
        file.enum_type.iter_mut().for_each(enumeration);
    }
    files
}

/// Every `.proto` below `dir`, sorted so that the output is the same everywhere.
fn proto_files(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(proto_files(&path)?);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "proto")
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
