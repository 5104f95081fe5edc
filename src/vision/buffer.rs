//! Memory for decoded pixels, used again by the next image of the same thread. Fresh memory for
//! twelve megapixels costs 9,000 page faults, which take about a quarter of the time of decoding
//! them.

use std::cell::RefCell;

/// Larger buffers are given back to the system: each thread may keep one, beside what images
/// reserve. Twelve megapixels take 36 MB.
pub(super) const MOST_KEPT: usize = 40 << 20;

thread_local! {
    static SPARE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// `length` bytes of any content: the caller writes all of them.
pub(super) fn take(length: usize) -> Vec<u8> {
    SPARE.with_borrow_mut(|spare| {
        // A small image must not hold the memory of a large one while it waits.
        if length > spare.capacity() || length < spare.capacity() / 2 {
            return vec![0; length];
        }
        let mut buffer = std::mem::take(spare);
        buffer.resize(length, 0);
        buffer
    })
}

/// Keeps `buffer` for the next image, if it is the largest one so far.
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
    fn a_buffer_is_used_again_for_an_image_of_like_size_alone() {
        let place = |buffer: &Vec<u8>| buffer.as_ptr() as usize;
        let first = take(1000);
        let at = place(&first);
        give(first);
        assert_ne!(place(&take(400)), at, "too small an image");
        let again = take(900);
        assert_eq!((place(&again), again.len()), (at, 900));
        let other = take(900);
        assert_ne!(place(&other), at, "it is in use");
        give(again);
        let larger = take(1001);
        assert_eq!(larger, vec![0; 1001]);
    }
}
