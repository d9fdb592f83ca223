//! The checker has to be able to fail: histories with planted faults, beside what is allowed and looks alike.

use super::*;

fn done(client: u32, what: What, invoked: u64, returned: u64) -> Operation {
    let returned = Some(returned);
    Operation {
        client,
        what,
        invoked,
        returned,
    }
}

fn lost(client: u32, value: u64, invoked: u64) -> Operation {
    Operation {
        client,
        what: What::Write(value),
        invoked,
        returned: None,
    }
}

fn sitting(operations: &[Operation]) -> Sitting {
    Sitting {
        key: "planted".to_string(),
        began_with: 1,
        operations: operations.to_vec(),
    }
}

#[track_caller]
fn refused(operations: &[Operation]) -> Sitting {
    let verdict = sitting(operations).check();
    *verdict.expect_err("no register shows this").0
}

#[track_caller]
fn accepted(operations: &[Operation]) {
    assert_eq!(sitting(operations).check(), Ok(()));
}

use What::{Read, Write};

#[test]
fn an_acknowledged_write_that_is_lost_is_refused() {
    let found = refused(&[
        done(0, Write(2), 0, 1),
        done(2, Read(2), 2, 3),
        done(0, Write(3), 4, 5),
        // The next leader does not know it.
        done(2, Read(2), 6, 7),
        done(0, Write(4), 8, 9),
    ]);
    assert_eq!(found.operations.len(), 4, "only what leads to it is shown");
    assert_eq!(found.operations[3].what, Read(2));
}

#[test]
fn a_stale_read_is_refused() {
    // A deposed leader answers from its own copy while another one has acknowledged more.
    refused(&[
        done(0, Write(2), 0, 1),
        done(1, Write(3), 2, 3),
        done(2, Read(2), 4, 5),
        done(3, Read(3), 6, 7),
    ]);
}

#[test]
fn a_write_nobody_made_is_refused() {
    refused(&[done(2, Read(9), 0, 1)]);
}

#[test]
fn a_read_that_goes_back_is_refused() {
    // The write overlaps both reads, so either value alone is right, but not in this order.
    refused(&[
        done(0, Write(2), 0, 9),
        done(2, Read(2), 1, 2),
        done(3, Read(1), 3, 4),
    ]);
}

#[test]
fn a_lost_answer_is_a_write_that_may_be_there_or_not_but_not_come_and_go() {
    accepted(&[lost(0, 2, 0), done(2, Read(1), 1, 2)]);
    accepted(&[lost(0, 2, 0), done(2, Read(2), 1, 2)]);
    // It may also come late.
    accepted(&[
        lost(0, 2, 0),
        done(0, Write(3), 1, 2),
        done(2, Read(3), 3, 4),
        done(2, Read(2), 5, 6),
    ]);
    refused(&[
        lost(0, 2, 0),
        done(2, Read(2), 1, 2),
        done(2, Read(1), 3, 4),
    ]);
    refused(&[done(2, Read(2), 0, 1), lost(0, 2, 2)]);
}

#[test]
fn concurrent_writes_may_have_either_order() {
    for last in [2, 3] {
        accepted(&[
            done(0, Write(2), 0, 3),
            done(1, Write(3), 1, 2),
            done(2, Read(last), 4, 5),
        ]);
    }
}

#[test]
fn a_later_read_follows_all_that_happened() {
    let mut one = sitting(&[
        done(0, Write(2), 0, 1),
        lost(1, 3, 2),
        done(2, Read(2), 3, 4),
    ]);
    assert_eq!((one.last_read(), one.lost_writes()), (2, 1));
    one.read_later(2, 3);
    assert_eq!(one.last_read(), 3);
    assert_eq!(one.check(), Ok(()));
    one.read_later(2, 2);
    assert!(one.check().is_err(), "it went back");
}
