//! One connection: bytes to inputs, what is to be sent to bytes.

use std::{sync::Arc, time::Duration};

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Semaphore, mpsc},
    time::timeout,
};

use crate::{
    core::{ConnectionId, Input},
    frame::{Decoder, Incoming},
    reply::Outgoing,
    request::{ConnectRequest, Numbered},
};

/// Answers and events that are written in one go.
const BATCH: usize = 64;

/// What a connection is given.
pub(crate) struct Task {
    pub(crate) id: ConnectionId,
    pub(crate) inputs: mpsc::Sender<Input>,
    /// Ends when the hub closes the connection.
    pub(crate) outgoing: mpsc::Receiver<Outgoing>,
    pub(crate) max_requests: usize,
    pub(crate) write_deadline: Duration,
}

impl Task {
    /// Until either side ends. The hub is told.
    pub(crate) async fn run(self, stream: TcpStream) {
        // Without it an answer would wait for the acknowledgement of the one before.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!("cannot set TCP_NODELAY: {error}");
        }
        let (from, to) = stream.into_split();
        let unanswered = Arc::new(Semaphore::new(self.max_requests));
        let reading = read(self.id, from, self.inputs.clone(), Arc::clone(&unanswered));
        let writing = write(to, self.outgoing, unanswered, self.write_deadline);
        tokio::pin!(writing);
        tokio::select! {
            () = &mut writing => {}
            ended = reading => {
                tracing::debug!(connection = self.id.0, "a ZooKeeper client's connection ends: {ended}");
                // The hub then drops its side of `outgoing`, and what is under way is still written.
                let _ = self.inputs.send(Input::Closed { connection: self.id }).await;
                writing.await;
                return;
            }
        }
        let _ = self
            .inputs
            .send(Input::Closed {
                connection: self.id,
            })
            .await;
    }
}

/// Reads until the stream ends or is of no more use, and says why.
async fn read(
    id: ConnectionId,
    mut stream: OwnedReadHalf,
    inputs: mpsc::Sender<Input>,
    unanswered: Arc<Semaphore>,
) -> String {
    let mut decoder = Decoder::default();
    loop {
        let frame = match decoder.next_frame() {
            Ok(Some(frame)) => frame,
            Ok(None) => match stream.read_buf(decoder.spare()).await {
                Ok(0) => return "the client closed it".to_owned(),
                Ok(_) => continue,
                Err(error) => return error.to_string(),
            },
            Err(error) => return error.to_string(),
        };
        let is_word = matches!(frame, Incoming::Word(_));
        let input = match input(id, frame) {
            Ok(input) => input,
            Err(text) => return text,
        };
        // Given back with the answer; whoever does not read answers is not read either.
        match unanswered.acquire().await {
            Ok(permit) => permit.forget(),
            Err(_) => return "the endpoint closes".to_owned(),
        }
        if inputs.send(input).await.is_err() {
            return "the endpoint closes".to_owned();
        }
        if is_word {
            // The answer is the end; what else came is not looked at.
            return std::future::pending().await;
        }
    }
}

fn input(connection: ConnectionId, incoming: Incoming) -> Result<Input, String> {
    match incoming {
        Incoming::Word(word) => Ok(Input::Word { connection, word }),
        Incoming::Connect(frame) => ConnectRequest::decode(&frame)
            .map(|request| Input::Connect {
                connection,
                request,
                fresh: uuid::Uuid::new_v4().as_u64_pair().1,
            })
            .map_err(|error| format!("no request to connect: {error}")),
        Incoming::Frame(frame) => Numbered::decode(&frame)
            .map(|numbered| Input::Request {
                connection,
                numbered,
            })
            .map_err(|error| format!("no header of a request: {error}")),
    }
}

/// Writes until the hub sends no more, or the client takes no more.
async fn write(
    mut stream: OwnedWriteHalf,
    mut outgoing: mpsc::Receiver<Outgoing>,
    unanswered: Arc<Semaphore>,
    deadline: Duration,
) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut bytes = BytesMut::new();
    while outgoing.recv_many(&mut batch, BATCH).await > 0 {
        let answers = batch.iter().filter(|each| each.is_answer()).count();
        for each in batch.drain(..) {
            each.put(&mut bytes);
        }
        match timeout(deadline, stream.write_all(&bytes)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
        bytes = BytesMut::new();
        unanswered.add_permits(answers);
    }
    let _ = timeout(deadline, stream.shutdown()).await;
}
