//! Places of memory as a user names them.

use super::settings::{Place, Watch, WatchRange};
use crate::model::Address;

type Parsed<T> = Result<T, String>;

/// `SYMBOL[:LEN]` or `0xADDRESS[:LEN]`
pub fn watch(text: &str) -> Parsed<Watch> {
    let (place, length) = split_length(text)?;
    let length = match length {
        None => None,
        Some(length @ (1 | 2 | 4 | 8)) => u8::try_from(length).ok(),
        Some(_) => return Err("a debug register watches 1, 2, 4 or 8 bytes".to_owned()),
    };
    if !place.starts_with("0x") {
        return Ok(Watch {
            place: Place::Symbol(symbol(place)?),
            length,
        });
    }
    let address = address(place)?;
    if length.is_some_and(|length| address.0 % u64::from(length) != 0) {
        return Err("the address is no multiple of the length".to_owned());
    }
    // The longest that is aligned, up to a word.
    let aligned = || 1 << address.0.trailing_zeros().min(3);
    Ok(Watch {
        place: Place::Address(address),
        length: Some(length.unwrap_or_else(aligned)),
    })
}

/// `0xSTART-0xEND` or `SYMBOL[:LEN]`
pub fn watch_range(text: &str) -> Parsed<WatchRange> {
    if text.starts_with("0x") {
        let (start, end) = text.split_once('-').ok_or("not like 0xSTART-0xEND")?;
        let (start, end) = (address(start)?, address(end)?);
        if start >= end {
            return Err("it ends before it starts".to_owned());
        }
        return Ok(WatchRange::Addresses { start, end });
    }
    let (name, length) = split_length(text)?;
    if length == Some(0) {
        return Err("no bytes at all".to_owned());
    }
    Ok(WatchRange::Symbol {
        name: symbol(name)?,
        length,
    })
}

fn address(text: &str) -> Parsed<Address> {
    text.parse()
        .map_err(|_| format!("{text:?} is not 0x and hex digits"))
}

fn symbol(text: &str) -> Parsed<String> {
    if text.is_empty() {
        return Err("no symbol".to_owned());
    }
    Ok(text.to_owned())
}

/// Takes `:LEN` off; a symbol may have colons of its own (`ns::name`).
fn split_length(text: &str) -> Parsed<(&str, Option<u64>)> {
    let Some((place, digits)) = text.rsplit_once(':') else {
        return Ok((text, None));
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_ascii_digit()) {
        return Ok((text, None));
    }
    let length = digits
        .parse()
        .map_err(|_| "the length is too large".to_owned())?;
    Ok((place, Some(length)))
}
