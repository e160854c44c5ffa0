//! What the program was doing with its maps.

use super::Topic;

const fn operation(word: &'static str, text: &'static str) -> Topic {
    Topic {
        word,
        is: "an operation on maps",
        text,
    }
}

const fn other(word: &'static str, text: &'static str) -> Topic {
    Topic {
        word,
        is: "an operation that is not one on maps",
        text,
    }
}

pub(super) const TOPICS: &[Topic] = &[
    operation("make", "A map is being created: make(map[K]V, n), or a literal."),
    operation(
        "access",
        "A value is being looked up: v := m[k], v, ok := m[k].",
    ),
    operation(
        "assign",
        "A value is being stored: m[k] = v, m[k] += v. A store that makes the map grow is an assign with
sub_operation grow. The copy of the value into its slot is done by the caller after the map function has
returned the slot, and is still assign.",
    ),
    operation("delete", "A key is being removed: delete(m, k)."),
    operation("clear", "All keys are being removed at once: clear(m)."),
    operation(
        "grow",
        "The map is getting more room: new buckets or groups are allocated and the old entries moved over.
It happens inside assign, which is then the operation, and grow the sub_operation.",
    ),
    operation(
        "iterate",
        "A range loop (or another iterator) over the map is open. It is a stretch of time, not a function:
events of the loop body belong to it, also those of other map operations there, which are then the
sub_operation.",
    ),
    other(
        "runtime",
        "The language runtime's own work: garbage collection, returning memory, scheduling, growing
goroutine stacks. Shown, and not charged to maps.",
    ),
    other("none", "No map function was on the stack, and the address is in no known map."),
];
