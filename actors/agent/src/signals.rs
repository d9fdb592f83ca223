//! Signals on their way to containers: what could not be sent is in the log, since nobody waits for an answer.

pub(crate) async fn report(
    container_id: String,
    signal: i32,
    sent: impl Future<Output = Result<(), String>>,
) {
    if let Err(error) = sent.await {
        tracing::warn!(container_id, signal, error, "a signal could not be sent");
    }
}
