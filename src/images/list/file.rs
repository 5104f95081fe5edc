//! The file of a list: a local one, or a copy of standard input or of what came over the network,
//! without a name, so that nothing is left of it when the process ends.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Result};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;

/// Bytes that are examined to recognise a format.
pub(super) const SNIFFED_BYTES: usize = 4096;

/// Reads a file from a position of its own: the same file can be read by several at once.
#[derive(Clone)]
pub(super) struct FileCursor {
    file: Arc<File>,
    at: u64,
}

impl FileCursor {
    pub(super) fn at(file: Arc<File>, at: u64) -> Self {
        Self { file, at }
    }
}

impl Read for FileCursor {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// The text of a file from its beginning, decompressed if it is compressed with gzip.
pub(super) fn text_of(file: &Arc<File>) -> Result<Box<dyn BufRead + Send>> {
    let mut raw = BufReader::with_capacity(1 << 16, FileCursor::at(Arc::clone(file), 0));
    if raw.fill_buf()?.starts_with(&[0x1f, 0x8b]) {
        Ok(Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(raw))))
    } else {
        Ok(Box::new(raw))
    }
}

/// The first bytes of the text of a file.
pub(super) fn first_bytes(file: &Arc<File>) -> Result<Vec<u8>> {
    let mut first = Vec::with_capacity(SNIFFED_BYTES);
    text_of(file)?.take(SNIFFED_BYTES as u64).read_to_end(&mut first)?;
    Ok(first)
}
