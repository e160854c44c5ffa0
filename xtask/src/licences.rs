//! The licences of everything we link, checked without a network. `deny.toml` says the same to cargo-deny.

/// Licences that may be linked into `MIT OR Apache-2.0` work and only ask to be named.
const ALLOWED: [&str; 11] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Zlib",
];

/// True when a licence expression can be satisfied with allowed licences alone.
///
/// SPDX expressions with `AND`, `OR`, `WITH` and parentheses; `AND` binds closer; an old `/` means `OR`.
fn is_allowed(expression: &str) -> bool {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let words: Vec<_> = spaced.split_whitespace().collect();
    let mut at = 0;
    let verdict = either(&words, &mut at);
    verdict && at == words.len()
}

fn either(words: &[&str], at: &mut usize) -> bool {
    let mut verdict = both(words, at);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        verdict |= both(words, at);
    }
    verdict
}

fn both(words: &[&str], at: &mut usize) -> bool {
    let mut verdict = one(words, at);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        verdict &= one(words, at);
    }
    verdict
}

fn one(words: &[&str], at: &mut usize) -> bool {
    let Some(word) = words.get(*at) else {
        // A licence is missing: no end the caller accepts.
        *at = words.len() + 1;
        return false;
    };
    *at += 1;
    if *word == "(" {
        let verdict = either(words, at);
        let closed = words.get(*at) == Some(&")");
        *at += 1;
        return verdict && closed;
    }
    let mut licence = (*word).to_owned();
    if words.get(*at) == Some(&"WITH") {
        licence = format!("{licence} WITH {}", words.get(*at + 1).unwrap_or(&""));
        *at += 2;
    }
    ALLOWED.contains(&licence.as_str())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::Value;

    use super::*;
    use crate::process::{cargo, workspace};

    /// Name and licence of every package a workspace links or builds with on our target.
    fn packages(manifest: &str) -> Vec<(String, String)> {
        let output = cargo()
            .args(["metadata", "--format-version", "1", "--locked", "--offline"])
            .args([
                "--filter-platform",
                "x86_64-unknown-linux-gnu",
                "--manifest-path",
            ])
            .arg(workspace().join(manifest))
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
        let word = |package: &Value, key: &str| package[key].as_str().unwrap_or("").to_owned();
        metadata["packages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|package| (word(package, "name"), word(package, "license")))
            .collect()
    }

    #[test]
    fn every_package_has_a_licence_that_may_be_linked() {
        for manifest in ["Cargo.toml", "map-trace-ebpf/Cargo.toml"] {
            let packages = packages(manifest);
            assert!(packages.len() > 3, "{manifest}: {packages:?}");
            let refused: Vec<_> = packages
                .into_iter()
                .filter(|(_, licence)| !is_allowed(licence))
                .collect();
            assert_eq!(refused, [], "{manifest}");
        }
    }

    #[test]
    fn cargo_deny_is_told_the_same_list() {
        let text = fs::read_to_string(workspace().join("deny.toml")).unwrap();
        let listed: Vec<_> = text
            .lines()
            .skip_while(|line| !line.starts_with("allow = ["))
            .skip(1)
            .take_while(|line| *line != "]")
            .map(|line| line.trim().trim_matches([',', '"']).to_owned())
            .collect();
        assert_eq!(listed, ALLOWED);
    }

    #[test]
    fn a_choice_needs_one_allowed_licence_and_a_sum_needs_all() {
        for allowed in [
            "MIT",
            "GPL-2.0 OR MIT",
            "MIT/Apache-2.0",
            "(MIT OR X) AND ISC",
        ] {
            assert!(is_allowed(allowed), "{allowed}");
        }
        for refused in [
            "",
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "MIT OR",
            "(MIT",
            "MIT MIT",
            "Apache-2.0 WITH X",
        ] {
            assert!(!is_allowed(refused), "{refused}");
        }
    }
}
