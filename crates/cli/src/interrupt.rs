//! What is told to end by a signal, and ends in order.

use agent_otp_jetstream::Interrupt;
use tokio_util::sync::CancellationToken;

/// Runs something to its end; a signal cancels what it is handed, and is no reason to drop it.
///
/// # Errors
///
/// As [`Interrupt::new`].
pub(crate) async fn until<T>(running: impl AsyncFnOnce(CancellationToken) -> T) -> std::io::Result<T> {
    let mut interrupt = Interrupt::new()?;
    let stop = CancellationToken::new();
    let mut running = std::pin::pin!(running(stop.clone()));
    tokio::select! {
        ended = &mut running => return Ok(ended),
        () = interrupt.came() => {}
    }
    stop.cancel();
    Ok(running.await)
}
