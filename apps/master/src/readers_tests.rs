use std::sync::Mutex;

use futures_util::FutureExt;
use tepui_messages::view::Question;
use tokio::sync::oneshot;

use super::*;

/// A view that is held up: it keeps what it was asked.
#[derive(Default)]
struct Stuck(Mutex<Vec<(Query, oneshot::Sender<Bytes>)>>);

impl Ask<Query> for Stuck {
    fn ask(&self, query: Query) -> BoxFuture<'static, Result<Bytes, AskError>> {
        let (answer, answered) = oneshot::channel();
        self.0.lock().unwrap().push((query, answer));
        Box::pin(async { answered.await.map_err(|_| AskError::Closed) })
    }
}

struct NoWatches;

impl Ask<Watch> for NoWatches {
    fn ask(&self, _: Watch) -> BoxFuture<'static, Result<(), AskError>> {
        Box::pin(async { Ok(()) })
    }
}

fn query() -> Query {
    Query {
        after: 0,
        question: Question::Roles,
        viewer: None,
        seat: None,
    }
}

#[tokio::test]
async fn few_wait_at_the_view_and_who_leaves_before_was_never_there() {
    let view = Arc::new(Stuck::default());
    let readers = Readers::of(view.clone(), Arc::new(NoWatches));
    let waiting = || view.0.lock().unwrap().len();
    let mut asked: Vec<_> = (0..1000).map(|_| readers.ask(query())).collect();
    for one in &mut asked {
        assert!(one.now_or_never().is_none());
    }
    assert_eq!(waiting(), SEATS);
    // Those leave whose questions the view has already, and all but one of the others.
    let mut last = asked.pop().unwrap();
    drop(asked);
    assert!((&mut last).now_or_never().is_none());
    assert_eq!(waiting(), SEATS, "the view is not done with any of them");
    let (done, answer) = view.0.lock().unwrap().remove(0);
    drop((done, answer));
    assert!((&mut last).now_or_never().is_none());
    assert_eq!(waiting(), SEATS);
    let (_, answer) = view.0.lock().unwrap().pop().unwrap();
    answer.send(Bytes::from_static(b"roles")).unwrap();
    assert_eq!(last.await.unwrap(), "roles");
}

#[tokio::test]
async fn few_wait_at_the_allocator_until_it_has_answered() {
    let allocator = Arc::new(Stuck::default());
    let few = Few::new();
    let (one, other) = (few.asking(allocator.clone()), few.asking(allocator.clone()));
    let waiting = || allocator.0.lock().unwrap().len();
    let mut asked: Vec<_> = (0..100)
        .map(|_| [&one, &other].map(|it| it.ask(query())))
        .collect();
    for pair in &mut asked {
        for one in pair {
            assert!(one.now_or_never().is_none());
        }
    }
    tokio::task::yield_now().await;
    assert_eq!(waiting(), SEATS);
    drop(asked);
    let last = tokio::spawn(one.ask(query()));
    tokio::task::yield_now().await;
    assert_eq!(
        waiting(),
        SEATS,
        "nobody waits for these, but they are there"
    );
    allocator.0.lock().unwrap().clear();
    while waiting() == 0 {
        tokio::task::yield_now().await;
    }
    let (_, answer) = allocator.0.lock().unwrap().pop().unwrap();
    answer.send(Bytes::from_static(b"numbers")).unwrap();
    assert_eq!(last.await.unwrap().unwrap(), "numbers");
}
