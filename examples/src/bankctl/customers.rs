//! `bankctl customers`.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use super::input::path_text;
use super::output::Answer;
use super::target::refuse_other_than_file;
use crate::customers::{
    SAMPLE_ROWS, SAMPLE_SEED, generate_customers, read_customers, write_customers,
};
use crate::error::{Failure, Replace, write_output};

#[derive(Debug, Subcommand)]
pub(super) enum Customers {
    /// Make a sample file; the same rows and seed make the same file.
    Generate {
        /// Where to write it; an older file is replaced as a whole.
        out: PathBuf,
        /// Number of customers.
        #[arg(long, default_value_t = SAMPLE_ROWS)]
        rows: usize,
        /// Seed of the generator.
        #[arg(long, default_value_t = SAMPLE_SEED)]
        seed: u64,
    },
    /// Check a file.
    Check {
        /// The file.
        file: PathBuf,
    },
}

impl Customers {
    pub(super) fn run(&self) -> Result<Answer, Failure> {
        match self {
            Self::Generate { out, rows, seed } => {
                refuse_other_than_file(out)?;
                let mut bytes = Vec::new();
                write_customers(&generate_customers(*rows, *seed), &mut bytes)
                    .map_err(Failure::other)?;
                let told = Answer::yes(
                    json!({"file": path_text(out), "rows": rows}),
                    format!("{rows} customers written to {}", out.display()),
                )?;
                write_output(out, &bytes, Replace::Yes, false)?;
                Ok(told)
            }
            Self::Check { file } => {
                let rows = read_customers(file)?.len();
                Answer::yes(
                    json!({"file": path_text(file), "rows": rows}),
                    format!("{}: {rows} customers, all well-formed", file.display()),
                )
            }
        }
    }
}
