//! An S3 inventory: its manifest names the files that list a bucket.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::columns::ListColumns;

/// Largest manifest that is read, bytes. One of ten thousand files has two megabytes.
pub(super) const MOST_MANIFEST_BYTES: u64 = 32 << 20;

/// What is read of a `manifest.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ManifestMessage {
    file_format: String,
    file_schema: String,
    files: Vec<ManifestFileMessage>,
}

#[derive(Debug, Deserialize)]
struct ManifestFileMessage {
    key: String,
}

/// A manifest.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct InventoryManifest {
    /// The columns of CSV files; `None`: the files are Parquet, which name theirs.
    pub(super) columns: Option<ListColumns>,
    /// The keys of the files, in the bucket of the inventory.
    pub(super) keys: Vec<String>,
}

impl InventoryManifest {
    /// Reads a manifest; or says why it is none.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let message: ManifestMessage = serde_json::from_slice(text)
            .map_err(|error| format!("it is no manifest of an S3 inventory: {error}"))?;
        let columns = match message.file_format.as_str() {
            "CSV" => {
                let names: Vec<&str> = message.file_schema.split(',').map(str::trim).collect();
                let columns = ListColumns::of(&names);
                if !columns.name_objects() {
                    return Err("its fileSchema names no Bucket and Key".into());
                }
                Some(columns)
            }
            "Parquet" => None,
            other => {
                return Err(format!("its files are {other}: have them written as CSV or Parquet"));
            }
        };
        let keys: Vec<String> = message.files.into_iter().map(|file| file.key).collect();
        let odd = |key: &&String| key.split('/').any(|part| matches!(part, "" | "." | ".."));
        match keys.iter().find(odd) {
            Some(_) => Err("a file of it has a key with an empty, '.' or '..' segment".into()),
            None => Ok(Self { columns, keys }),
        }
    }
}

/// The file of a local copy of an inventory: below one of the folders that contain the manifest,
/// or next to it.
pub(super) fn local_file(manifest: &Path, key: &str) -> Option<PathBuf> {
    let folder = manifest.parent()?;
    let name = key.rsplit('/').next()?;
    let beside = [folder.join(name), folder.join("data").join(name)];
    let below =
        folder.ancestors().flat_map(|above| [above.join(key), above.join("data").join(name)]);
    beside.into_iter().chain(below).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_names_files_and_columns() {
        let manifest = |format: &str, key: &str| {
            let text = format!(
                r#"{{"sourceBucket": "faces", "fileFormat": "{format}", "version": "2016-11-30",
                "fileSchema": "Bucket, Key, Size, ETag",
                "files": [{{"key": "{key}", "size": 1}}]}}"#
            );
            InventoryManifest::parse(text.as_bytes())
        };
        let found = manifest("CSV", "i/data/a.csv.gz").unwrap();
        assert_eq!(found.keys, ["i/data/a.csv.gz"]);
        assert_eq!(found.columns, Some(ListColumns::of(&["Bucket", "Key", "Size", "ETag"])));
        assert_eq!(manifest("Parquet", "i/data/a.parquet").unwrap().columns, None);
        assert!(manifest("ORC", "i/data/a.orc").unwrap_err().contains("CSV or Parquet"));
        assert!(manifest("CSV", "../../a.csv.gz").is_err());
        assert!(InventoryManifest::parse(b"{\"files\": []}").unwrap_err().contains("manifest"));
    }

    #[test]
    fn the_files_of_a_local_copy_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("i/faces/daily");
        std::fs::create_dir_all(config.join("2026-11-01T00-00Z")).unwrap();
        std::fs::create_dir_all(config.join("data")).unwrap();
        std::fs::write(config.join("data/a.csv.gz"), b"x").unwrap();
        let manifest = config.join("2026-11-01T00-00Z/manifest.json");
        let found = local_file(&manifest, "i/faces/daily/data/a.csv.gz");
        assert_eq!(found, Some(folder.path().join("i/faces/daily/data/a.csv.gz")));
        assert_eq!(
            local_file(&manifest, "other/prefix/a.csv.gz"),
            Some(config.join("data/a.csv.gz"))
        );
        assert_eq!(local_file(&manifest, "i/data/b.csv.gz"), None);
    }
}
