//! Ctrl-C and SIGTERM: the first asks the command to finish what it has in hand, the second ends it
//! at once.

use std::process::exit;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::INTERRUPTED;

/// A token that the first signal cancels. `told` is called then.
pub(super) fn stop_on_signal(
    told: impl FnOnce() + Send + 'static,
) -> std::io::Result<CancellationToken> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        let mut next =
            async || tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} };
        next().await;
        told();
        token.cancel();
        next().await;
        exit(i32::from(INTERRUPTED));
    });
    Ok(stop)
}
