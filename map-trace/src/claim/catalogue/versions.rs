//! Go versions, and which of them something is for.

use std::fmt;

/// A released Go version: major, minor, patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GoVersion(pub [u32; 3]);

impl GoVersion {
    /// Of `go1.23.9`, `1.23` or `go1.24rc1`; the minor is required.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix("go").unwrap_or(text);
        let mut parts = text.split('.');
        let mut numbers = [0; 3];
        numbers[0] = parts.next()?.parse().ok()?;
        for (place, part) in numbers[1..].iter_mut().zip(parts.by_ref()) {
            let digits = part.len() - part.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            *place = part.get(..digits)?.parse().ok()?;
        }
        (text.contains('.') && parts.next().is_none()).then_some(Self(numbers))
    }

    /// Go made Swiss tables its maps in 1.24.
    pub fn has_swiss_maps(self) -> bool {
        self >= Self([1, 24, 0])
    }
}

impl fmt::Display for GoVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([major, minor, patch]) = self;
        write!(f, "{major}.{minor}.{patch}")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    AtLeast,
    AtMost,
    Below,
    Above,
    Equal,
}

/// A set of versions: all bounds hold. `>=1.21, <1.24`; nothing: every version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Versions(Vec<(Bound, GoVersion)>);

impl Versions {
    /// Reads bounds separated by commas. None: one of them is none.
    pub fn parse(text: &str) -> Option<Self> {
        const SIGNS: [(&str, Bound); 5] = [
            (">=", Bound::AtLeast),
            ("<=", Bound::AtMost),
            ("==", Bound::Equal),
            ("<", Bound::Below),
            (">", Bound::Above),
        ];
        let bounds = text.split(',').map(|part| {
            let part = part.trim();
            let (sign, bound) = SIGNS.iter().find(|(sign, _)| part.starts_with(sign))?;
            Some((*bound, GoVersion::parse(part[sign.len()..].trim())?))
        });
        bounds.collect::<Option<Vec<_>>>().map(Self)
    }

    pub fn contains(&self, version: GoVersion) -> bool {
        self.0.iter().all(|(bound, other)| match bound {
            Bound::AtLeast => version >= *other,
            Bound::AtMost => version <= *other,
            Bound::Below => version < *other,
            Bound::Above => version > *other,
            Bound::Equal => version == *other,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        let of = |text| GoVersion::parse(text).unwrap();
        assert!(of("go1.9.10") < of("go1.19"));
        assert_eq!(of("go1.24rc1"), GoVersion([1, 24, 0]));
        assert!(!of("1.23.9").has_swiss_maps() && of("1.24").has_swiss_maps());
        for wrong in ["", "go", "1", "1.x", "1.2.3.4", "devel"] {
            assert_eq!(GoVersion::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_range_holds_what_all_its_bounds_hold() {
        let range = Versions::parse(">=1.21, <1.24").unwrap();
        let holds = |text| range.contains(GoVersion::parse(text).unwrap());
        assert!(holds("1.21") && holds("1.23.9") && !holds("1.20.3") && !holds("1.24"));
        assert!(Versions::default().contains(GoVersion([1, 2, 3])));
        for wrong in ["", "1.23", "=>1.2", ">=", ">=1.23,"] {
            assert_eq!(Versions::parse(wrong), None, "{wrong}");
        }
    }
}
