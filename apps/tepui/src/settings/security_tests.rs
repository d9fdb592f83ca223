use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use crate::{
    cli::{AgentArgs, MasterArgs},
    settings,
};

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Files {
        Files(tempfile::tempdir().unwrap())
    }

    fn put(&self, name: &str, text: &str, mode: u32) -> String {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path.display().to_string()
    }
}

fn master() -> MasterArgs {
    MasterArgs {
        work_dir: Some(PathBuf::from("/nowhere")),
        ..MasterArgs::default()
    }
}

fn agent() -> AgentArgs {
    AgentArgs {
        work_dir: Some(PathBuf::from("/nowhere")),
        master: Some("127.0.0.1:5050".to_string()),
        ..AgentArgs::default()
    }
}

fn refused(args: &MasterArgs) -> String {
    format!("{:#}", settings::master(args).unwrap_err())
}

#[test]
fn without_flags_nobody_is_asked() {
    let security = settings::master(&master()).unwrap().security;
    let realms = [&security.readonly, &security.readwrite, &security.scheduler];
    assert!(realms.iter().all(|realm| !realm.is_guarded()));
    assert_eq!(*security.acls, Default::default());
    let security = settings::agent(&agent()).unwrap().security;
    assert!(!security.readonly.is_guarded() && !security.readwrite.is_guarded());
}

#[test]
fn realms_are_guarded_one_by_one() {
    let files = Files::new();
    let path = files.put("credentials", "ops sesame", 0o600);
    let args = MasterArgs {
        credentials: Some(path.clone()),
        authenticate_http_readwrite: Some(true),
        authenticate_http_frameworks: Some(true),
        http_framework_authenticators: Some("basic".to_string()),
        acls: Some(r#"{"permissive": false}"#.to_string()),
        ..master()
    };
    let security = settings::master(&args).unwrap().security;
    assert!(!security.readonly.is_guarded());
    assert!(security.readwrite.is_guarded() && security.scheduler.is_guarded());
    assert_eq!(security.shown.credentials, Some(path.clone()));
    let shown = format!("{security:?}");
    assert!(!shown.contains("sesame"), "{shown}");

    let args = AgentArgs {
        http_credentials: Some(format!("file://{path}")),
        authenticate_http_readonly: Some(true),
        acls: Some(files.put("acls", r#"{"permissive": false}"#, 0o644)),
        ..agent()
    };
    let security = settings::agent(&args).unwrap().security;
    assert!(security.readonly.is_guarded() && !security.readwrite.is_guarded());
    assert_ne!(*security.acls, Default::default());
}

#[test]
fn a_mistake_is_told_before_anything_starts() {
    let files = Files::new();
    let asks = || MasterArgs {
        authenticate_http_readonly: Some(true),
        ..master()
    };
    let text = refused(&asks());
    assert!(text.starts_with("--credentials is missing: "), "{text}");
    for (file, mode, expected) in [
        ("ops sesame", 0o644, "can be read by everybody (mode 644)"),
        ("sesame", 0o600, "line 1 is not two words"),
        ("", 0o600, "nobody is named"),
    ] {
        let path = files.put("credentials", file, mode);
        let text = refused(&MasterArgs {
            credentials: Some(path.clone()),
            ..asks()
        });
        assert!(
            text.starts_with(&format!("--credentials: {path}")),
            "{text}"
        );
        assert!(
            text.contains(expected) && !text.contains("sesame"),
            "{text}"
        );
    }
    let text = refused(&MasterArgs {
        http_framework_authenticators: Some("jwt".to_string()),
        ..master()
    });
    assert!(text.contains("jwt: expected basic"), "{text}");
    for name in ["https://tepui.example", "tepui.example:80", "*.example"] {
        let text = refused(&MasterArgs {
            http_hosts: Some(format!("ok.example, {name}")),
            ..master()
        });
        assert!(text.contains(&format!("{name}: expected names")), "{text}");
    }
    for (acls, expected) in [
        (
            r#"{"run_task": []}"#,
            "--acls: the whole has an unknown field 'run_task'; expected register_frameworks",
        ),
        (
            r#"{"permissive": 1}"#,
            "--acls: permissive is not true or false; expected JSON such as",
        ),
        ("/nowhere/acls", "--acls /nowhere/acls: No such file"),
    ] {
        let text = refused(&MasterArgs {
            acls: Some(acls.to_string()),
            ..master()
        });
        assert!(text.starts_with(expected), "{text}");
    }
    let missing = AgentArgs {
        authenticate_http_readwrite: Some(true),
        ..agent()
    };
    let text = format!("{:#}", settings::agent(&missing).unwrap_err());
    assert!(
        text.starts_with("--http-credentials is missing: "),
        "{text}"
    );
}
