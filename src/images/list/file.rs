//! The files of lists: local ones, and copies of standard input and of what came over the network.
//! The copies have no name, so that nothing is left of them when the process ends.

use std::fs::File;
use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::bufread::GzDecoder;

use crate::domain::SourceStamp;
use crate::images::walk::stamp_of;

/// Bytes that are examined to recognise a format.
pub(super) const SNIFFED_BYTES: usize = 4096;

/// A file of a list, which can be read more than once.
#[derive(Debug, Clone)]
pub(super) enum ListFile {
    /// A local file with its version. It is open only while it is read: an inventory may have
    /// thousands.
    Local(PathBuf, SourceStamp),
    /// A part of a file without a name.
    Copy(FileRange),
}

impl ListFile {
    /// The local file at `path`; `None` if what is there can be read only once.
    pub(super) fn local(path: &Path) -> Result<Option<Self>> {
        let metadata = path.metadata()?;
        if metadata.is_dir() {
            return Err(Error::other(
                "it is a folder: name it without --from to scan what is in it",
            ));
        }
        Ok(metadata.is_file().then(|| Self::Local(path.to_owned(), stamp_of(&metadata))))
    }

    /// Its bytes.
    pub(super) fn open(&self) -> Result<FileRange> {
        match self {
            Self::Copy(range) => Ok(range.clone()),
            Self::Local(path, stamp) => {
                let file = File::open(path)?;
                let metadata = file.metadata()?;
                if stamp_of(&metadata) != *stamp {
                    return Err(Error::other("it changed while it was read: run the scan again"));
                }
                Ok(FileRange { file: Arc::new(file), start: 0, length: metadata.len() })
            }
        }
    }
}

/// Copies, one after another in one file.
#[derive(Debug, Default)]
pub(super) struct ListCopies {
    file: Option<Arc<File>>,
    end: u64,
}

impl ListCopies {
    /// The file to append the next copy to.
    pub(super) fn file(&mut self) -> Result<Arc<File>> {
        let file = match self.file.take() {
            Some(file) => file,
            None => Arc::new(tempfile::tempfile()?),
        };
        Ok(Arc::clone(self.file.insert(file)))
    }

    /// What was appended since the last call.
    pub(super) fn appended(&mut self) -> Result<ListFile> {
        let file = self.file()?;
        let start = std::mem::replace(&mut self.end, file.metadata()?.len());
        Ok(ListFile::Copy(FileRange { file, start, length: self.end - start }))
    }
}

/// A part of a file.
#[derive(Debug, Clone)]
pub(super) struct FileRange {
    file: Arc<File>,
    start: u64,
    pub(super) length: u64,
}

impl FileRange {
    /// All of a file.
    #[cfg(test)]
    pub(super) fn whole(file: File) -> Self {
        let length = file.metadata().unwrap().len();
        Self { file: Arc::new(file), start: 0, length }
    }
}

/// Reads a part of a file from a position of its own: the file can be read by several at once.
pub(super) struct FileCursor {
    range: FileRange,
    at: u64,
}

impl FileCursor {
    pub(super) fn at(range: &FileRange, at: u64) -> Self {
        Self { range: range.clone(), at }
    }
}

impl Read for FileCursor {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let left = self.range.length.saturating_sub(self.at);
        let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = self.range.file.read_at(&mut buffer[..most], self.range.start + self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// The text of a file from its beginning, decompressed if it is compressed with gzip.
pub(super) fn text_of(range: &FileRange) -> Result<Box<dyn BufRead + Send>> {
    let mut raw = BufReader::with_capacity(1 << 16, FileCursor::at(range, 0));
    if raw.fill_buf()?.starts_with(&[0x1f, 0x8b]) {
        let text = GzipText { member: Some(GzDecoder::new(raw)) };
        Ok(Box::new(BufReader::with_capacity(1 << 16, text)))
    } else {
        Ok(Box::new(raw))
    }
}

/// The first bytes of the text of a file.
pub(super) fn first_bytes(range: &FileRange) -> Result<Vec<u8>> {
    let mut first = Vec::with_capacity(SNIFFED_BYTES);
    text_of(range)?.take(SNIFFED_BYTES as u64).read_to_end(&mut first)?;
    Ok(first)
}

/// Decompresses the members of a gzip file. It may be padded with zero bytes, as from tapes.
struct GzipText<R> {
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Read for GzipText<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        while let Some(mut member) = self.member.take() {
            let read = member.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                self.member = Some(member);
                return Ok(read);
            }
            let mut rest = member.into_inner();
            self.member = (!is_padding(&mut rest)?).then(|| GzDecoder::new(rest));
        }
        Ok(0)
    }
}

/// Whether nothing but zero bytes follows. Reads them.
fn is_padding(rest: &mut impl BufRead) -> Result<bool> {
    if rest.fill_buf()?.first().is_some_and(|byte| *byte != 0) {
        return Ok(false);
    }
    loop {
        let bytes = rest.fill_buf()?;
        if bytes.iter().any(|byte| *byte != 0) {
            let reason = "something that is not gzip follows the compressed text";
            return Err(Error::new(ErrorKind::InvalidData, reason));
        }
        let count = bytes.len();
        if count == 0 {
            return Ok(true);
        }
        rest.consume(count);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn text(bytes: &[u8]) -> Result<String> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let mut text = String::new();
        text_of(&FileRange::whole(file))?.read_to_string(&mut text)?;
        Ok(text)
    }

    #[test]
    fn gzip_has_any_number_of_members_and_zeros_at_its_end() {
        let member = |text: &str| {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
            gzip.write_all(text.as_bytes()).unwrap();
            gzip.finish().unwrap()
        };
        let two = [member("a.jpg\n"), member("b.jpg\n")].concat();
        assert_eq!(text(&two).unwrap(), "a.jpg\nb.jpg\n");
        let padded = [&two[..], &vec![0; 200_000]].concat();
        assert_eq!(text(&padded).unwrap(), "a.jpg\nb.jpg\n");
        assert!(text(&[&padded[..], b"x"].concat()).is_err());
        assert!(text(&[&two[..], b"x"].concat()).is_err());
        assert!(text(&two[..two.len() - 4]).is_err());
    }

    #[test]
    fn a_local_file_that_changed_is_not_read_again_and_copies_share_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.txt");
        std::fs::write(&path, "a.jpg\n").unwrap();
        let file = ListFile::local(&path).unwrap().unwrap();
        assert_eq!(file.open().unwrap().length, 6);
        std::fs::write(&path, "a.jpg\nb.jpg\n").unwrap();
        assert!(file.open().unwrap_err().to_string().contains("changed"));

        let mut copies = ListCopies::default();
        for expected in ["one", "", "three"] {
            copies.file().unwrap().as_ref().write_all(expected.as_bytes()).unwrap();
            let range = copies.appended().unwrap().open().unwrap();
            assert_eq!(first_bytes(&range).unwrap(), expected.as_bytes());
        }
    }
}
