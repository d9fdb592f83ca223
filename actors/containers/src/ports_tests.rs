use super::*;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};

#[test]
fn a_socket_that_listens_is_found_with_its_process() {
    let v4 = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let v4 = (v4.local_addr().unwrap().port(), v4);
    let v6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).ok();
    let found = Listeners::read().unwrap().of([std::process::id()]);
    assert!(found.contains(&v4.0));
    if let Some(v6) = v6 {
        assert!(found.contains(&v6.local_addr().unwrap().port()));
    }
    // The first process has none of them, and a connection is no listener.
    let client = TcpStream::connect((Ipv4Addr::LOCALHOST, v4.0)).unwrap();
    let listeners = Listeners::read().unwrap();
    assert!(!listeners.of([1]).contains(&v4.0));
    let found = listeners.of([std::process::id()]);
    assert!(!found.contains(&client.local_addr().unwrap().port()));
}

#[test]
fn all_sockets_of_a_process_are_found_whatever_they_do() {
    let before = sockets(std::process::id());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let inode = |socket: &dyn std::os::fd::AsFd| rustix::fs::fstat(socket).unwrap().st_ino;
    let after = sockets(std::process::id());
    for socket in [inode(&listener), inode(&client)] {
        assert!(after.contains(&socket) && !before.contains(&socket));
    }
}

#[test]
fn rows_that_are_none_are_left_out() {
    let mut listeners = Listeners::default();
    listeners.add(
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
         \x20  0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 7 1 x\n\
         \x20  1: 0100007F:1F91 00000000:0000 01 00000000:00000000 00:00000000 00000000     0        0 8 1 x\n\
         \x20  2: broken\n",
    );
    assert_eq!(listeners, Listeners(BTreeMap::from([(7, 8080)])));
}
