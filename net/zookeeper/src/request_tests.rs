use bytes::{BufMut, BytesMut};

use super::*;
use crate::{
    dice::Dice,
    jute::{put_buffer, put_string, put_strings},
};

fn numbered(operation: i32, write: impl Fn(&mut BytesMut)) -> Request {
    let mut frame = BytesMut::new();
    frame.put_i32(5);
    frame.put_i32(operation);
    write(&mut frame);
    let numbered = Numbered::decode(&frame).unwrap();
    assert_eq!(numbered.xid, 5);
    numbered.request
}

fn a_read(operation: i32) -> Request {
    numbered(operation, |to| {
        put_string(to, "/mesos");
        to.put_u8(1);
    })
}

#[test]
fn each_read_has_its_number() {
    let kinds = [
        (3, ReadKind::Exists),
        (4, ReadKind::Data),
        (8, ReadKind::Children),
        (12, ReadKind::Children2),
    ];
    for (operation, kind) in kinds {
        let (path, watch) = ("/mesos".to_owned(), true);
        assert_eq!(a_read(operation), Request::Read(Read { kind, path, watch }));
    }
}

#[test]
fn whatever_writes_is_known_by_its_number_alone() {
    for operation in [1, 2, 5, 7, 13, 14, 15, 16, 19, 20, 21] {
        assert_eq!(numbered(operation, |_| {}), Request::Write, "{operation}");
    }
    for operation in [0, 10, 102, 105, 106, 999, -10, i32::MIN] {
        assert_eq!(numbered(operation, |_| {}), Request::Unknown, "{operation}");
    }
}

#[test]
fn watches_are_set_again_and_taken_back() {
    let lists = [
        vec!["/a".to_owned()],
        vec![],
        vec!["/b".to_owned(), "/c".to_owned()],
    ];
    let request = numbered(101, |to| {
        to.put_i64(77);
        for list in &lists {
            put_strings(to, list);
        }
    });
    let [data, exist, child] = lists;
    assert_eq!(
        request,
        Request::SetWatches {
            relative_zxid: 77,
            data,
            exist,
            child
        }
    );
    for (operation, only_check) in [(17, true), (18, false)] {
        let request = numbered(operation, |to| {
            put_string(to, "/a");
            to.put_i32(2);
        });
        let (path, set) = ("/a".to_owned(), WatchSet::Data);
        assert_eq!(
            request,
            Request::RemoveWatches {
                path,
                set,
                only_check
            }
        );
    }
}

#[test]
fn a_bundle_of_reads_ends_where_its_last_header_says() {
    let bundle = |operation: i32, reads: usize| {
        numbered(22, |to| {
            for _ in 0..reads {
                to.put_i32(operation);
                to.put_u8(0);
                to.put_i32(-1);
                put_string(to, "/a");
                to.put_u8(0);
            }
            to.put_slice(&[0xff, 0xff, 0xff, 0xff, 1, 0xff, 0xff, 0xff, 0xff]);
        })
    };
    let (path, watch) = ("/a".to_owned(), false);
    let read = Read {
        kind: ReadKind::Data,
        path,
        watch,
    };
    assert_eq!(bundle(4, 2), Request::MultiRead(vec![read.clone(), read]));
    assert_eq!(bundle(3, 1), Request::Malformed);
    assert_eq!(bundle(8, MAX_READS + 1), Request::Malformed);
}

#[test]
fn a_client_without_the_mode_is_told_apart() {
    let mut frame = BytesMut::new();
    frame.put_i32(0);
    frame.put_i64(9);
    frame.put_i32(10_000);
    frame.put_i64(3);
    put_buffer(&mut frame, &[1; 16]);
    let old = ConnectRequest::decode(&frame).unwrap();
    assert_eq!(
        (old.last_zxid, old.timeout_ms, old.session, old.read_only),
        (9, 10_000, 3, None)
    );
    frame.put_u8(1);
    let new = ConnectRequest::decode(&frame).unwrap();
    assert_eq!(
        new,
        ConnectRequest {
            read_only: Some(true),
            ..old
        }
    );
    assert!(ConnectRequest::decode(&frame[..30]).is_err());
}

#[test]
fn any_bytes_are_a_request_or_refused() {
    let mut dice = Dice(2);
    let mut understood = 0;
    for _case in 0..200_000 {
        let mut frame = dice.bytes(90);
        if frame.len() > 8 && dice.roll(4) > 0 {
            let operation = [3, 4, 8, 12, 17, 18, 22, 100, 101, 6, 9][dice.roll(11)];
            frame[4..8].copy_from_slice(&i32::to_be_bytes(operation));
            // Lengths near the truth, so that what follows them is reached.
            for at in (8..frame.len().saturating_sub(4)).step_by(4) {
                if dice.roll(2) == 0 {
                    frame[at..at + 4].copy_from_slice(&[0, 0, 0, dice.roll(5) as u8]);
                }
            }
        }
        let _ = ConnectRequest::decode(&frame);
        match Numbered::decode(&frame) {
            Ok(numbered) => understood += usize::from(numbered.request != Request::Malformed),
            Err(_) => assert!(frame.len() < 8),
        }
    }
    assert!(understood > 10_000, "{understood}");
}
