//! Shortest ways from a function to a system call.

use std::collections::VecDeque;

use serde::Serialize;

use super::gate::{Gate, gate};
use super::{CallGraph, Site, Through};

/// Whether a function can make a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// There is a way that no gate stands on.
    Reachable,
    /// Every way leads through a gate.
    Gated,
    /// There is no way, calls through pointers aside.
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
    /// Where it ends. A site that makes whatever call the program asks for counts, after those that make
    /// this one.
    pub site: Option<Site>,
    /// The gates that stand on the ways, when one stands on every way.
    pub gates: Vec<&'static Gate>,
}

impl CallGraph {
    /// Whether the function that begins at `root` can make a system call with this number. `root` must
    /// have been a root of the graph, or be in it.
    pub fn reach(&self, root: u64, number: u32) -> Reach {
        let nowhere = |verdict| Reach {
            verdict,
            through: None,
            path: Vec::new(),
            site: None,
            gates: Vec::new(),
        };
        let Some(&root) = self.by_start.get(&root) else {
            return nowhere(Verdict::Unknown);
        };
        let open = vec![false; self.functions.len()];
        for through in Through::ALL {
            let found = [Some(number), None].into_iter().find_map(|wanted| {
                let way = self.way(root, through, &open, &|site| site == wanted)?;
                Some((way, wanted))
            });
            let Some((way, wanted)) = found else {
                continue;
            };
            let end = way.last().map(|&end| &self.functions[end].sites);
            let gates = self.gates_around(root, number);
            let mut path: Vec<String> = way
                .iter()
                .map(|&n| self.functions[n].name.clone())
                .collect();
            // A function and the wrapper that converts its arguments have one name.
            path.dedup();
            return Reach {
                verdict: if gates.is_empty() {
                    Verdict::Reachable
                } else {
                    Verdict::Gated
                },
                through: Some(through),
                path,
                site: end.and_then(|sites| sites.iter().find(|s| s.number == wanted).cloned()),
                gates,
            };
        }
        nowhere(match self.incomplete {
            Some(_) => Verdict::Unknown,
            None => Verdict::Unreachable,
        })
    }

    /// How many functions can be reached, and how many calls through pointers they make, when no more
    /// than `through` happens.
    pub fn extent(&self, root: u64, through: Through) -> (usize, u64) {
        let Some(&root) = self.by_start.get(&root) else {
            return (0, 0);
        };
        let mut functions = 0;
        let mut indirect = 0;
        let open = vec![false; self.functions.len()];
        self.walk(root, through, &open, &mut |n| {
            functions += 1;
            indirect += u64::from(self.functions[n].indirect_calls);
            false
        });
        (functions, indirect)
    }

    /// The gates that have to be open for a way to exist; none when there is one without them.
    fn gates_around(&self, root: usize, number: u32) -> Vec<&'static Gate> {
        let passable = |closed: &dyn Fn(&str) -> bool| {
            let closed: Vec<bool> = self.functions.iter().map(|f| closed(&f.name)).collect();
            let wanted = |site: Option<u32>| site.is_none_or(|site| site == number);
            !closed[root] && self.way(root, Through::Panic, &closed, &wanted).is_some()
        };
        if passable(&|name| gate(name).is_some()) {
            return Vec::new();
        }
        let mut gates = self.gates();
        gates.retain(|one| passable(&|name| gate(name).is_some_and(|other| other != *one)));
        gates
    }

    fn way(
        &self,
        root: usize,
        through: Through,
        closed: &[bool],
        wanted: &dyn Fn(Option<u32>) -> bool,
    ) -> Option<Vec<usize>> {
        self.walk(root, through, closed, &mut |n| {
            self.functions[n]
                .sites
                .iter()
                .any(|site| wanted(site.number))
        })
    }

    /// Breadth first from `root`, until `found` says so; gives the way there.
    fn walk(
        &self,
        root: usize,
        through: Through,
        closed: &[bool],
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
                if needs <= through && !closed[to] && came_from[to].is_none() {
                    came_from[to] = Some(n);
                    queue.push_back(to);
                }
            }
        }
        None
    }
}
