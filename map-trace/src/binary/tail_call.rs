//! Functions that ended with a jump to the one seen in their place.
//!
//! `return f(x);` is compiled into a jump, and leaves no frame: the caller of `hot` seems to have called what `hot` ends
//! with. The call itself still stands right before the return address. When it names a function, and another one is
//! running, then the named one was entered and jumped on.

use super::Binary;

/// A `call` of an address relative to the next instruction: `e8` and four bytes.
const CALL: u8 = 0xe8;
const CALL_BYTES: u64 = 5;

impl Binary {
    /// The function that the call before a return address names. None where the call goes through a pointer or a linkage
    /// table, and in Go's code, which jumps only between pieces of one function and of its runtime.
    pub fn called_before(&self, return_svma: u64) -> Option<super::Function> {
        let at = return_svma.checked_sub(CALL_BYTES)?;
        if self.go().is_some_and(|go| go.contains(at)) {
            return None;
        }
        let mut code = [0; CALL_BYTES as usize];
        self.read(at, &mut code)?;
        let [CALL, distance @ ..] = code else {
            return None;
        };
        let target = return_svma.checked_add_signed(i32::from_le_bytes(distance).into())?;
        self.function_at(target)
            .filter(|function| function.start == target)
    }
}
