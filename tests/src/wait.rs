//! Waiting for a condition of the world: never for a fixed time, and never for ever.

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
const LOOK: Duration = Duration::from_millis(20);

/// Awaits something that must come.
pub async fn within<T>(what: impl Display, coming: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, coming)
        .await
        .unwrap_or_else(|_| panic!("waited {PATIENCE:?} in vain: {what}"))
}

/// Looks again and again until there is something.
pub async fn eventually<T>(what: impl Display, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let found = async {
        loop {
            match look().await {
                Some(found) => return found,
                None => tokio::time::sleep(LOOK).await,
            }
        }
    };
    within(what, found).await
}
