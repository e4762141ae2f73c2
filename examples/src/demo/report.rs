//! Prints each step with what was expected and what happened.

use std::io::Write;

use serde::Serialize;

/// One step: it passed if what happened is what was expected.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// What was tried.
    pub title: String,
    /// What should happen.
    pub expected: String,
    /// What happened.
    pub happened: String,
    /// Both are equal.
    pub ok: bool,
}

/// All steps so far.
#[derive(Debug, Default)]
pub struct Report {
    steps: Vec<Step>,
    json: bool,
}

impl Report {
    /// An empty report that prints for people, or for machines at the end.
    #[must_use]
    pub fn new(json: bool) -> Self {
        Self {
            steps: Vec::new(),
            json,
        }
    }

    /// Prints a line about what is going on; nothing with `--json`.
    pub fn say(&self, line: &str) {
        if !self.json {
            print_line(line);
        }
    }

    /// Adds a step and prints it.
    pub fn step(&mut self, title: &str, expected: impl Into<String>, happened: impl Into<String>) {
        let (expected, happened) = (expected.into(), happened.into());
        let ok = expected == happened;
        let number = self.steps.len() + 1;
        self.say(&format!("{number:>3}  {title}"));
        self.say(&format!("       expected  {expected}"));
        self.say(&format!(
            "       happened  {happened}  {}",
            if ok { "[ok]" } else { "[DIFFERS]" }
        ));
        self.steps.push(Step {
            title: title.to_owned(),
            expected,
            happened,
            ok,
        });
    }

    /// The steps.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Prints the sum, and with `--json` everything. True if no step differed.
    pub fn finish(&self) -> bool {
        let differing = self.steps.iter().filter(|s| !s.ok).count();
        if self.json {
            #[derive(Serialize)]
            struct Sum<'a> {
                steps: &'a [Step],
                differing: usize,
            }
            let sum = Sum {
                steps: &self.steps,
                differing,
            };
            if let Ok(text) = serde_json::to_string_pretty(&sum) {
                print_line(&text);
            }
        } else if differing == 0 {
            print_line(&format!("\nall {} steps as expected", self.steps.len()));
        } else {
            print_line(&format!(
                "\n{differing} of {} steps DIFFER",
                self.steps.len()
            ));
        }
        differing == 0
    }
}

/// A closed pipe ends the printing, not the demo.
fn print_line(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
