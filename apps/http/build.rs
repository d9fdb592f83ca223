//! Stamps the build: when it was made and, where git tells, of which commit.

use std::{
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let epoch = std::env::var("SOURCE_DATE_EPOCH")
        .ok()
        .and_then(|text| text.parse().ok());
    let now = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
    };
    let seconds: u64 = epoch.unwrap_or_else(now);
    println!("cargo::rustc-env=TEPUI_BUILD_TIME={seconds}");
    println!(
        "cargo::rustc-env=TEPUI_GIT_SHA={}",
        git(&["rev-parse", "HEAD"])
    );
}

/// What git prints, or "unknown".
fn git(arguments: &[&str]) -> String {
    let output = Command::new("git").args(arguments).output();
    let text = output
        .ok()
        .filter(|output| output.status.success())
        .map(|output| output.stdout);
    text.map_or_else(
        || "unknown".to_string(),
        |text| String::from_utf8_lossy(&text).trim().to_string(),
    )
}
