//! Values of options: from text to the settings they mean, or why they mean nothing.

use std::time::Duration;

use crate::model::Operation;
pub use crate::session::places::{watch, watch_range};
use crate::session::settings::{Detail, Region};

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

/// `2%`, `0.5%`, or plain percent, up to 100: in millionths.
pub fn share(text: &str) -> Parsed<u32> {
    let digits = text.strip_suffix('%').unwrap_or(text);
    let plain = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit() || c == '.');
    match digits.parse::<f64>() {
        Ok(percent) if plain && percent <= 100.0 => Ok((percent * 10_000.0).round() as u32),
        _ => Err("not a share such as 2% or 0.5%, at most 100%".to_owned()),
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

/// A process id.
pub fn pid(text: &str) -> Parsed<u32> {
    match text.parse::<i32>() {
        Ok(pid) if pid > 0 => Ok(pid.unsigned_abs()),
        _ => Err("not a process id".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Address;
    use crate::session::settings::{Place, Watch, WatchRange};

    #[test]
    fn a_share_is_in_percent_and_at_most_all() {
        for (text, ppm) in [
            ("2%", 20_000),
            ("0.5", 5_000),
            ("0%", 0),
            ("100%", 1_000_000),
        ] {
            assert_eq!(share(text), Ok(ppm), "{text}");
        }
        for text in ["", "%", "-1%", "101%", "inf", "NaN", "2 %", "1e1"] {
            assert!(share(text).is_err(), "{text}");
        }
    }

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
