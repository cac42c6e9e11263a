//! Which small data files are joined: files of one month, one set of columns and one class of size, in delivery order.
//! Promise: a row is moved a few times in its life (once a class), however often maintenance runs.
//! Never: files of different columns are joined, so that a column which was never delivered is not made to look blank.

use std::collections::BTreeMap;

use super::{super::write::Partition, Compaction};

/// Below this all files are of the first class; each class spans a factor of `files_min`.
const CLASS_BYTES: u64 = 32 << 10;

/// A live data file, as far as planning needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveFile {
    pub path: String,
    pub size_bytes: u64,
    pub rows: u64,
    pub partition: Partition,
    /// Stands for a set of columns; see [`super::compact`].
    pub columns: usize,
    /// Of the snapshot that brought the rows.
    pub sequence: i64,
    pub first_row_id: i64,
}

/// Files to join, each bin into one file, months in order.
pub fn bins(files: Vec<LiveFile>, compaction: &Compaction) -> Vec<Vec<LiveFile>> {
    let mut classes: BTreeMap<(Partition, usize, u32), Vec<LiveFile>> = BTreeMap::new();
    for file in files.into_iter().filter(|file| file.size_bytes < compaction.file_target_bytes / 2) {
        let class = class(file.size_bytes, compaction.files_min);
        classes.entry((file.partition, file.columns, class)).or_default().push(file);
    }
    let mut bins = Vec::new();
    for mut members in classes.into_values() {
        members.sort_by(|left, right| (left.sequence, &left.path).cmp(&(right.sequence, &right.path)));
        let (mut bin, mut bytes) = (Vec::new(), 0);
        for file in members {
            if bytes + file.size_bytes > compaction.file_target_bytes {
                bins.push(std::mem::take(&mut bin));
                bytes = 0;
            }
            bytes += file.size_bytes;
            bin.push(file);
        }
        bins.push(bin);
    }
    bins.retain(|bin| bin.len() >= compaction.files_min.max(2));
    bins
}

fn class(size_bytes: u64, factor: usize) -> u32 {
    (size_bytes / CLASS_BYTES).checked_ilog(factor.max(2) as u64).map_or(0, |class| class + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPACTION: Compaction = Compaction { file_target_bytes: 1 << 20, files_min: 4 };

    fn file(name: &str, size_bytes: u64, month: i32, columns: usize, sequence: i64) -> LiveFile {
        let path = name.to_owned();
        LiveFile { path, size_bytes, rows: 1, partition: Some(month), columns, sequence, first_row_id: 0 }
    }

    fn names(bins: &[Vec<LiveFile>]) -> Vec<String> {
        bins.iter().map(|bin| bin.iter().map(|file| file.path.as_str()).collect()).collect()
    }

    #[test]
    fn enough_small_files_of_one_month_and_one_set_of_columns_are_joined_in_delivery_order() {
        let files = vec![
            file("d", 10, 1, 0, 4),
            file("b", 10, 1, 0, 2),
            file("a", 10, 1, 0, 1),
            file("c", 10, 1, 0, 3),
            file("x", 10, 2, 0, 1),
            file("y", 10, 1, 1, 5),
        ];
        assert_eq!(names(&bins(files, &COMPACTION)), ["abcd"]);
    }

    #[test]
    fn what_was_joined_is_of_a_higher_class_and_waits_for_its_peers() {
        let small = |name, sequence| file(name, 20 << 10, 1, 0, sequence);
        let files = vec![file("A", 80 << 10, 1, 0, 1), small("b", 2), small("c", 3), small("d", 4), small("e", 5)];
        assert_eq!(names(&bins(files, &COMPACTION)), ["bcde"]);
        let large: Vec<LiveFile> = ["A", "B", "C", "D"].iter().map(|name| file(name, 80 << 10, 1, 0, 1)).collect();
        assert_eq!(names(&bins(large, &COMPACTION)), ["ABCD"]);
    }

    #[test]
    fn no_bin_is_beyond_the_target_and_large_files_are_left_alone() {
        let files: Vec<LiveFile> = (0..9).map(|n| file(&n.to_string(), 200 << 10, 1, 0, n)).collect();
        assert_eq!(names(&bins(files, &COMPACTION)), ["01234", "5678"]);
        let large: Vec<LiveFile> = (0..9).map(|n| file(&n.to_string(), 512 << 10, 1, 0, n)).collect();
        assert!(bins(large, &COMPACTION).is_empty());
    }
}
