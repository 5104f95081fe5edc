//! Ctrl-C and SIGTERM: the first asks a command to finish the jobs in flight, the second ends the
//! process at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};

use signal_hook::low_level::exit;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::INTERRUPTED;

/// The work that the next signal stops. Without any, the signal ends the process.
static STOPPABLE: Mutex<Option<Stoppable>> = Mutex::new(None);

struct Stoppable {
    stop: CancellationToken,
    terminated: Arc<AtomicBool>,
    on_stop: Box<dyn FnOnce() + Send>,
}

/// Work was stopped by a signal.
#[derive(Debug, thiserror::Error)]
#[error("interrupted: what is scored is kept, and the same command continues from here")]
pub(super) struct Interrupted;

/// While it lives, the first signal cancels its token.
pub(super) struct StopOnSignal {
    stop: CancellationToken,
    terminated: Arc<AtomicBool>,
}

impl StopOnSignal {
    /// The token.
    pub(super) fn token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Whether there was a signal.
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Whether that signal was SIGTERM: the end that services are asked for, and no interruption.
    pub(super) fn is_terminated(&self) -> bool {
        self.terminated.load(Ordering::Relaxed)
    }
}

impl Drop for StopOnSignal {
    fn drop(&mut self) {
        stoppable().take();
    }
}

/// Lets the first signal call `on_stop` and cancel a token.
pub(super) fn stop_on_signal(
    on_stop: impl FnOnce() + Send + 'static,
) -> std::io::Result<StopOnSignal> {
    static LISTENER: Once = Once::new();
    let signals = [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?];
    let (stop, terminated) = (CancellationToken::new(), Arc::new(AtomicBool::new(false)));
    *stoppable() = Some(Stoppable {
        stop: stop.clone(),
        terminated: Arc::clone(&terminated),
        on_stop: Box::new(on_stop),
    });
    LISTENER.call_once(|| drop(tokio::spawn(listen(signals))));
    Ok(StopOnSignal { stop, terminated })
}

async fn listen([mut interrupt, mut terminate]: [Signal; 2]) {
    loop {
        let by_sigterm = tokio::select! {
            _ = interrupt.recv() => false,
            _ = terminate.recv() => true,
        };
        let Some(Stoppable { stop, terminated, on_stop }) = stoppable().take() else {
            exit(i32::from(INTERRUPTED));
        };
        terminated.store(by_sigterm, Ordering::Relaxed);
        on_stop();
        stop.cancel();
    }
}

fn stoppable() -> MutexGuard<'static, Option<Stoppable>> {
    STOPPABLE.lock().unwrap_or_else(PoisonError::into_inner)
}
