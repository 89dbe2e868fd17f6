//! Ctrl-C and SIGTERM: whatever runs is asked to end, and ends in order.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Both, from when this is made; they end the program by themselves no more.
#[derive(Debug)]
pub(crate) struct Interrupt {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupt {
    /// # Errors
    ///
    /// If signals cannot be listened to.
    pub(crate) fn new() -> std::io::Result<Self> {
        let (interrupt, terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        Ok(Self { interrupt, terminate })
    }

    /// Waits until one of them came.
    pub(crate) async fn came(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

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
