//! Numbers and columns of text, as tables are printed.

use crate::evaluate::bootstrap::Estimate;

/// `value [low, high]`; `value` alone without an interval.
pub(super) fn shown(estimate: Estimate, decimals: usize) -> String {
    let Estimate { value, low, high } = estimate;
    if low == value && high == value {
        return format!("{value:.decimals$}");
    }
    format!("{value:.decimals$} [{low:.decimals$}, {high:.decimals$}]")
}

/// The same, or a dash.
pub(super) fn shown_or_dash(estimate: Option<Estimate>, decimals: usize) -> String {
    estimate.map_or_else(|| "-".to_owned(), |estimate| shown(estimate, decimals))
}

/// Aligned columns: the first to the left, the others to the right.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cell = |(column, cell): (usize, &String)| {
            let width = widths[column];
            if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        };
        row.iter().enumerate().map(cell).collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows =
            [vec!["a".to_owned(), "1.5".to_owned()], vec!["long".to_owned(), "12.25".to_owned()]];
        assert_eq!(table(&rows), "a       1.5\nlong  12.25");
    }
}
