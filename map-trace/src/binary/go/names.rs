//! The names of a Go program: every function, every name, and which functions have one.

use std::collections::HashSet;
use std::ops::ControlFlow;

use super::{GoFunction, GoTable, MAX_NAME};
use crate::binary::Function;
use crate::binary::name::clean;

impl GoTable {
    /// Every function, in address order.
    pub fn functions(&self, take: &mut dyn FnMut(&Function)) {
        for index in 0..self.header.functions {
            let Some(function) = self.function(index) else {
                continue;
            };
            if let Some(name) = self.name(&function) {
                take(&Function {
                    name,
                    start: function.start,
                    end: function.end,
                });
            }
        }
    }

    /// Every name of the table, of functions and of functions inlined away alike.
    pub fn names(&self, take: &mut dyn FnMut(&str)) {
        let (start, end) = self.header.names;
        let mut at = start;
        while at < end {
            let Some(bytes) = self.image.cstr(at, end, MAX_NAME) else {
                return;
            };
            at += bytes.len() as u64 + 1;
            if !bytes.is_empty() {
                take(&printed(&clean(&String::from_utf8_lossy(&bytes))));
            }
        }
    }

    /// The functions with exactly this name, as the table has it or as Go prints it. Function names are
    /// not sorted: the name's bytes are found first, then the functions that use them.
    pub fn named(&self, name: &str) -> Vec<GoFunction> {
        if name.contains("[...]") {
            return (0..self.header.functions)
                .filter_map(|i| self.function(i))
                .filter(|f| self.name(f).as_deref() == Some(name))
                .collect();
        }
        let (start, end) = self.header.names;
        let mut needle = name.as_bytes().to_vec();
        needle.push(0);
        let mut offsets = HashSet::new();
        let overlap = needle.len() as u64 - 1;
        let _: Option<()> = self.image.scan(start, end, overlap, &mut |base, piece| {
            for (i, _) in piece
                .windows(needle.len())
                .enumerate()
                .filter(|(_, w)| *w == needle)
            {
                let offset = u32::try_from(base + i as u64 - start);
                if let Ok(offset) = offset
                    && self.name_begins(offset)
                {
                    offsets.insert(offset);
                }
            }
            ControlFlow::Continue(())
        });
        if offsets.is_empty() {
            return Vec::new();
        }
        (0..self.header.functions)
            .filter_map(|i| self.function(i))
            .filter(|f| offsets.contains(&f.name))
            .collect()
    }
}

/// A name as Go prints it: type arguments are shortened to `[...]` (`runtime/symtab.go`,
/// funcNameForPrint). Before Go 1.21 the linker stored names that way.
pub(super) fn printed(name: &str) -> String {
    match (name.find('['), name.rfind(']')) {
        (Some(open), Some(close)) if open < close => {
            format!("{}[...]{}", &name[..open], &name[close + 1..])
        }
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::printed;

    #[test]
    fn type_arguments_are_shortened_as_go_does() {
        for (stored, shown) in [
            ("main.F[go.shape.int].func1", "main.F[...].func1"),
            (
                "internal/sync.(*HashTrieMap[go.shape.interface {},go.shape.[]int]).Load",
                "internal/sync.(*HashTrieMap[...]).Load",
            ),
            ("main.main", "main.main"),
            ("odd]name[", "odd]name["),
        ] {
            assert_eq!(printed(stored), shown);
        }
    }
}
