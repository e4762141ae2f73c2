//! The engine: a compiled policy set behind one pointer, and the builder that loads it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::compile::{Format, Input, PolicySet, compile};
use crate::decide::decide;
use crate::decision::Decision;
use crate::error::{LoadError, LoadErrors};
use crate::limits::Limits;
use crate::request::Request;
use crate::schema::Schema;

/// Decides requests against one immutable policy set. Cloning copies a pointer.
#[derive(Clone)]
pub struct Engine {
    set: Arc<PolicySet>,
}

impl Engine {
    /// Starts loading.
    pub fn builder() -> EngineBuilder {
        EngineBuilder {
            inputs: Vec::new(),
            schema: Schema::default(),
            version: None,
            limits: Limits::default(),
            errors: Vec::new(),
        }
    }

    /// Loads one file with the standard schema.
    ///
    /// # Errors
    /// Every fault of the file, or that it cannot be read.
    pub fn load_file(path: impl AsRef<Path>) -> Result<Self, LoadErrors> {
        Self::builder().file(path).build()
    }

    /// Loads every `.yaml`, `.yml` and `.json` file of a folder with the standard schema.
    ///
    /// # Errors
    /// Every fault of every file, or that one cannot be read, or that there is none.
    pub fn load_dir(path: impl AsRef<Path>) -> Result<Self, LoadErrors> {
        Self::builder().dir(path).build()
    }

    /// Decides. Pure: the same request gets the same decision, and nothing outside is read.
    pub fn decide(&self, request: &Request) -> Decision {
        decide(&self.set, request)
    }

    /// A denial for something that never became a request, so that it is decided, reported and audited like one.
    pub fn refuse(&self, why: impl AsRef<str>) -> Decision {
        Decision::refuse(self.set.clone(), why.as_ref())
    }

    /// The version of the policy set: the builder's, else the documents', else a fingerprint of the sources (which
    /// tells sets apart but is no proof of integrity).
    pub fn version(&self) -> &str {
        &self.set.version
    }

    /// How many policies there are.
    pub fn len(&self) -> usize {
        self.set.len()
    }

    /// Whether there are no policies, so that everything is denied.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("version", &self.version())
            .field("policies", &self.len())
            .finish()
    }
}

/// Collects sources and settings of an [`Engine`].
#[derive(Clone, Debug)]
#[must_use]
pub struct EngineBuilder {
    inputs: Vec<Input>,
    schema: Schema,
    version: Option<String>,
    limits: Limits,
    errors: Vec<LoadError>,
}

impl EngineBuilder {
    /// Replaces the standard schema.
    pub fn schema(mut self, schema: Schema) -> Self {
        self.schema = schema;
        self
    }

    /// Adds a YAML document; `name` appears in errors.
    pub fn yaml(self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.input(name.into(), Format::Yaml, text.into())
    }

    /// Adds a JSON document; `name` appears in errors.
    pub fn json(self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.input(name.into(), Format::Json, text.into())
    }

    fn input(mut self, file: String, format: Format, text: String) -> Self {
        self.inputs.push(Input { file, format, text });
        self
    }

    /// Adds a file; `.json` is JSON, everything else YAML. A file that cannot be read fails the build.
    pub fn file(mut self, path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        let json = path
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("json"));
        let format = if json { Format::Json } else { Format::Yaml };
        match std::fs::read_to_string(path) {
            Ok(text) => self.input(path.display().to_string(), format, text),
            Err(error) => {
                self.unreadable(path, &error.to_string());
                self
            }
        }
    }

    /// Adds every `.yaml`, `.yml` and `.json` file of a folder, by name. A folder without any fails the build.
    pub fn dir(mut self, path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        let files = std::fs::read_dir(path).and_then(|entries| {
            let paths = entries.map(|entry| entry.map(|e| e.path()));
            paths.collect::<Result<Vec<_>, _>>()
        });
        let mut files = match files {
            Ok(files) => files,
            Err(error) => {
                self.unreadable(path, &error.to_string());
                return self;
            }
        };
        files.retain(|file| {
            let extension = file.extension().and_then(|e| e.to_str());
            ["yaml", "yml", "json"]
                .iter()
                .any(|known| extension.is_some_and(|e| e.eq_ignore_ascii_case(known)))
        });
        files.sort();
        if files.is_empty() {
            self.unreadable(path, "no .yaml, .yml or .json file in it");
        }
        files.into_iter().fold(self, Self::file)
    }

    fn unreadable(&mut self, path: &Path, why: &str) {
        self.errors.push(LoadError {
            file: path.display().to_string(),
            line: 0,
            column: 0,
            message: format!("cannot be read: {why}"),
            excerpt: String::new(),
            indent: 0,
            width: 0,
            policy: None,
        });
    }

    /// Names the policy set; decisions carry it.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Sets the limits.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Reads, checks and compiles everything.
    ///
    /// # Errors
    /// All faults of all sources, each with file, line, column and the line it is on.
    pub fn build(self) -> Result<Engine, LoadErrors> {
        let set = compile(
            &self.inputs,
            self.schema,
            self.version,
            &self.limits,
            self.errors,
        )?;
        Ok(Engine { set: Arc::new(set) })
    }
}
