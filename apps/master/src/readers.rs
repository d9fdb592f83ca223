//! The ways of readers to the view and to the allocator. Only so many of them wait there at a time, the others before it: these
//! mailboxes are for the changes of the master, and whoever goes away while waiting here costs nothing.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tepui_messages::view::{Query, Seat, Watch};
use tepui_protocol::message::{Ask, AskError, Asker, Message};
use tokio::sync::Semaphore;

/// The view answers one after the other, so more would only wait there.
const SEATS: usize = 16;

/// What asks the view; see the module. A seat is taken until the view is done with what was asked, also if nobody waits for
/// the answer any more.
pub(crate) struct Readers {
    queries: Asker<Query>,
    watches: Asker<Watch>,
    seats: Arc<Semaphore>,
}

impl Readers {
    pub(crate) fn of(queries: Asker<Query>, watches: Asker<Watch>) -> Arc<Readers> {
        Arc::new(Readers {
            queries,
            watches,
            seats: Arc::new(Semaphore::new(SEATS)),
        })
    }

    /// Asks for a seat when it is first polled.
    fn seat(&self) -> impl Future<Output = Result<Seat, AskError>> + Send + use<> {
        let seats = Arc::clone(&self.seats);
        async move {
            let seat = seats.acquire_owned().await;
            seat.map(Arc::new).map_err(|_| AskError::Closed)
        }
    }
}

impl Ask<Query> for Readers {
    /// Unlike others it does not queue at once: a question names the change it must have seen.
    fn ask(&self, query: Query) -> BoxFuture<'static, Result<Bytes, AskError>> {
        let (seat, view) = (self.seat(), Arc::clone(&self.queries));
        Box::pin(async move {
            let seat = Some(seat.await?);
            view.ask(Query { seat, ..query }).await
        })
    }
}

impl Ask<Watch> for Readers {
    fn ask(&self, watch: Watch) -> BoxFuture<'static, Result<(), AskError>> {
        let (seat, view) = (self.seat(), Arc::clone(&self.watches));
        Box::pin(async move {
            let seat = Some(seat.await?);
            view.ask(Watch { seat, ..watch }).await
        })
    }
}

/// What readers ask the allocator; see the module. As there, a place is taken until the allocator has answered.
pub(crate) struct Few {
    places: Arc<Semaphore>,
}

impl Few {
    pub(crate) fn new() -> Few {
        Few {
            places: Arc::new(Semaphore::new(SEATS)),
        }
    }

    /// The way to `behind`, with the places of all others that were made here.
    pub(crate) fn asking<M: Message>(&self, behind: Asker<M>) -> Asker<M> {
        Arc::new(OneOfFew {
            behind,
            places: Arc::clone(&self.places),
        })
    }
}

struct OneOfFew<M: Message> {
    behind: Asker<M>,
    places: Arc<Semaphore>,
}

impl<M: Message> Ask<M> for OneOfFew<M> {
    /// It does not queue at once: readers keep no order.
    fn ask(&self, message: M) -> BoxFuture<'static, Result<M::Reply, AskError>> {
        let (behind, places) = (Arc::clone(&self.behind), Arc::clone(&self.places));
        Box::pin(async move {
            let place = places.acquire_owned().await;
            let place = place.map_err(|_| AskError::Closed)?;
            // A task of its own: the place stays taken if nobody waits for the answer any more.
            let answered = tokio::spawn(async move {
                let answer = behind.ask(message).await;
                drop(place);
                answer
            });
            answered.await.unwrap_or(Err(AskError::Closed))
        })
    }
}

#[cfg(test)]
#[path = "readers_tests.rs"]
mod tests;
