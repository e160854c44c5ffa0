//! Maps of libstdc++. Names are plain (without template arguments and parameters). In
//! optimised programs most of these exist only inlined, so debug information is needed.

use super::Table;
use crate::model::Operation::{Access, Assign, Clear, Delete, Grow, Iterate};

pub(super) static TABLE: Table = Table {
    library: "C++",
    rows: &[
        ("std::unordered_map::operator[]", Assign),
        ("std::unordered_map::insert*", Assign),
        ("std::unordered_map::emplace*", Assign),
        ("std::unordered_map::find", Access),
        ("std::unordered_map::at", Access),
        ("std::unordered_map::count", Access),
        ("std::unordered_map::erase*", Delete),
        ("std::unordered_map::clear", Clear),
        ("std::unordered_map::reserve", Grow),
        ("std::__detail::_Map_base::operator[]", Assign),
        ("std::__detail::_Map_base::at", Access),
        ("std::__detail::_Node_*iterator::operator++", Iterate),
        ("std::_Hashtable::_M_rehash*", Grow),
        ("std::map::operator[]", Assign),
        ("std::map::insert*", Assign),
        ("std::map::emplace*", Assign),
        ("std::map::find", Access),
        ("std::map::at", Access),
        ("std::map::count", Access),
        ("std::map::lower_bound", Access),
        ("std::map::erase*", Delete),
        ("std::map::clear", Clear),
        ("std::_Rb_tree_iterator::operator++", Iterate),
        ("std::_Rb_tree_const_iterator::operator++", Iterate),
    ],
};
