//! The temporary directory of a command that leaves nothing behind, whatever ends it.

use std::path::Path;
use std::time::Duration;

use agent_otp_keyring::private;
use anyhow::Context as _;

use crate::interrupt;

/// How often its deletion is tried, and how long it is waited in between: what was broken off may still write a file.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// Works in a new directory, which is deleted at the end. A signal breaks the work off, and what it has started goes with
/// it.
pub(crate) async fn within<T>(
    prefix: &str,
    work: impl AsyncFnOnce(&Path) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let dir = tempfile::Builder::new().prefix(prefix).tempdir()?;
    let worked = interrupt::until(async |stop| stop.run_until_cancelled(work(dir.path())).await).await;
    let deleted = delete(&dir.keep()).await;
    let done = worked?.context("interrupted")??;
    deleted?;
    Ok(done)
}

async fn delete(dir: &Path) -> anyhow::Result<()> {
    let mut tries = 1;
    loop {
        match private::remove_dir(dir) {
            Err(_) if tries < TRIES => tokio::time::sleep(PAUSE).await,
            deleted => return deleted.with_context(|| format!("delete {} yourself", dir.display())),
        }
        tries += 1;
    }
}
