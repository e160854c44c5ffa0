//! Values of options: from text to the settings they mean, or why they mean nothing.

use std::time::Duration;

use crate::model::{Address, Operation};
use crate::session::settings::{Detail, Place, Region, Watch, WatchRange};

type Parsed<T> = Result<T, String>;

/// `1.5s`, `200ms`, `2m`, `1h`, or plain seconds; more than nothing.
pub fn duration(text: &str) -> Parsed<Duration> {
    let units = [
        ("ms", 1e-3),
        ("us", 1e-6),
        ("s", 1.0),
        ("m", 60.0),
        ("h", 3600.0),
    ];
    let (digits, unit) = units
        .iter()
        .find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit)))
        .unwrap_or((text, 1.0));
    let plain = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit() || c == '.');
    let number: f64 = match digits.parse() {
        Ok(number) if plain => number,
        _ => return Err("not a time such as 1.5s, 200ms, 2m or 10".to_owned()),
    };
    match Duration::try_from_secs_f64(number * unit) {
        Ok(Duration::ZERO) => Err("no time at all".to_owned()),
        Ok(duration) => Ok(duration),
        Err(_) => Err("too long".to_owned()),
    }
}

/// A number of events, or `all`.
pub fn detail(text: &str) -> Parsed<Detail> {
    if text == "all" {
        return Ok(Detail::All);
    }
    let limit = text
        .parse()
        .map_err(|_| "not a number, nor \"all\"".to_owned())?;
    Ok(Detail::Limit(limit))
}

/// `NAME=PATTERN`
pub fn region(text: &str) -> Parsed<Region> {
    let Some((name, pattern)) = text.split_once('=') else {
        return Err("not like NAME=PATTERN".to_owned());
    };
    if name.is_empty() || pattern.is_empty() {
        return Err("an empty name or pattern".to_owned());
    }
    let letter = |c: char| c.is_alphanumeric() || "_-.".contains(c);
    if !name.chars().all(letter) || name.len() > 64 {
        return Err("a name has letters, digits, _ - and . only, 64 at most".to_owned());
    }
    if !matches!(Operation::from_word(name), Operation::Region(_)) {
        return Err(format!("{name:?} is an operation of its own already"));
    }
    Ok(Region {
        name: name.to_owned(),
        pattern: pattern.to_owned(),
    })
}

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

/// A process id.
pub fn pid(text: &str) -> Parsed<u32> {
    match text.parse::<i32>() {
        Ok(pid) if pid > 0 => Ok(pid.unsigned_abs()),
        _ => Err("not a process id".to_owned()),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit_or_is_seconds() {
        for (text, ms) in [
            ("1.5s", 1500),
            ("200ms", 200),
            ("2m", 120_000),
            ("10", 10_000),
            (".5", 500),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in [
            "", "s", "0", "0ms", "-1", "1e9h", "inf", "nan", "1 s", "5x", "1..2",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn detail_is_a_number_or_all() {
        assert_eq!(detail("0"), Ok(Detail::Limit(0)));
        assert_eq!(detail("all"), Ok(Detail::All));
        assert!(detail("-1").is_err() && detail("some").is_err());
    }

    #[test]
    fn a_region_needs_a_name_that_is_free() {
        let hot = region("hot=main.(*T).step=*").unwrap();
        assert_eq!(
            (hot.name.as_str(), hot.pattern.as_str()),
            ("hot", "main.(*T).step=*")
        );
        for text in ["hot", "=x", "hot=", "assign=x", "none=x", "a b=x", "\x1b=x"] {
            assert!(region(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_watchpoint_is_a_symbol_or_an_aligned_address() {
        let of = |place, length| Ok(Watch { place, length });
        assert_eq!(watch("main.x"), of(Place::Symbol("main.x".into()), None));
        assert_eq!(watch("ns::x:4"), of(Place::Symbol("ns::x".into()), Some(4)));
        assert_eq!(watch("ns::x"), of(Place::Symbol("ns::x".into()), None));
        assert_eq!(
            watch("0x1004"),
            of(Place::Address(Address(0x1004)), Some(4))
        );
        assert_eq!(
            watch("0x1000:2"),
            of(Place::Address(Address(0x1000)), Some(2))
        );
        for text in [
            "",
            ":4",
            "x:3",
            "x:99999999999999999999",
            "0x",
            "0xg",
            "0x1001:2",
        ] {
            assert!(watch(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_range_is_a_symbol_or_two_addresses_in_order() {
        assert_eq!(
            watch_range("0x1000-0x2000"),
            Ok(WatchRange::Addresses {
                start: Address(0x1000),
                end: Address(0x2000)
            })
        );
        assert_eq!(
            watch_range("table:4096"),
            Ok(WatchRange::Symbol {
                name: "table".into(),
                length: Some(4096)
            })
        );
        for text in ["", "0x1000", "0x2000-0x1000", "0x1-0x1", "x:0"] {
            assert!(watch_range(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_process_id_is_positive() {
        assert_eq!(pid("1"), Ok(1));
        for text in ["0", "-1", "x", "4294967296"] {
            assert!(pid(text).is_err(), "{text}");
        }
    }
}
