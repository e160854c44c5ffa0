//! A table of plain text, its columns as wide as their widest cell.

/// Rows of cells; some columns are numbers and end at the right.
pub(super) struct Grid {
    rows: Vec<Vec<String>>,
    right: Vec<usize>,
}

impl Grid {
    /// A table with these column heads; `right` are the positions of the columns of numbers.
    pub fn new(head: &[&str], right: &[usize]) -> Self {
        Self {
            rows: vec![head.iter().map(|&cell| cell.to_owned()).collect()],
            right: right.to_vec(),
        }
    }

    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The lines, indented by four.
    pub fn text(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|column| {
                let cells = self.rows.iter().filter_map(|row| row.get(column));
                cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
            })
            .collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::from("  ");
            for (column, cell) in row.iter().enumerate() {
                let gap = widths[column].saturating_sub(cell.chars().count());
                let (before, after) = if self.right.contains(&column) {
                    (gap, 0)
                } else {
                    (0, gap)
                };
                line.push_str("  ");
                line.extend(std::iter::repeat_n(' ', before));
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', after));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_end_at_the_right_and_no_line_ends_in_spaces() {
        let mut grid = Grid::new(&["name", "ns", "x"], &[1]);
        grid.row(vec!["a".into(), "3,950".into(), String::new()]);
        grid.row(vec!["long name".into(), "5".into(), "y".into()]);
        assert_eq!(
            grid.text(),
            "    name          ns  x\n    a          3,950\n    long name      5  y\n"
        );
    }
}
