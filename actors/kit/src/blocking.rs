//! Work that may wait for a disk or a name service, off the thread of the actor that wants it done.

/// Does it on a thread for such work. One that panicked, or was never begun because everything ends, is an error in words.
///
/// # Errors
/// Those of the work.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(error.to_string()))
}
