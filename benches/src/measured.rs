//! What the last run measured, as criterion keeps it, and how it is written.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Median time of one element and half the width of its confidence interval, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    pub median: f64,
    pub spread: f64,
}

/// Everything measured, by group and row.
#[derive(Debug, Default)]
pub struct Run(HashMap<(String, String), Measured>);

impl Run {
    /// What stands in criterion's folder below the target folder.
    #[must_use]
    pub fn last() -> Self {
        let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".to_owned());
        let mut found = HashMap::new();
        collect(&PathBuf::from(target).join("criterion"), &mut found);
        Self(found)
    }

    /// A row of a group, if it was measured.
    #[must_use]
    pub fn get(&self, group: &str, row: &str) -> Option<Measured> {
        self.0.get(&(group.to_owned(), row.to_owned())).copied()
    }
}

/// Reads every `new/` folder below: criterion keeps the last run there.
fn collect(folder: &Path, found: &mut HashMap<(String, String), Measured>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if !path.is_dir() {
            continue;
        }
        if path.ends_with("new") {
            let names = json(&path.join("benchmark.json"));
            let estimates = json(&path.join("estimates.json"));
            let median = &estimates["median"];
            let interval = &median["confidence_interval"];
            let elements = names["throughput"]["Elements"].as_f64().unwrap_or(1.0);
            let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN) / elements;
            let measured = Measured {
                median: number(&median["point_estimate"]),
                spread: (number(&interval["upper_bound"]) - number(&interval["lower_bound"])) / 2.0,
            };
            let name = |key: &str| names[key].as_str().unwrap_or_default().to_owned();
            found.insert((name("group_id"), name("function_id")), measured);
        } else {
            collect(&path, found);
        }
    }
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// For people to read.
#[must_use]
pub fn duration(nanoseconds: f64) -> String {
    match nanoseconds {
        n if n < 1e3 => format!("{n:.0} ns"),
        n if n < 1e6 => format!("{:.1} µs", n / 1e3),
        n => format!("{:.2} ms", n / 1e6),
    }
}

/// For people to read.
#[must_use]
pub fn ratio(ratio: f64) -> String {
    if ratio < 10.0 {
        format!("{ratio:.2}")
    } else {
        thousands(ratio)
    }
}

/// A number with three digits that matter and commas between thousands.
#[must_use]
pub fn thousands(number: f64) -> String {
    let unit = 10_f64.powf((number.log10().floor() - 2.0).max(0.0));
    let digits = format!("{:.0}", (number / unit).round() * unit);
    let mut out = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
