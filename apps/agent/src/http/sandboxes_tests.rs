use std::{collections::BTreeSet, os::unix::fs::symlink, sync::Arc};

use tepui_messages::agent::{ExecutorPhase, FrameworkState};
use tepui_protocol::v1::{
    ContainerId, ExecutorInfo, FrameworkInfo, Resource, Volume,
    resource::{DiskInfo, ReservationInfo, disk_info::Persistence, reservation_info},
    value,
};

use actix_web::{App, dev::Service, test};

use crate::http::{
    Api,
    tests::{idle, showing},
};

use super::*;

#[test]
async fn only_sandboxes_are_found() {
    let home = tempfile::tempdir().unwrap();
    let work_dir = home.path().canonicalize().unwrap();
    let run = "slaves/S0/frameworks/f/executors/e/runs";
    fs::create_dir_all(work_dir.join(run).join("c1")).unwrap();
    symlink(
        work_dir.join(run).join("c1"),
        work_dir.join(run).join(LATEST),
    )
    .unwrap();
    let shown = Sandboxes::new(work_dir.clone(), "/nowhere".into(), None);
    let root = work_dir.join(run).join("c1");
    let real = root.display().to_string();
    let virtual_path = "/frameworks/f/executors/e/runs";
    for (path, rest) in [
        (format!("{virtual_path}/latest/stdout"), Some("stdout")),
        (format!("{virtual_path}/c1/"), Some("")),
        (format!("{real}/a/b"), Some("a/b")),
        (format!("{}/{run}/latest/x", work_dir.display()), Some("x")),
        (format!("{virtual_path}/c2/stdout"), None),
        (format!("{virtual_path}/latest/../../x"), None),
        (format!("{virtual_path}/.."), None),
        (work_dir.display().to_string(), None),
        (format!("{}/checkpoint", work_dir.display()), None),
        ("/etc/passwd".to_owned(), None),
    ] {
        let found = shown.locate(&path);
        let expected = rest.map(|rest| Located {
            root: root.clone(),
            inside: PathBuf::from(rest),
        });
        assert_eq!(found, expected, "{path}");
    }
    assert_eq!(shown.all()[&format!("{virtual_path}/latest")], real);
}

/// A run with a file in it; the newest of its executor.
fn run(work_dir: &Path, executor: &str, container: &str) -> PathBuf {
    let runs = work_dir.join(format!("slaves/S0/frameworks/f/executors/{executor}/runs"));
    let run = runs.join(container);
    fs::create_dir_all(&run).unwrap();
    fs::write(run.join("stdout"), "hello").unwrap();
    let _ = fs::remove_file(runs.join(LATEST));
    symlink(container, runs.join(LATEST)).unwrap();
    run
}

fn executor(sandbox: PathBuf, resources: Vec<Resource>) -> ExecutorState {
    ExecutorState {
        info: Arc::new(ExecutorInfo {
            resources,
            ..ExecutorInfo::default()
        }),
        command_task: false,
        phase: ExecutorPhase::Running,
        container_id: ContainerId::default(),
        sandbox,
        pid: None,
        queued_tasks: Vec::new(),
        launched_tasks: Vec::new(),
        terminated_tasks: Vec::new(),
        completed_tasks: Vec::new(),
        nested: Vec::new(),
    }
}

fn node(executors: Vec<ExecutorState>) -> NodeState {
    let mut node = (*idle()).clone();
    node.frameworks = vec![FrameworkState {
        info: Arc::new(FrameworkInfo::default()),
        executors,
        completed_executors: Vec::new(),
    }];
    node
}

#[test]
async fn the_work_directory_is_known_as_the_operator_wrote_it() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path().canonicalize().unwrap();
    let real = home.join("real");
    let sandbox = run(&real, "e", "c1");
    let configured = home.join("link/mesos");
    symlink(".", real.join("mesos")).unwrap();
    symlink("real", home.join("link")).unwrap();
    let shown = Sandboxes::new(real.clone(), configured.clone(), None);
    for work_dir in [&real, &configured] {
        let path = work_dir.join(sandbox.strip_prefix(&real).unwrap());
        let path = path.join("stdout").display().to_string();
        let read = shown.files().read(&path, Some(0), None).unwrap();
        assert_eq!(read.data, b"hello", "{path}");
    }
    assert_eq!(shown.locate(&home.join("link").display().to_string()), None);
}

