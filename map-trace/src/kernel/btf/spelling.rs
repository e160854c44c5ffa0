//! Types as C writes them.

use super::{Btf, Kind, MAX_HOPS, TypeId};

impl Btf {
    /// The type as C writes it, typedefs and qualifiers left out: `struct pt_regs *`, `unsigned long`.
    pub fn spelled(&self, id: TypeId) -> String {
        let mut stars = String::new();
        let mut id = self.strip(id);
        while let Some(pointer) = self.get(id)
            && pointer.kind == Kind::Pointer
            && stars.len() < MAX_HOPS
        {
            stars.push('*');
            id = self.strip(pointer.size_or_type);
        }
        let base = match self.get(id) {
            None if id == 0 => "void".into(),
            None => "?".into(),
            Some(found) => {
                let name = String::from_utf8_lossy(found.name);
                match found.kind {
                    Kind::Struct | Kind::Forward => format!("struct {name}"),
                    Kind::Union => format!("union {name}"),
                    Kind::Enum | Kind::Enum64 => format!("enum {name}"),
                    Kind::Prototype => "function".into(),
                    _ => name.into_owned(),
                }
            }
        };
        if stars.is_empty() {
            base
        } else {
            format!("{base} {stars}")
        }
    }
}
