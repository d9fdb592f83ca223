//! Opens proxies. Owns where they live and what a full mailbox means.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use tepui_kit::{ArbiterHandle, Directory, Link, OnPanic, Spawn, Tell, TellError, Teller};
use tepui_messages::{
    framework::{Deliver, EndStream, SchedulerStream},
    master::StreamLost,
    traffic::Traffic,
    view::Encoding,
};
use tokio::sync::watch;

use crate::{
    proxy::{Place, Proxy},
    records::{Records, buffer},
};

/// Turns of the master that may wait for a proxy, which only hands them on.
const CAPACITY: usize = 4096;

/// Makes the proxy of each new subscription.
#[derive(Clone)]
pub struct Proxies {
    directory: Directory,
    arbiter: Option<ArbiterHandle>,
    lost: Teller<StreamLost>,
    traffic: Arc<Traffic>,
    opened: Arc<AtomicU64>,
    /// True once all streams are to end.
    over: watch::Sender<bool>,
}

impl Proxies {
    /// `arbiter` is the thread the proxies live on; without one each lives on the `LocalSet` it is opened on. `lost` is the
    /// master, and never full: no stream is told of twice. Events are counted in `traffic`.
    pub fn new(
        directory: Directory,
        arbiter: Option<ArbiterHandle>,
        lost: Teller<StreamLost>,
        traffic: Arc<Traffic>,
    ) -> Self {
        Self {
            directory,
            arbiter,
            lost,
            traffic,
            opened: Arc::default(),
            over: watch::Sender::new(false),
        }
    }

    /// Ends every stream, and each that is opened from now on: their master leads no more. The streams break, as
    /// those of a master that died.
    pub fn end(&self) {
        self.over.send_replace(true);
    }

    /// A stream for the master to write to, and the records to send to the client.
    pub fn open(
        &self,
        stream_id: String,
        encoding: Encoding,
    ) -> (Arc<dyn SchedulerStream>, Records) {
        let (writer, records, reader_gone) = buffer(encoding);
        let number = self.opened.fetch_add(1, Relaxed) + 1;
        // The stream id is what a call is trusted by: it does not become a name.
        let mut spawn = Spawn::new(&self.directory)
            .name(format!("framework({number})"))
            .capacity(CAPACITY)
            .on_panic(OnPanic::Stop);
        if let Some(arbiter) = &self.arbiter {
            spawn = spawn.arbiter(arbiter);
        }
        let place = Place {
            stream_id,
            lost: Arc::clone(&self.lost),
            over: self.over.subscribe(),
            traffic: Arc::clone(&self.traffic),
        };
        let link = spawn.start_once(move || Proxy::new(place, writer, reader_gone));
        (Arc::new(Stream(link)), records)
    }
}

/// A link whose overflow ends the stream: an event that is lost must not be followed by others.
struct Stream(Link<Proxy>);

impl Tell<Deliver> for Stream {
    fn tell(&self, message: Deliver) -> Result<(), TellError> {
        self.0.tell(message).inspect_err(|error| {
            if *error == TellError::Full {
                self.0.stop();
            }
        })
    }
}

impl Tell<EndStream> for Stream {
    fn tell(&self, message: EndStream) -> Result<(), TellError> {
        self.0.tell(message).inspect_err(|error| {
            if *error == TellError::Full {
                self.0.stop();
            }
        })
    }
}
