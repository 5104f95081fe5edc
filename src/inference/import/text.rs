//! The texts of an import: names, missing options, the manifest, and the notes about the model.

use std::path::Path;

use super::{Facts, ImportError, ImportOptions, ImportRequest};
use crate::inference::manifest::{Channels, PublishedFile};
use crate::inference::prepare::Pixels;

/// SER-FIQ's published mapping.
const PUBLISHED: (f64, f64) = (130.0, 0.88);

/// The default name of a model, from the name of its file.
pub(super) fn name_of(file: &Path) -> String {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
    stem.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).collect()
}

/// Names are parts of file names and of settings. A dot would look like a variant of another model.
pub(super) fn is_name(name: &str) -> bool {
    let first = name.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    first
        && name.len() <= 64
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

/// What a file is that users import by mistake.
pub(super) fn other_kind(bytes: &[u8]) -> Option<&'static str> {
    let starts = |with: &[u8]| bytes.starts_with(with);
    match () {
        () if bytes.is_empty() => Some("empty"),
        () if starts(b"version https://git-lfs") => {
            Some("a pointer of Git LFS: run `git lfs pull` where it comes from")
        }
        () if starts(b"\x1F\x8B") || starts(b"PK\x03\x04") => {
            Some("an archive: unpack it and import the .onnx file inside")
        }
        () if starts(b"<") => Some("a web page: the download failed"),
        () => None,
    }
}

/// The manifest's text, and the notes: each fact about the model and where it comes from.
///
/// # Errors
/// If an option is missing.
pub(super) fn manifest(
    import: &ImportRequest,
    facts: &Facts,
    files: &[PublishedFile],
) -> Result<(String, Vec<String>), ImportError> {
    let options = &import.options;
    let (mean, scale) = match facts.pixels {
        Pixels::Bytes => (options.mean.or(Some(0.0)), options.scale.or(Some(1.0))),
        Pixels::Fractions => (options.mean.or(Some(0.0)), options.scale.or(Some(1.0 / 255.0))),
        Pixels::Unknown => (options.mean, options.scale),
    };
    let dropout = facts.dropout.or(options.dropout);
    let (Some(channels), Some(mean), Some(scale), Some(dropout)) =
        (options.channels, mean, scale, dropout)
    else {
        return Err(ImportError::MissingOptions(missing_options(options, facts)));
    };
    let (alpha, r) = (options.alpha.unwrap_or(PUBLISHED.0), options.r.unwrap_or(PUBLISHED.1));
    let licence = options.licence.as_deref().unwrap_or("not stated");
    let name = import.file.file_name().unwrap_or_default().to_string_lossy();
    let source = options.source.clone().unwrap_or_else(|| format!("imported from {name}"));
    let order = if channels == Channels::Rgb { "rgb" } else { "bgr" };
    let [file, data @ ..] = files else { return Err(ImportError::Name(name.into_owned())) };
    let data = data_list(data);
    let text = format!(
        "# Written by `facefleet model import`.\n\
         role = \"recogniser\"\nfile = {}\nsha256 = \"{}\"\n\
         {data}licence = {}\nsource = {}\n\n\
         [input]\nwidth = 112\nheight = 112\nchannels = \"{order}\"\n\
         mean = {mean:?}\nscale = {scale:?}\n\n\
         [recogniser]\nembedding = {}\ndropout = {dropout:?}\nalpha = {alpha:?}\nr = {r:?}\n",
        quoted(&file.file.to_string_lossy()),
        file.sha256,
        quoted(licence),
        quoted(&source),
        facts.embedding,
    );
    let notes = vec![
        format!(
            "input '{}': 112 x 112{}, {} (--channels)",
            facts.input,
            if facts.fixed_size { "" } else { " (the graph leaves the size free)" },
            order.to_uppercase()
        ),
        normalisation_note(facts, mean, scale),
        format!(
            "embedding: {} dimensions of {} features, from {}",
            facts.embedding, facts.features, facts.layer
        ),
        dropout_note(facts.dropout, options.dropout, dropout),
        mapping_note(options, alpha, r),
        format!(
            "licence: {licence}{}",
            if options.licence.is_some() { "" } else { " (--licence)" }
        ),
        format!("source: {source}{}", if options.source.is_some() { "" } else { " (--source)" }),
    ];
    Ok((text, notes))
}

