//! Shortest ways from a function to a system call.

use std::collections::VecDeque;

use serde::Serialize;

use super::gate::{GATES, Gate};
use super::{CallGraph, Site, Through};

/// Whether a function can make a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// There is a way, and no gate stands on all ways.
    Reachable,
    /// Every way leads through one gate.
    Gated,
    /// There is no way, indirect calls aside.
    Unreachable,
    /// No way was found, and not everything could be looked at.
    Unknown,
}

/// What is known of one function and one system call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reach {
    pub verdict: Verdict,
    /// The least that must happen; none without a way.
    pub through: Option<Through>,
    /// The shortest such way, from the function itself to the one that makes the call.
    pub path: Vec<String>,
    /// Where it ends.
    pub site: Option<Site>,
    pub gate: Option<&'static Gate>,
}

impl CallGraph {
    /// Whether the function that begins at `root` can make a system call with this number; none: with a
    /// number of the program's choosing. `root` must have been a root of the graph, or be in it.
    pub fn reach(&self, root: u64, number: Option<u32>) -> Reach {
        let nowhere = |verdict| Reach {
            verdict,
            through: None,
            path: Vec::new(),
            site: None,
            gate: None,
        };
        let Some(&root) = self.by_start.get(&root) else {
            return nowhere(Verdict::Unknown);
        };
        for through in Through::ALL {
            let Some(way) = self.way(root, number, through, None) else {
                continue;
            };
            let gate = self.gate_on(&way, root, number);
            let site = way.last().and_then(|&end| self.site_in(end, number));
            return Reach {
                verdict: match gate {
                    Some(_) => Verdict::Gated,
                    None => Verdict::Reachable,
                },
                through: Some(through),
                path: way
                    .iter()
                    .map(|&n| self.functions[n].name.clone())
                    .collect(),
                site: site.cloned(),
                gate,
            };
        }
        nowhere(match self.incomplete {
            Some(_) => Verdict::Unknown,
            None => Verdict::Unreachable,
        })
    }

    /// How many functions can be reached, and how many indirect calls they make, when no more than
    /// `through` happens.
    pub fn extent(&self, root: u64, through: Through) -> (usize, u64) {
        let Some(&root) = self.by_start.get(&root) else {
            return (0, 0);
        };
        let mut functions = 0;
        let mut indirect = 0;
        self.walk(root, through, None, &mut |n| {
            functions += 1;
            indirect += u64::from(self.functions[n].indirect_calls);
            false
        });
        (functions, indirect)
    }

    fn site_in(&self, n: usize, number: Option<u32>) -> Option<&Site> {
        let sites = &self.functions[n].sites;
        sites.iter().find(|site| site.number == number)
    }

    /// The gate of this way that no way at all can avoid.
    fn gate_on(&self, way: &[usize], root: usize, number: Option<u32>) -> Option<&'static Gate> {
        GATES.iter().find(|gate| {
            let Some(&closed) = way
                .iter()
                .find(|&&n| self.functions[n].name == gate.function)
            else {
                return false;
            };
            closed == root
                || self
                    .way(root, number, Through::Panic, Some(closed))
                    .is_none()
        })
    }

    fn way(
        &self,
        root: usize,
        number: Option<u32>,
        through: Through,
        closed: Option<usize>,
    ) -> Option<Vec<usize>> {
        let wanted = |n: usize| self.site_in(n, number).is_some();
        self.walk(root, through, closed, &mut { wanted })
    }

    /// Breadth first from `root`, until `found` says so; gives the way there.
    fn walk(
        &self,
        root: usize,
        through: Through,
        closed: Option<usize>,
        found: &mut dyn FnMut(usize) -> bool,
    ) -> Option<Vec<usize>> {
        let mut came_from: Vec<Option<usize>> = vec![None; self.functions.len()];
        came_from[root] = Some(root);
        let mut queue = VecDeque::from([root]);
        while let Some(n) = queue.pop_front() {
            if found(n) {
                let mut way = vec![n];
                let mut at = n;
                while let Some(before) = came_from[at].filter(|_| at != root) {
                    at = before;
                    way.push(at);
                }
                way.reverse();
                return Some(way);
            }
            for &(to, needs) in &self.functions[n].edges {
                if needs <= through && Some(to) != closed && came_from[to].is_none() {
                    came_from[to] = Some(n);
                    queue.push_back(to);
                }
            }
        }
        None
    }
}
