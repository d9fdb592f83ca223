//! Links the shim statically where the C library allows it: no dynamic linker to run for each container (half of the
//! shim's start), no pages relocated, nothing for `LD_PRELOAD` to reach.
//!
//! The compiler's own switch for this, `crt-static`, is a flag for the whole workspace; these are linker arguments of
//! this one program. The standard library asks for the C library and the unwinder by their dynamic names, so linker
//! scripts of those names point to the static ones.

use std::path::PathBuf;
use std::process::Command;

/// The dynamic library rustc asks for, and the static one it gets.
const LIBRARIES: [(&str, &str); 2] = [("libc.so", "libc.a"), ("libgcc_s.so", "libgcc_eh.a")];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |key: &str, value: &str| std::env::var(key).is_ok_and(|found| found == value);
    let glibc = is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu");
    let native = std::env::var("TARGET").ok() == std::env::var("HOST").ok();
    if !glibc || !native {
        return;
    }
    let found = LIBRARIES.map(|(dynamic, fixed)| Some((dynamic, linker_finds(fixed)?)));
    let [Some(c_library), Some(unwinder)] = found else {
        println!(
            "cargo::warning=no static C library is installed: tepui-shim is linked dynamically"
        );
        return;
    };
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    for (dynamic, path) in [c_library, unwinder] {
        let script = format!("INPUT({})\n", path.display());
        std::fs::write(out.join(dynamic), script).expect("cargo's OUT_DIR is writable");
    }
    println!("cargo::rustc-link-search=native={}", out.display());
    for argument in [
        "-static",
        "-no-pie",
        "-Wl,-z,nodynamic-undefined-weak",
        "-Wl,--no-export-dynamic",
    ] {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
}

/// Where the linker driver that rustc uses by default finds a library; it answers with a bare name if nowhere.
fn linker_finds(library: &str) -> Option<PathBuf> {
    let answer = Command::new("cc")
        .arg(format!("-print-file-name={library}"))
        .output()
        .ok()?;
    let path = PathBuf::from(String::from_utf8(answer.stdout).ok()?.trim());
    path.is_absolute().then_some(path)
}
