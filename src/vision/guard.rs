//! A panic on one image ends that image, not the thread that has thousands more to do.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

/// The longest panic message that is passed on, characters.
const MOST_CHARACTERS: usize = 200;

thread_local! {
    /// Whether a panic of this thread is caught by [`guarded`].
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work`, which looks at one image. What it may have left half done must not be used after a
/// panic.
///
/// A caught panic is an outcome of that image: it prints nothing, and its place in the code is in
/// the log at level debug.
///
/// # Errors
/// If it panics: with the panic's message.
pub fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if GUARDED.get() {
                tracing::debug!(
                    at = panic.location().map(tracing::field::display),
                    "a panic was caught: it ends one image"
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
