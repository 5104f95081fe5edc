//! Lists of images: text, tables, JSON lines, Parquet files and S3 inventories.
//!
//! A list is read twice. The first reading ([`ImageLists::survey`]) counts its rows, finds those
//! that repeat others, and those outside of what may be read, before anything is scanned. The
//! second one ([`SurveyedLists::entries`]) is part of a listing. Neither keeps rows in memory.

mod base;
mod columns;
mod file;
mod format;
mod inventory;
mod json;
mod lines;
mod open;
mod parquet_rows;
mod plain;
mod repeats;
mod row;
mod second;
mod survey;
mod table;
#[cfg(test)]
mod tests;
mod versions;

pub use base::{of_uri, resolved};
pub use format::ListFormat;
pub use open::{ListPlace, ListSources};
pub use second::SurveyedLists;
pub use survey::ListSurvey;
pub use versions::ImageVersions;

use self::base::ListBase;
use self::columns::ListColumns;
use self::file::{ListFile, text_of};
use self::json::JsonRows;
use self::parquet_rows::ParquetRows;
use self::plain::PlainRows;
use self::row::{ListRow, ReadRows};
use self::table::TableRows;
use super::listing::ListingError;
use crate::domain::{InvalidName, LabelledImage};

/// Lists that were opened.
pub struct ImageLists {
    parts: Vec<ListPart>,
    /// Whether they can be opened again, to resume.
    is_again: bool,
}

impl ImageLists {
    /// The same lists, with relative paths below `folder` instead of beside the lists.
    ///
    /// # Errors
    /// If the current folder is not known.
    pub fn below(mut self, folder: &std::path::Path) -> std::io::Result<Self> {
        let folder = std::path::absolute(folder)?;
        for part in &mut self.parts {
            part.base = ListBase::Folder(folder.clone());
        }
        Ok(self)
    }
}

/// A list, or a file of an inventory.
struct ListPart {
    name: String,
    file: ListFile,
    format: ListFormat,
    /// The columns of an inventory's table, which has no header.
    columns: Option<ListColumns>,
    base: ListBase,
}

/// The columns that each CSV file of an inventory begins with. Others need the manifest.
fn bare_inventory() -> ListColumns {
    ListColumns::of(&["Bucket", "Key"])
}

impl ListPart {
    /// Reads the rows from the beginning.
    fn rows(&self) -> Result<Box<dyn ReadRows>, ListingError> {
        let failed = |error: std::io::Error| self.damaged(&error);
        let file = self.file.open().map_err(failed)?;
        let text = || text_of(&file).map_err(failed);
        let opened: Result<Box<dyn ReadRows>, String> = match (self.format, &self.columns) {
            (ListFormat::Inventory, columns) => {
                let columns = columns.clone().unwrap_or_else(bare_inventory);
                Ok(Box::new(TableRows::of_inventory(text()?, columns)))
            }
            (ListFormat::Text, _) => Ok(Box::new(PlainRows::new(text()?))),
            (ListFormat::Jsonl, _) => Ok(Box::new(JsonRows::new(text()?))),
            (ListFormat::Csv, _) => {
                let rows = TableRows::new(text()?).map_err(failed)?;
                rows.map(|rows| Box::new(rows) as Box<dyn ReadRows>)
            }
            (ListFormat::Parquet, _) => {
                let rows = ParquetRows::new(file).map_err(failed)?;
                rows.map(|rows| Box::new(rows) as Box<dyn ReadRows>)
            }
        };
        opened.map_err(|reason| unusable(&self.name, reason))
    }

    /// What a row says of an image; or why it cannot be used.
    fn image(&self, row: &ListRow) -> Result<LabelledImage, String> {
        let image = self.base.locate(&row.place)?;
        let told = |error: InvalidName| error.to_string();
        let subject = row.subject.as_deref().map(str::parse).transpose().map_err(told)?;
        let expected_hash = row.hash.as_deref().map(str::parse).transpose().map_err(told)?;
        // A tag that is no stamp is no reason to leave out the image.
        let stamp = row.tag.as_deref().and_then(|tag| tag.parse().ok());
        Ok(LabelledImage { image, stamp, subject, expected_hash })
    }

    /// The name of a row, for people.
    fn row_name(&self, number: u64) -> String {
        let row = if self.format == ListFormat::Parquet { "row" } else { "line" };
        format!("{}, {row} {number}", self.name)
    }

    fn damaged(&self, error: &std::io::Error) -> ListingError {
        unusable(&self.name, error.to_string())
    }
}

/// The error that the list of this name cannot be used.
fn unusable(name: &impl std::fmt::Display, reason: String) -> ListingError {
    ListingError { what: format!("the images of {name}"), reason }
}
