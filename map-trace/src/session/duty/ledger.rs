//! What counting may cost and has cost. Pure arithmetic; nanoseconds of CPU time.

/// Hits for which a breakpoint is worth setting.
const LEAST: u64 = 16;
/// Hits of one breakpoint in a row: more say little that these do not.
const MOST: u64 = 1_000;
/// A program that has used less is not counted in: it is not to become slower.
const FIRST_NS: u64 = 1_000_000_000;

/// Allowed and spent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ledger {
    /// Millionths of the programs' CPU time that may be spent.
    pub budget_ppm: u32,
    /// CPU time of the programs.
    pub cpu_ns: u64,
    /// What counting took of it or of ours.
    pub spent_ns: u64,
}

impl Ledger {
    /// What may be spent by now. A twentieth is kept back: what a burst costs is foreseen, not known.
    fn free(&self) -> u64 {
        if self.cpu_ns < FIRST_NS {
            return 0;
        }
        let allowed = u128::from(self.cpu_ns) * u128::from(self.budget_ppm) / 1_000_000;
        u64::try_from(allowed / 20 * 19)
            .unwrap_or(u64::MAX)
            .saturating_sub(self.spent_ns)
    }

    /// Hits that each of some breakpoints may have if all of them are hit that often; none when it is not
    /// worth while yet. Half of what is free: what a hit costs is known from elsewhere.
    pub fn hits(&self, breakpoints: u64, hit_ns: u64, overhead_ns: u64) -> Option<u64> {
        let free = (self.free() / 2).checked_sub(overhead_ns)?;
        let each = free / breakpoints.max(1).saturating_mul(hit_ns.max(1));
        (each >= LEAST).then(|| each.min(MOST))
    }

    /// Anything may be spent at all.
    pub fn open(&self) -> bool {
        self.free() > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO_PERCENT: u32 = 20_000;

    fn after(cpu_ms: u64, spent_us: u64) -> Ledger {
        Ledger {
            budget_ppm: TWO_PERCENT,
            cpu_ns: cpu_ms * 1_000_000,
            spent_ns: spent_us * 1_000,
        }
    }

    #[test]
    fn a_short_program_is_not_counted_in() {
        assert!(!after(999, 0).open());
        assert_eq!(after(999, 0).hits(1, 1, 0), None);
        assert!(after(1_000, 0).open());
    }

    #[test]
    fn whatever_is_hit_the_budget_is_kept() {
        for spent in (0..30_000).step_by(250) {
            let ledger = after(1_000, spent);
            let Some(hits) = ledger.hits(6, 17_000, 500_000) else {
                continue;
            };
            let worst = spent * 1_000 + 6 * hits * 17_000 + 500_000;
            assert!(worst <= 20_000_000, "{spent}: {worst}");
        }
        assert!(after(1_000, 0).hits(6, 17_000, 500_000).is_some());
    }

    #[test]
    fn what_is_spent_has_to_be_earned_first() {
        assert_eq!(after(1_000, 20_000).hits(1, 500, 0), None);
        assert!(!after(1_000, 20_000).open());
        assert_eq!(after(1_500, 20_000).hits(1, 500, 0), Some(MOST));
    }

    #[test]
    fn no_budget_counts_nothing_and_no_number_overflows() {
        let nothing = Ledger {
            budget_ppm: 0,
            cpu_ns: u64::MAX,
            spent_ns: 0,
        };
        assert_eq!(nothing.hits(1, 1, 0), None);
        let all = Ledger {
            budget_ppm: 1_000_000,
            cpu_ns: u64::MAX,
            spent_ns: 0,
        };
        assert_eq!(all.hits(0, 0, 0), Some(MOST));
        assert_eq!(all.hits(u64::MAX, u64::MAX, u64::MAX), None);
    }
}
