//! Weights outside the ONNX file: tensors that name a file, an offset and a length. They are copied
//! into the model, so that the rest of the program reads one file.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io::{Error, ErrorKind, Read};
use std::path::{Component, Path, PathBuf};

use prost::Message;

use super::onnx::{ModelProto, OnnxError, TensorProto};

/// The largest file and the largest model, in bytes: the limit of a protocol buffer.
const MAX_BYTES: u64 = (1 << 31) - 1;

/// The model in `bytes` and the files that hold its weights, relative to the model's folder. `None`
/// if all weights are inside.
///
/// # Errors
/// If `bytes` is not a model, or a path leaves the folder.
pub(super) fn locations(
    bytes: &[u8],
) -> Result<Option<(ModelProto, BTreeSet<PathBuf>)>, OnnxError> {
    let mut model = ModelProto::decode(bytes)?;
    let mut files = BTreeSet::new();
    for tensor in tensors(&mut model).filter(|tensor| tensor.is_external()) {
        files.insert(location(tensor)?);
    }
    Ok((!files.is_empty()).then_some((model, files)))
}

/// Reads `path`, which must be a regular file inside `folder` after all links are resolved.
///
/// # Errors
/// If the file is missing, lies outside `folder`, or is too large.
pub(super) fn read(path: &Path, folder: &Path) -> Result<Vec<u8>, Error> {
    let refused = |reason: &str| Error::new(ErrorKind::InvalidData, reason.to_owned());
    let resolved = path.canonicalize()?;
    if !resolved.starts_with(folder.canonicalize()?) {
        return Err(refused("it is a link that leaves the folder"));
    }
    // Check the type before opening: opening a pipe blocks until a writer opens it.
    let metadata = fs::metadata(&resolved)?;
    if !metadata.is_file() {
        return Err(refused("it is not a regular file"));
    }
    if metadata.len() > MAX_BYTES {
        return Err(refused("it has more than 2 GB"));
    }
    let mut bytes = Vec::new();
    fs::File::open(&resolved)?.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The bytes of the model with all weights inside. `read` returns a file's bytes; `unfit` adds the
/// model's name to an error.
///
/// # Errors
/// If a file cannot be read, is too short, or a length does not match the tensor's shape.
pub(super) fn inline<E>(
    mut model: ModelProto,
    mut read: impl FnMut(&Path) -> Result<Vec<u8>, E>,
    unfit: impl Fn(OnnxError) -> E,
) -> Result<Vec<u8>, E> {
    let mut files: HashMap<PathBuf, Vec<u8>> = HashMap::new();
    let mut total: u64 = 0;
    for tensor in tensors(&mut model).filter(|tensor| tensor.is_external()) {
        let location = location(tensor).map_err(&unfit)?;
        if !files.contains_key(&location) {
            files.insert(location.clone(), read(&location)?);
        }
        let range = range(tensor, &location, files[&location].len()).map_err(&unfit)?;
        total += range.len() as u64;
        if total > MAX_BYTES {
            return Err(unfit(OnnxError::Unsupported(
                "more than 2 GB of weights".into(),
                "weights of 16 bits",
            )));
        }
        tensor.raw_data = files[&location][range].to_vec();
        tensor.external_data.clear();
        tensor.data_location = 0;
    }
    Ok(model.encode_to_vec())
}

/// The bytes of the tensor's values in its file, which has `available` bytes.
fn range(
    tensor: &TensorProto,
    location: &Path,
    available: usize,
) -> Result<std::ops::Range<usize>, OnnxError> {
    let size = tensor
        .element_size()
        .ok_or_else(|| tensor.error(format!("has element type {}", tensor.data_type)))?;
    let wanted = tensor.shape()?.iter().product::<usize>().checked_mul(size);
    let wanted = wanted.ok_or_else(|| tensor.error("has an invalid shape"))?;
    let offset = number(tensor, "offset")?.unwrap_or(0);
    let length = number(tensor, "length")?.unwrap_or(wanted);
    if length != wanted {
        return Err(tensor.error(format!(
            "has {length} bytes in {} where its shape needs {wanted}",
            location.display()
        )));
    }
    match offset.checked_add(length) {
        Some(end) if end <= available => Ok(offset..end),
        _ => {
            let range =
                format!("is at byte {offset} of {}, {length} bytes long", location.display());
            Err(tensor.error(format!(
                "{range}, and that file ends at {available}: it was truncated, or belongs to \
                    another model"
            )))
        }
    }
}

fn number(tensor: &TensorProto, key: &str) -> Result<Option<usize>, OnnxError> {
    let text =
        tensor.external_data.iter().find(|entry| entry.key == key).map(|entry| entry.value.trim());
    let wrong =
        |text: &str| tensor.error(format!("has {key} '{text}', which is not a number of bytes"));
    text.map(|text| text.parse().map_err(|_| wrong(text))).transpose()
}

/// The tensor's file: a path below the model's folder.
fn location(tensor: &TensorProto) -> Result<PathBuf, OnnxError> {
    let entry = tensor.external_data.iter().find(|entry| entry.key == "location");
    let text = entry.map(|entry| entry.value.as_str()).unwrap_or_default();
    let path: PathBuf =
        Path::new(text).components().filter(|part| *part != Component::CurDir).collect();
    let inside =
        path.components().all(|part| matches!(part, Component::Normal(_))) && !text.contains('\\');
    if inside && path.components().next().is_some() {
        return Ok(path);
    }
    Err(tensor.error(format!("is in '{text}', which is not a path below the model's folder")))
}

/// All tensors that may have values: initializers and attributes.
fn tensors(model: &mut ModelProto) -> impl Iterator<Item = &mut TensorProto> {
    model.graph.iter_mut().flat_map(|graph| {
        let attributes = graph.node.iter_mut().flat_map(|node| &mut node.attribute);
        graph.initializer.iter_mut().chain(attributes.filter_map(|attribute| attribute.t.as_mut()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_is_refused_before_it_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights.bin");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let (sender, receiver) = std::sync::mpsc::channel();
        let (pipe, inside) = (path.clone(), folder.path().to_owned());
        std::thread::spawn(move || sender.send(read(&pipe, &inside).unwrap_err().to_string()).ok());
        let refusal = receiver.recv_timeout(std::time::Duration::from_secs(10));
        assert!(
            refusal.is_ok_and(|refusal| refusal.contains("regular file")),
            "it blocks until a writer opens the pipe"
        );
    }
}