fn dropout_note(in_graph: Option<f64>, option: Option<f64>, used: f64) -> String {
    match (in_graph, option) {
        (Some(_), Some(option)) if option != used => {
            format!("dropout {used}: from the graph; --dropout {option} is not used")
        }
        (Some(_), _) => format!("dropout {used}: from the graph"),
        (None, _) => {
            format!(
                "dropout {used} (--dropout); the graph has no dropout, and the score is weaker if \
                    the network was trained without"
            )
        }
    }
}

/// The manifest's list of data files; empty if there are none.
fn data_list(data: &[PublishedFile]) -> String {
    let entry = |data: &PublishedFile| {
        let file = quoted(&data.file.to_string_lossy());
        format!("    {{ file = {file}, sha256 = \"{}\" }},\n", data.sha256)
    };
    let entries: String = data.iter().map(entry).collect();
    if entries.is_empty() { entries } else { format!("data = [\n{entries}]\n") }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// The note about the file.
pub(super) fn file_note(file: &Path, facts: &Facts) -> String {
    let producer = if facts.producer.is_empty() {
        String::new()
    } else {
        format!(", written by {}", facts.producer)
    };
    format!("file: {}, operator set {}{producer}", file.display(), facts.opset)
}

fn normalisation_note(facts: &Facts, mean: f32, scale: f32) -> String {
    let nodes = facts.normalisation.join(", ");
    match facts.pixels {
        Pixels::Bytes if mean == 0.0 && scale == 1.0 => {
            format!("normalisation: by the graph ({nodes}); pixels go in as 0..255")
        }
        Pixels::Fractions if mean == 0.0 => {
            format!("normalisation: by the graph ({nodes}), of pixels of 0..1; scale {scale}")
        }
        Pixels::Bytes | Pixels::Fractions => {
            format!(
                "normalisation: (pixel - {mean}) * {scale} (--mean, --scale), although the graph \
                    normalises too ({nodes})"
            )
        }
        Pixels::Unknown => format!(
            "normalisation: (pixel - {mean}) * {scale} (--mean, --scale); the graph does not \
                normalise"
        ),
    }
}

fn mapping_note(options: &ImportOptions, alpha: f64, r: f64) -> String {
    if options.alpha.is_some() && options.r.is_some() {
        return format!("mapping: alpha {alpha}, r {r} (--alpha, --r)");
    }
    format!(
        "mapping: alpha {alpha}, r {r}: published for another network; `facefleet calibrate` finds \
            this one's from labelled photos"
    )
}

/// The options that are missing in the command, with their usual values.
fn missing_options(options: &ImportOptions, facts: &Facts) -> Vec<String> {
    let mut lines = Vec::new();
    if options.channels.is_none() {
        lines.push(
            "--channels rgb (or bgr): InsightFace, SFace and the ONNX model zoo's LResNet100E-IR \
                use rgb",
        );
    }
    if facts.pixels == Pixels::Unknown && options.mean.is_none() {
        lines.push(
            "--mean 127.5: subtracted from each pixel of 0..255; 127.5 with InsightFace, 0 if the \
                network reads pixels unchanged",
        );
    }
    if facts.pixels == Pixels::Unknown && options.scale.is_none() {
        lines.push(
            "--scale 0.00784313725: the factor after that; 1/127.5 with InsightFace, 1 if the \
                network reads pixels unchanged",
        );
    }
    if facts.dropout.is_none() && options.dropout.is_none() {
        lines.push(
            "--dropout 0.4: the ratio before the last layer in training, which this graph does not \
                state; 0.4 with ArcFace's and InsightFace's MXNet networks. For a network that was \
                trained without dropout, 0.4 gives a score too, a weaker one",
        );
    }
    lines.into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_files_and_cannot_leave_the_folder() {
        assert_eq!(name_of(Path::new("/x/My Model v1.2.onnx")), "my-model-v1-2");
        assert!(is_name("w600k-r50") && is_name("a_b"));
        for name in ["", "../x", "a/b", "a.half", "-x", ".hidden", &"x".repeat(65)] {
            assert!(!is_name(name), "{name}");
        }
    }
}
