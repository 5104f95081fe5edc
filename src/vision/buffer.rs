//! Buffers for decoded pixels, reused by the next image of the same thread. New memory for twelve
//! megapixels costs 9,000 page faults, which take about a quarter of the time of decoding.

use std::cell::RefCell;

/// Largest buffer that is kept, bytes. Each thread may keep one, in addition to the memory that
/// images reserve. Twelve megapixels take 36 MB.
pub(super) const MOST_KEPT: usize = 40 << 20;

thread_local! {
    static SPARE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Returns `length` bytes of arbitrary content: the caller overwrites all of them.
pub(super) fn take(length: usize) -> Vec<u8> {
    SPARE.with_borrow_mut(|spare| {
        // A small image must not hold the buffer of a large one while it waits.
        if length > spare.capacity() || length < spare.capacity() / 2 {
            return vec![0; length];
        }
        let mut buffer = std::mem::take(spare);
        buffer.resize(length, 0);
        buffer
    })
}

/// Keeps `buffer` for the next image if it is larger than the one kept now.
pub(super) fn give(buffer: Vec<u8>) {
    SPARE.with_borrow_mut(|spare| {
        if buffer.capacity() > spare.capacity() && buffer.capacity() <= MOST_KEPT {
            *spare = buffer;
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_reused_only_for_an_image_of_similar_size() {
        let address = |buffer: &Vec<u8>| buffer.as_ptr() as usize;
        let first = take(1000);
        let at = address(&first);
        give(first);
        assert_ne!(address(&take(400)), at, "the image is too small");
        let again = take(900);
        assert_eq!((address(&again), again.len()), (at, 900));
        let other = take(900);
        assert_ne!(address(&other), at, "the buffer is in use");
        give(again);
        let larger = take(1001);
        assert_eq!(larger, vec![0; 1001]);
    }
}
