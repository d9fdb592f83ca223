//! Event streams carry only what a leader says: an event that waited while this master was stopped, or cut off, must
//! not be told once another one leads.

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};

use crate::leadership::{Leadership, Standing};

type Failure = Box<dyn std::error::Error>;

/// The stream was opened at a leader that is none any more; what waited is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this master leads no more")]
struct LeadLost;

/// `records` for as long as the term lasts in which they were asked for; then the stream breaks.
pub(super) fn while_leading<E>(
    records: impl Stream<Item = Result<Bytes, E>> + Unpin + 'static,
    leadership: Leadership,
) -> impl Stream<Item = Result<Bytes, Failure>> + 'static
where
    E: Into<Failure> + 'static,
{
    let began = leadership.standing();
    stream::unfold(Some((records, leadership)), move |state| {
        let began = began.clone();
        async move {
            let (mut records, leadership) = state?;
            let record = records.next().await?;
            let now = leadership.settled().await;
            if now == began && matches!(now, Standing::Leading { .. }) {
                return Some((record.map_err(Into::into), Some((records, leadership))));
            }
            Some((Err(LeadLost.into()), None))
        }
    })
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::{
            Arc,
            atomic::{AtomicU64, Ordering::Relaxed},
        },
    };

    use tepui_kit::stage::TestStage;

    use super::*;

    const NONE: u64 = 0;

    fn leads(term: u64) -> Standing {
        Standing::Leading { term }
    }

    /// A leadership whose lease is the number, none where that is 0.
    fn leadership(standing: Standing) -> (Leadership, Arc<AtomicU64>) {
        let lease = Arc::new(AtomicU64::new(3));
        let given = Arc::clone(&lease);
        let given = move || Some(given.load(Relaxed)).filter(|term| *term != NONE);
        (Leadership::new(standing, Arc::new(given)), lease)
    }

    fn two() -> impl Stream<Item = Result<Bytes, Infallible>> + Unpin + 'static {
        stream::iter([Ok(Bytes::from_static(b"1")), Ok(Bytes::from_static(b"2"))])
    }

    #[test]
    fn events_wait_for_the_lease_and_go_on_in_order() {
        TestStage::run(1, async |_| {
            let (leadership, lease) = leadership(leads(3));
            let mut records = Box::pin(while_leading(two(), leadership));
            assert_eq!(records.next().await.unwrap().unwrap(), "1");
            lease.store(NONE, Relaxed);
            let mut second = records.next();
            assert!(futures_util::poll!(&mut second).is_pending());
            lease.store(3, Relaxed);
            assert_eq!(second.await.unwrap().unwrap(), "2");
            assert!(records.next().await.is_none());
        });
    }

    #[test]
    fn nothing_is_told_once_the_term_is_over() {
        TestStage::run(1, async |_| {
            for (later, standing) in [
                (NONE, leads(3)),
                (5, leads(3)),
                (5, leads(5)),
                (3, Standing::NoLeader),
            ] {
                let (leadership, lease) = leadership(leads(3));
                let mut records = Box::pin(while_leading(two(), leadership.clone()));
                assert_eq!(records.next().await.unwrap().unwrap(), "1");
                lease.store(later, Relaxed);
                leadership.set(standing);
                let broken = records.next().await.unwrap().unwrap_err();
                assert_eq!(broken.to_string(), "this master leads no more");
                assert!(records.next().await.is_none());
            }
        });
    }
}
