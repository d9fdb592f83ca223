use super::*;

#[test]
fn crosses_to_the_shim_and_back() {
    let all = Namespaces {
        pids: true,
        ipc: true,
        names: true,
        machine_shm: true,
        shm_bytes: Some(64 << 20),
        hostname: Some("box".into()),
    };
    let some = Namespaces {
        ipc: true,
        ..Namespaces::default()
    };
    for namespaces in [all, some, Namespaces::default()] {
        let bytes = namespaces.to_bytes();
        assert_eq!(Namespaces::from_bytes(&bytes), Some(namespaces));
    }
}

#[test]
fn what_this_shim_does_not_know_is_refused() {
    let mut bytes = Namespaces::default().to_bytes();
    bytes[0] = 16;
    assert_eq!(Namespaces::from_bytes(&bytes), None);
    assert_eq!(Namespaces::from_bytes(&[]), None);
    assert_eq!(Namespaces::from_bytes(&[1, 0, 0]), None);
}
