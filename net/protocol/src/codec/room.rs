//! The memory that the lists of a message may take once it is read: an element that says nothing has two bytes on the wire, and
//! may have thousands here.
//!
//! Readers of serde have no state of their own, so what is left is the thread's for as long as one message is read.

use std::cell::Cell;

use serde::de::Error;

/// Bytes that are left; `None` where nobody counts.
#[derive(Clone, Copy)]
struct Room(Option<usize>);

thread_local! {
    static ROOM: Cell<Room> = const { Cell::new(Room(None)) };
}

/// Puts back what was counted before, also when a reader panics.
struct Outer(Room);

impl Drop for Outer {
    fn drop(&mut self) {
        ROOM.set(self.0);
    }
}

/// Reads with so many bytes for all lists together; `None` if they were too few.
pub(super) fn within<T>(bytes: usize, read: impl FnOnce() -> T) -> Option<T> {
    let _outer = Outer(ROOM.replace(Room(Some(bytes))));
    let read = read();
    (ROOM.get().0 != Some(0)).then_some(read)
}

/// Takes the room of one more element.
pub(super) fn take<T, E: Error>() -> Result<(), E> {
    let Room(Some(left)) = ROOM.get() else {
        return Ok(());
    };
    let left = left.saturating_sub(size_of::<T>());
    ROOM.set(Room(Some(left)));
    match left {
        0 => Err(E::custom("its lists take too much memory")),
        _ => Ok(()),
    }
}
