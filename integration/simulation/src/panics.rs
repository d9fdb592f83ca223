//! Panics of this thread's actors. The kit and consensus catch them, so that one actor's end is no end of the process;
//! in a simulation each is a broken invariant.

use std::{cell::RefCell, sync::Once};

thread_local! {
    static FIRST: RefCell<Option<String>> = const { RefCell::new(None) };
}

static WATCHING: Once = Once::new();

/// Keeps the first panic of each thread from now on, and forgets one of an earlier run.
pub(crate) fn watch() {
    WATCHING.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            FIRST.with_borrow_mut(|first| {
                first.get_or_insert_with(|| panic.to_string());
            });
            before(panic);
        }));
    });
    taken();
}

/// The first panic since the last call.
pub(crate) fn taken() -> Option<String> {
    FIRST.take()
}