#[test]
async fn every_run_is_listed_those_of_live_executors_first() {
    let home = tempfile::tempdir().unwrap();
    let work_dir = home.path().canonicalize().unwrap();
    let [old, new] = ["c1", "c2"].map(|it| run(&work_dir, "a", it));
    let live = run(&work_dir, "z", "c3");
    let mut shown = Sandboxes::new(work_dir.clone(), work_dir, None);
    let text = |path: &Path| path.display().to_string();
    let runs = new.parent().unwrap();
    let all: BTreeMap<String, String> = shown.all();
    let expected = [
        (text(&old), text(&old)),
        (text(&new), text(&new)),
        (text(&runs.join(LATEST)), text(&new)),
        (
            "/frameworks/f/executors/a/runs/latest".to_owned(),
            text(&new),
        ),
    ];
    for (name, real) in expected {
        assert_eq!(all.get(&name), Some(&real), "{name}");
    }
    assert_eq!(all.len(), 7);
    shown.max_listed = 1;
    let with_node = shown.with(&node(vec![executor(live.clone(), Vec::new())]));
    let found: BTreeSet<String> = with_node.all().into_values().collect();
    assert_eq!(found, BTreeSet::from([text(&live)]));
}

async fn got(api: Api, path: &str) -> (u16, String) {
    let app = test::init_service(App::new().configure(api.configure())).await;
    let request = test::TestRequest::with_uri(path).to_request();
    let response = app.call(request).await.unwrap();
    let status = response.status().as_u16();
    let body = test::read_body(response).await;
    (status, String::from_utf8_lossy(&body).into_owned())
}

#[test]
async fn persistent_volumes_are_seen_where_sandboxes_have_them() {
    let home = tempfile::tempdir().unwrap();
    let work_dir = home.path().canonicalize().unwrap();
    let sandbox = run(&work_dir, "e", "c1");
    let volume = work_dir.join("volumes/roles/r/id");
    fs::create_dir_all(volume.join("sub")).unwrap();
    fs::write(volume.join("sub/file"), "kept").unwrap();
    symlink("../../../../checkpoint", volume.join("out")).unwrap();
    symlink(&volume, sandbox.join("data")).unwrap();
    fs::create_dir(sandbox.join("mounted")).unwrap();
    let resource = |container_path: &str| Resource {
        name: "disk".to_owned(),
        r#type: value::Type::Scalar as i32,
        scalar: Some(value::Scalar { value: 1.0 }),
        reservations: vec![ReservationInfo {
            r#type: Some(reservation_info::Type::Dynamic as i32),
            role: Some("r".to_owned()),
            ..ReservationInfo::default()
        }],
        disk: Some(Box::new(DiskInfo {
            persistence: Some(Persistence {
                id: "id".to_owned(),
                ..Persistence::default()
            }),
            volume: Some(Volume {
                container_path: container_path.to_owned(),
                ..Volume::default()
            }),
            ..DiskInfo::default()
        })),
        ..Resource::default()
    };
    let shown = Sandboxes::new(work_dir.clone(), work_dir, None);
    let resources = vec![resource("data"), resource("mounted")];
    let executor = executor(sandbox.clone(), resources);
    let node = node(vec![executor]);
    let files = shown.files_with(&node);
    for above in [
        sandbox.display().to_string(),
        "/frameworks/f/executors/e/runs/latest".to_owned(),
    ] {
        for name in ["data", "mounted"] {
            let path = format!("{above}/{name}/sub/file");
            let read = files.read(&path, Some(0), None).unwrap();
            assert_eq!(read.data, b"kept", "{path}");
            let listed = files.list(&format!("{above}/{name}/sub")).unwrap();
            assert_eq!(listed.len(), 1);
            assert_eq!(listed[0].path, path);
            let out = format!("{above}/{name}/out");
            assert!(files.read(&out, Some(0), None).is_err(), "{out}");
        }
        let listed = files.list(&above).unwrap();
        let data = listed.iter().find(|it| it.path.ends_with("/data"));
        let kind = data.map(|it| it.mode & 0o170_000);
        assert_eq!(kind, Some(0o040_000), "shown as the directory it is");
    }
    let api = Api {
        files: shown.clone(),
        ..showing(node)
    };
    let path = format!("{}/data/sub/file", sandbox.display());
    let uri = format!("/files/read?path={path}&offset=0");
    let read = got(api.clone(), &uri).await;
    assert_eq!(read, (200, r#"{"data":"kept","offset":0}"#.to_owned()));
    assert_eq!(
        got(api.clone(), &format!("/files/download?path={path}")).await,
        (200, "kept".to_owned())
    );
    let (status, listed) = got(api.clone(), "/files/debug").await;
    assert_eq!(status, 200);
    assert!(listed.contains("/frameworks/f/executors/e/runs/latest"));
    let (status, listed) = got(api, &format!("/files/browse?path={}", sandbox.display())).await;
    assert!(status == 200 && listed.contains("drwx"), "{listed}");
    // Nobody else has them.
    assert!(shown.files().read(&path, Some(0), None).is_err());
}
