//! Weights beside the ONNX file: tensors that name a file, an offset and a length. They are put
//! inside, so that all that follows sees one file.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io::{Error, ErrorKind, Read};
use std::path::{Component, Path, PathBuf};

use prost::Message;

use super::onnx::{ModelProto, OnnxError, TensorProto};

/// The largest file, and the largest model: what a protocol buffer can hold.
const MAX_BYTES: u64 = (1 << 31) - 1;

/// The model in `bytes` and the files that its weights are in, relative to its folder; none if all
/// weights are inside.
///
/// # Errors
/// If it is no model, or a name leaves the folder.
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

/// Reads `path`, which must be a file inside `folder`, links resolved.
///
/// # Errors
/// If it is not there, elsewhere, or too large.
pub(super) fn read(path: &Path, folder: &Path) -> Result<Vec<u8>, Error> {
    let refused = |reason: &str| Error::new(ErrorKind::InvalidData, reason.to_owned());
    let resolved = path.canonicalize()?;
    if !resolved.starts_with(folder.canonicalize()?) {
        return Err(refused("it is a link that leaves the folder"));
    }
    // Looked at before it is opened: opening a pipe waits for whoever writes into it.
    let metadata = fs::metadata(&resolved)?;
    if !metadata.is_file() {
        return Err(refused("it is no file"));
    }
    if metadata.len() > MAX_BYTES {
        return Err(refused("it has more than 2 GB"));
    }
    let mut bytes = Vec::new();
    fs::File::open(&resolved)?.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The model with all weights inside. `read` gives a file's bytes; `unfit` says which model an
/// error is about.
///
/// # Errors
/// If a file cannot be read, is too short, or a length contradicts the shape.
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

/// Where in the file, of `available` bytes, the tensor's values are.
fn range(
    tensor: &TensorProto,
    location: &Path,
    available: usize,
) -> Result<std::ops::Range<usize>, OnnxError> {
    let size = tensor
        .element_size()
        .ok_or_else(|| tensor.error(format!("has element type {}", tensor.data_type)))?;
    let wanted = tensor.shape()?.iter().product::<usize>().checked_mul(size);
    let wanted = wanted.ok_or_else(|| tensor.error("has an impossible shape"))?;
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
            let place =
                format!("is at byte {offset} of {}, {length} bytes long", location.display());
            Err(tensor.error(format!(
                "{place}, and that file ends at {available}: it was cut, or \
                belongs to another model"
            )))
        }
    }
}

fn number(tensor: &TensorProto, key: &str) -> Result<Option<usize>, OnnxError> {
    let text =
        tensor.external_data.iter().find(|entry| entry.key == key).map(|entry| entry.value.trim());
    let wrong =
        |text: &str| tensor.error(format!("has {key} '{text}', which is no number of bytes"));
    text.map(|text| text.parse().map_err(|_| wrong(text))).transpose()
}

/// The file a tensor is in: a path below the model's folder.
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
    Err(tensor.error(format!("is in '{text}', which is no path below the model's folder")))
}

/// All tensors that may have values.
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
            refusal.is_ok_and(|refusal| refusal.contains("no file")),
            "it waits for whoever writes into the pipe"
        );
    }
}
