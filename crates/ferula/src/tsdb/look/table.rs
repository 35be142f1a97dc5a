//! Columns of text, and how times and sizes are shown in them.

use ferula_model::Timestamp;

/// Rows of cells, the first one the head; printed in columns.
#[derive(Debug)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(head: &[&str]) -> Self {
        let head = head.iter().map(|&cell| cell.to_owned()).collect();
        Self { rows: vec![head] }
    }

    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    pub(super) fn print(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = |i: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(i));
            cells.map(|c| c.chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut out = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(&format!("{cell:width$}  "));
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

/// A time in milliseconds, or as a date.
pub(super) fn time(t: Timestamp, human: bool) -> String {
    if !human {
        return t.to_string();
    }
    let date = jiff::Timestamp::from_millisecond(t);
    date.map_or_else(|_| t.to_string(), |date| date.to_string())
}

/// A number of bytes, or with a unit.
pub(super) fn bytes(n: u64, human: bool) -> String {
    const UNITS: [(&str, u64); 4] = [
        ("TiB", 1 << 40),
        ("GiB", 1 << 30),
        ("MiB", 1 << 20),
        ("KiB", 1 << 10),
    ];
    let unit = UNITS.iter().find(|(_, size)| human && n >= *size);
    match unit {
        Some((unit, size)) => format!("{:.2}{unit}", n as f64 / *size as f64),
        None => n.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_cells() {
        let mut table = Table::new(&["A", "LONG", "C"]);
        table.row(vec!["xyz".into(), "1".into(), String::new()]);
        assert_eq!(table.print(), "A    LONG  C\nxyz  1\n");
    }

    #[test]
    fn times_and_sizes() {
        assert_eq!(
            (time(1_500, false), time(1_500, true)),
            ("1500".into(), "1970-01-01T00:00:01.5Z".into())
        );
        assert_eq!(
            [bytes(1_536, false), bytes(1_536, true), bytes(5, true)],
            ["1536", "1.50KiB", "5"]
        );
    }
}
