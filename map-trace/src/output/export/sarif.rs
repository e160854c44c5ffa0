//! Claims as results of a static-analysis tool, for code hosts that show them beside the source.
//!
//! Format: SARIF 2.1.0 (OASIS, sarif-v2.1.0-os). A claim that did not come out as expected is a result of kind `fail` at
//! the innermost line of the program's own that its counter-example names; one that did is `pass`, an inconclusive
//! one `open` (3.27.9).

use serde_json::{Value, json};

use crate::model::summary::{Claim, Summary, VerdictWord};
use crate::output::json::document;
use crate::output::plain::command;

/// Frames of a counter-example given.
const MAX_FRAMES: usize = 64;

pub fn export(summary: &Summary) -> Vec<u8> {
    let rules = summary.claims.iter().map(|claim| {
        json!({
            "id": claim.id,
            "shortDescription": { "text": statement(claim) },
        })
    });
    let results = summary
        .claims
        .iter()
        .zip(0_u64..)
        .map(|(claim, index)| result(claim, index));
    document(&json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "map-trace",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules.collect::<Vec<_>>(),
            }},
            "invocations": [{
                "commandLine": command(&summary.program.argv, 1000),
                "executionSuccessful": !summary.cut_short,
            }],
            "results": results.collect::<Vec<_>>(),
        }],
    }))
}

fn statement(claim: &Claim) -> &str {
    match claim.statement.as_str() {
        "" => &claim.id,
        statement => statement,
    }
}

fn result(claim: &Claim, index: u64) -> Value {
    let kind = if claim.verdict == claim.expected {
        "pass"
    } else if claim.verdict == VerdictWord::Inconclusive {
        "open"
    } else {
        "fail"
    };
    let example = claim.evidence.first().filter(|_| kind == "fail");
    let text = example.and_then(|example| example.get("text")?.as_str());
    let message = match text {
        Some(text) => format!("{}: {}; {text}", statement(claim), claim.reason),
        None => format!("{}: {}", statement(claim), claim.reason),
    };
    let mut result = json!({
        "ruleId": claim.id,
        "ruleIndex": index,
        "kind": kind,
        // Of anything but a failure the level is "none" (3.27.10).
        "level": if kind == "fail" { "error" } else { "none" },
        "message": { "text": message },
    });
    let frames = example.and_then(|example| example.get("stack")?.as_array());
    let frames: Vec<_> = frames
        .into_iter()
        .flatten()
        .take(MAX_FRAMES)
        .map(location)
        .collect();
    if let Value::Object(result) = &mut result
        && !frames.is_empty()
    {
        let in_source = |frame: &&Value| frame.get("physicalLocation").is_some();
        let own = example.and_then(|example| stops_at(example, &frames));
        let first = own
            .or_else(|| frames.iter().find(in_source))
            .or(frames.first());
        result.insert("locations".to_owned(), json!([first]));
        let frames: Vec<_> = frames
            .iter()
            .map(|frame| json!({ "location": frame }))
            .collect();
        let stack = json!([{ "message": { "text": "where it happened" }, "frames": frames }]);
        result.insert("stacks".to_owned(), stack);
    }
    result
}

/// The frame that the debugger's command names: `break main.go:41` is the one the user can do something about.
fn stops_at<'a>(example: &Value, frames: &'a [Value]) -> Option<&'a Value> {
    let place = example.get("gdb")?.as_str()?.strip_prefix("break ")?;
    let (file, line) = place.rsplit_once(':')?;
    let line: u64 = line.parse().ok()?;
    let name = file.rsplit('/').next()?;
    frames.iter().find(|frame| {
        let physical = frame.get("physicalLocation");
        let uri = physical.and_then(|place| place.get("artifactLocation")?.get("uri")?.as_str());
        let at = physical.and_then(|place| place.get("region")?.get("startLine")?.as_u64());
        at == Some(line) && uri.is_some_and(|uri| uri.rsplit('/').next() == Some(&reference(name)))
    })
}

/// A frame of a stack in the evidence.
fn location(frame: &Value) -> Value {
    let text = |key: &str| frame.get(key).and_then(Value::as_str);
    let mut location = json!({});
    let Value::Object(parts) = &mut location else {
        return location;
    };
    if let Some(function) = text("function") {
        let logical = json!([{ "fullyQualifiedName": function, "kind": "function" }]);
        parts.insert("logicalLocations".to_owned(), logical);
    }
    if let Some(file) = text("file") {
        let mut place = json!({ "artifactLocation": { "uri": reference(file) } });
        // Lines count from 1 (3.30.5).
        let line = frame
            .get("line")
            .and_then(Value::as_u64)
            .filter(|line| *line > 0);
        if let (Value::Object(place), Some(line)) = (&mut place, line) {
            place.insert("region".to_owned(), json!({ "startLine": line }));
        }
        parts.insert("physicalLocation".to_owned(), place);
    }
    location
}

/// A path as a URI reference (RFC 3986): `file://` before an absolute one, other bytes than the unreserved escaped.
fn reference(path: &str) -> String {
    let mut uri = String::from(if path.starts_with('/') { "file://" } else { "" });
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(char::from(byte));
            }
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::samples;

    fn results(summary: &Summary) -> Vec<Value> {
        let document: Value = serde_json::from_slice(&export(summary)).unwrap();
        document["runs"][0]["results"].as_array().unwrap().clone()
    }

    #[test]
    fn only_what_came_out_otherwise_than_expected_is_a_failure() {
        let mut summary = samples::refuted();
        summary.claims[1].evidence[0]["stack"] = json!([
            { "ip": "0x1", "function": "syscall.Syscall6", "file": "/usr/lib/go/asm.s", "line": 7 },
            { "ip": "0x2", "function": "main.sabotage", "file": "/home/me/my app/main.go", "line": 41 },
        ]);
        let results = results(&summary);
        let kinds: Vec<_> = results
            .iter()
            .map(|result| result["kind"].as_str().unwrap())
            .collect();
        assert_eq!(kinds, ["pass", "fail", "open"]);
        let failed = &results[1];
        assert_eq!(failed["level"], "error");
        let place = &failed["locations"][0]["physicalLocation"];
        assert_eq!(
            place["artifactLocation"]["uri"],
            "file:///home/me/my%20app/main.go"
        );
        assert_eq!(place["region"]["startLine"], 41);
        assert_eq!(failed["stacks"][0]["frames"].as_array().unwrap().len(), 2);
        assert_eq!(results[0]["level"], "none");

        summary.claims[1].expected = VerdictWord::Refuted;
        assert_eq!(self::results(&summary)[1]["kind"], "pass");
    }

    #[test]
    fn evidence_of_any_shape_makes_a_document() {
        let mut summary = samples::refuted();
        for evidence in [
            json!(null),
            json!({ "stack": 3, "text": 4, "gdb": [] }),
            json!({ "stack": [null, {}, { "file": 1, "line": -1 }], "gdb": "break :" }),
        ] {
            summary.claims[1].evidence = vec![evidence];
            assert_eq!(results(&summary).len(), 3);
        }
    }
}
