//! The bytes of a response body, collected within a limit.

use std::fs::File;
use std::io::Write;

use super::{FetchError, MemoryReservation, too_large};

/// Collects the chunks of a body. The length that a server claims is not trusted: at most
/// [`Body::BELIEVED`] bytes are allocated for it in advance.
pub(super) struct Body<'a> {
    bytes: Vec<u8>,
    received: u64,
    max_bytes: u64,
    /// Memory for the bytes. `None`: the bytes are counted, and written or dropped.
    memory: Option<&'a dyn MemoryReservation>,
    /// The file to which the bytes are written.
    file: Option<File>,
}

impl<'a> Body<'a> {
    const BELIEVED: u64 = 1 << 20;

    /// A body whose bytes are kept, in memory from `memory`.
    pub(super) fn kept(max_bytes: u64, memory: &'a dyn MemoryReservation) -> Self {
        Self { bytes: Vec::new(), received: 0, max_bytes, memory: Some(memory), file: None }
    }

    /// A body that is read to its end and whose bytes are dropped.
    pub(super) fn dropped(max_bytes: u64) -> Self {
        Self { bytes: Vec::new(), received: 0, max_bytes, memory: None, file: None }
    }

    /// A body whose bytes are written to `file`.
    pub(super) fn written(max_bytes: u64, file: File) -> Self {
        Self { file: Some(file), ..Self::dropped(max_bytes) }
    }

    /// Reserves memory for the `claimed` length; without one, for the largest allowed body.
    pub(super) async fn begin(&mut self, claimed: Option<u64>) -> Result<(), FetchError> {
        if let Some(claimed) = claimed.filter(|&claimed| claimed > self.max_bytes) {
            return Err(too_large(claimed, self.max_bytes));
        }
        self.max_bytes = claimed.unwrap_or(self.max_bytes);
        if let Some(memory) = self.memory {
            memory.take(self.max_bytes).await?;
            let at_once = usize::try_from(claimed.unwrap_or(0).min(Self::BELIEVED)).unwrap_or(0);
            self.bytes.reserve_exact(at_once);
        }
        Ok(())
    }

    pub(super) fn push(&mut self, chunk: &[u8]) -> Result<(), FetchError> {
        self.received += chunk.len() as u64;
        if self.received > self.max_bytes {
            return Err(FetchError::Refused(format!(
                "the image has more than the {} bytes allowed (setting limits.max_bytes)",
                self.max_bytes
            )));
        }
        if self.memory.is_some() {
            self.bytes.extend_from_slice(chunk);
        } else if let Some(file) = &mut self.file {
            let failed = |error| FetchError::Shortage(format!("a temporary file: {error}"));
            file.write_all(chunk).map_err(failed)?;
        }
        Ok(())
    }

    /// The bytes, in a buffer of exactly their size. The reservation shrinks to it.
    pub(super) async fn end(mut self) -> Result<Vec<u8>, FetchError> {
        self.bytes.shrink_to_fit();
        if let Some(memory) = self.memory {
            memory.take(self.bytes.len() as u64).await?;
        }
        Ok(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dropped_body_takes_no_memory_and_has_the_same_limit() {
        let mut body = Body::dropped(10 << 20);
        body.begin(None).await.unwrap();
        for _ in 0..10 {
            body.push(&[0; 1 << 20]).unwrap();
        }
        assert_eq!(body.bytes.capacity(), 0);
        let Err(FetchError::Refused(_)) = body.push(&[0]) else {
            panic!("a body over the limit must be refused")
        };
        assert!(Body::dropped(10).begin(Some(11)).await.is_err());
    }
}
