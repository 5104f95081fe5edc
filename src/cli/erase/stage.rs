//! How far an erasure is, for whoever interrupts it.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;

use crate::cli::INTERRUPTED;
use crate::cli::interrupt::{StopOnSignal, stop_on_signal};

/// What is left to do once rows and chips are gone.
pub(super) const UNWRITTEN: &str = "it is erased, and the files of the store still have to be \
    written anew: run the same command again";

/// While it lives, a signal says what was done before it ends the process.
pub(super) struct ErasureStage {
    told: Arc<Mutex<String>>,
    _on_signal: StopOnSignal,
}

impl ErasureStage {
    /// Nothing was erased yet.
    pub(super) fn begin() -> Result<Self> {
        let told = Arc::new(Mutex::new("interrupted: nothing was erased".to_owned()));
        let at_signal = Arc::clone(&told);
        let on_signal = stop_on_signal(move || {
            eprintln!("{}", at_signal.lock().unwrap_or_else(PoisonError::into_inner));
            signal_hook::low_level::exit(i32::from(INTERRUPTED));
        })?;
        Ok(Self { told, _on_signal: on_signal })
    }

    /// Rows are being deleted, dead letters and chips after them.
    pub(super) fn erasing(&self) {
        self.set(
            "rows may be erased, and dead letters, chips and the files of the store may be left: \
                run the same command again",
        );
    }

    /// Only the files of the store are left.
    pub(super) fn rewriting(&self) {
        self.set(UNWRITTEN);
    }

    fn set(&self, told: &str) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = format!("interrupted: {told}");
    }
}
