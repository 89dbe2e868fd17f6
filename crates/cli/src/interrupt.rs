//! Ctrl-C and SIGTERM: whatever runs is asked to end, and ends in order.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Runs something to its end; a signal cancels what it is handed, and is no reason to drop it.
///
/// # Errors
///
/// If signals cannot be listened to.
pub(crate) async fn until<T>(running: impl AsyncFnOnce(CancellationToken) -> T) -> std::io::Result<T> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let stop = CancellationToken::new();
    let mut running = std::pin::pin!(running(stop.clone()));
    tokio::select! {
        ended = &mut running => return Ok(ended),
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    stop.cancel();
    Ok(running.await)
}
