//! Catches panics, so that a panic on one image fails that image and not its thread.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

/// Longest panic message in an error, characters.
const MOST_CHARACTERS: usize = 200;

thread_local! {
    /// Whether a panic of this thread is caught by [`guarded`].
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work`, which processes one image. After a panic, do not use state that `work` may have
/// left incomplete.
///
/// A caught panic becomes the outcome of the image. It prints nothing; its source location is
/// logged at level debug.
///
/// # Errors
/// The message of the panic, if `work` panics.
pub fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if GUARDED.get() {
                tracing::debug!(
                    at = panic.location().map(tracing::field::display),
                    "caught a panic while processing an image"
                );
            } else {
                others(panic);
            }
        }));
    });
    let before = GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(before);
    result.map_err(|panic| message(&*panic))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let line = text.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(MOST_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_with_its_message_and_the_next_call_works() {
        let index = [1, 2, 3].len();
        let error = guarded(|| [1, 2, 3][std::hint::black_box(index)]).unwrap_err();
        assert!(error.contains("out of bounds"), "{error}");
        assert_eq!(guarded(|| std::panic::panic_any(7)), Err::<(), _>(String::new()));
        assert_eq!(
            guarded(|| panic!("{}", "ä ".repeat(1000))).map_err(|m: String| m.chars().count()),
            Err::<(), _>(200)
        );
        assert_eq!(guarded(|| 7), Ok(7));
    }
}
