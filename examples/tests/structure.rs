//! The architecture, checked: the four crates name no sibling, `sm-accel` and `sm-sdf` lie under them by choice, and
//! inside each crate imports point one way.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::MetadataCommand;
use syn::visit::Visit;

/// The crates that stand alone.
const CRATES: [&str; 4] = ["sm-jwt", "sm-fieldcrypt", "abac-engine", "audit-log"];

/// What the crates with cryptography may stand on, behind their default feature `accel`.
const PRIMITIVES: &str = "sm-accel";

/// What talks to a device's library: under `sm-fieldcrypt`, behind its feature `sdf`.
const DEVICES: &str = "sm-sdf";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

#[test]
fn the_four_crates_name_no_sibling() {
    let metadata = MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .unwrap();
    for name in CRATES {
        let package = metadata
            .packages
            .iter()
            .find(|p| p.name.as_str() == name)
            .unwrap();
        // Every kind: normal, dev, build, of every target and behind every feature. A dependency
        // carries the real package name here, whatever it was renamed to.
        for dependency in &package.dependencies {
            assert!(
                !CRATES.contains(&dependency.name.as_str()),
                "{name} names its sibling {} ({:?})",
                dependency.name,
                dependency.kind
            );
            assert!(
                dependency.path.is_none()
                    || (dependency.name == PRIMITIVES
                        && dependency.optional
                        && name != "abac-engine")
                    || (dependency.name == DEVICES
                        && dependency.optional
                        && name == "sm-fieldcrypt"),
                "{name} has a path dependency {}",
                dependency.name
            );
        }
        for (feature, enables) in &package.features {
            for sibling in CRATES {
                assert!(
                    !enables.iter().any(|e| e.contains(sibling)),
                    "feature {feature} of {name} names {sibling}"
                );
            }
        }
    }
}

#[test]
fn the_primitives_name_none_of_the_crates_above_them() {
    let metadata = MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .unwrap();
    for name in [PRIMITIVES, DEVICES] {
        let package = metadata
            .packages
            .iter()
            .find(|p| p.name.as_str() == name)
            .unwrap();
        for dependency in &package.dependencies {
            assert!(
                dependency.path.is_none(),
                "{name} names {}",
                dependency.name
            );
        }
    }
}

/// Without its default features, no crate has `unsafe` of the family's in its graph.
#[test]
fn without_accel_the_graph_has_rustcrypto_alone() {
    let graph = |name: &str, defaults: bool| {
        let mut cargo = std::process::Command::new(env!("CARGO"));
        cargo.current_dir(root()).args([
            "tree",
            "--offline",
            "--locked",
            "--edges",
            "normal,build",
            "--prefix",
            "none",
            "--format",
            "{p}",
            "--package",
            name,
        ]);
        if !defaults {
            cargo.arg("--no-default-features");
        }
        let output = cargo.output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .filter_map(|line| line.split(' ').next().map(str::to_owned))
            .collect::<BTreeSet<_>>()
    };
    for name in CRATES {
        assert!(!graph(name, false).contains(PRIMITIVES), "{name}");
        assert_eq!(
            graph(name, true).contains(PRIMITIVES),
            name != "abac-engine",
            "{name}"
        );
        // A device's library is loaded by those alone who ask for it.
        assert!(!graph(name, true).contains(DEVICES), "{name}");
    }
}

/// One room of one crate speaks to devices; `lib.rs` only passes the name on.
#[test]
fn only_the_sdf_kek_names_the_device_crate() {
    for name in CRATES {
        for (module, file) in Modules::of(name).files {
            let here = name == "sm-fieldcrypt"
                && (module.is_empty() || module.starts_with(&["kek".into(), "sdf".into()]));
            for path in imports(&file).absolute {
                assert!(
                    here || path.first().is_none_or(|first| first != "sm_sdf"),
                    "{}: names `sm_sdf`",
                    file.display()
                );
            }
        }
    }
}

/// `unsafe` is in the kernels of `sm-accel`, and where `sm-sdf` loads and calls a library.
#[test]
fn unsafe_of_the_device_crate_is_in_four_files() {
    let allowing: Vec<String> = Modules::of(DEVICES)
        .files
        .into_iter()
        .filter(|(_, file)| {
            std::fs::read_to_string(file)
                .unwrap()
                .contains("#![allow(unsafe_code)]")
        })
        .map(|(module, _)| module.join("::"))
        .collect();
    assert_eq!(allowing, ["device", "key", "session", "symbols"]);
}

#[test]
fn only_crypto_rs_names_a_backend() {
    const BACKENDS: [&str; 10] = [
        "sm_accel", "sm2", "sm3", "sha2", "sm4", "cipher", "ctr", "cbc", "hmac", "hkdf",
    ];
    for name in CRATES {
        for (module, file) in Modules::of(name).files {
            if module == ["crypto"] || module.first().is_some_and(|m| m == "crypto") {
                continue;
            }
            for path in imports(&file).absolute {
                let first = path.first().map(String::as_str).unwrap_or_default();
                assert!(
                    !BACKENDS.contains(&first),
                    "{}: names the backend `{first}`, which belongs in crypto.rs",
                    file.display()
                );
            }
        }
    }
}

/// The tool that guesses what would make a token verify is no part of verifying.
#[test]
fn nobody_calls_the_doctor() {
    let modules = Modules::of("sm-jwt");
    assert!(modules.files.contains_key(&vec!["doctor".to_owned()]));
    for (module, file) in &modules.files {
        for path in imports(file).resolved(module) {
            assert!(
                path.first().is_none_or(|first| first != "doctor") || module.is_empty(),
                "{}: imports the doctor",
                file.display()
            );
        }
    }
}

#[test]
fn imports_inside_a_crate_point_one_way() {
    for name in CRATES.into_iter().chain([PRIMITIVES, DEVICES]) {
        let modules = Modules::of(name);
        let mut graph: BTreeMap<&Module, BTreeSet<Module>> = BTreeMap::new();
        for (module, file) in &modules.files {
            let used = imports(file)
                .resolved(module)
                .into_iter()
                .map(|path| modules.file_of(&path))
                .filter(|target| target != module)
                .collect::<BTreeSet<_>>();
            if !module.is_empty() {
                assert!(
                    !used.contains(&Module::new()),
                    "{}: imports through lib.rs, which only re-exports",
                    file.display()
                );
            }
            graph.insert(module, used);
        }
        let edges: usize = graph.values().map(BTreeSet::len).sum();
        assert!(
            edges > modules.files.len(),
            "{name}: only {edges} imports seen"
        );
        if let Some(cycle) = cycle_in(&graph) {
            panic!("{name}: imports in a circle: {}", cycle.join(" -> "));
        }
    }
}

/// `["kek", "software"]` for `kek/software.rs`; empty for `lib.rs`.
type Module = Vec<String>;

struct Modules {
    files: BTreeMap<Module, PathBuf>,
}

impl Modules {
    fn of(name: &str) -> Self {
        let mut files = BTreeMap::new();
        let source = root().join(name).join("src");
        collect(&source, &Vec::new(), &mut files);
        assert!(files.len() > 3, "{name}: sources not found");
        Self { files }
    }

    /// The file that holds what a path names: its longest prefix that is a file.
    fn file_of(&self, path: &[String]) -> Module {
        let mut longest = path.to_vec();
        while !self.files.contains_key(&longest) {
            longest.pop();
        }
        longest
    }
}

fn collect(dir: &Path, module: &Module, files: &mut BTreeMap<Module, PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let child = || {
            module
                .iter()
                .cloned()
                .chain([stem.clone()])
                .collect::<Module>()
        };
        if path.is_dir() {
            collect(&path, &child(), files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let module = if stem == "lib" || stem == "mod" {
                module.clone()
            } else {
                child()
            };
            files.insert(module, path);
        }
    }
}

/// Paths that a file uses outside its tests.
#[derive(Default)]
struct Imports {
    absolute: Vec<Vec<String>>,
    children: BTreeSet<String>,
}

impl Imports {
    /// Paths into the crate, from its root.
    fn resolved(&self, module: &Module) -> Vec<Vec<String>> {
        let mut resolved = Vec::new();
        for path in &self.absolute {
            let mut base = match path.first().map(String::as_str) {
                Some("crate") => Vec::new(),
                Some("self") => module.clone(),
                Some("super") => module[..module.len() - 1].to_vec(),
                Some(first) if self.children.contains(first) => {
                    let mut base = module.clone();
                    base.push(first.to_owned());
                    base
                }
                _ => continue,
            };
            base.extend(path.iter().skip(1).filter(|p| *p != "super").cloned());
            resolved.push(base);
        }
        resolved
    }
}

fn imports(file: &Path) -> Imports {
    let text = std::fs::read_to_string(file).unwrap();
    let parsed = syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let mut visitor = Visitor::default();
    visitor.visit_file(&parsed);
    visitor.imports
}

#[derive(Default)]
struct Visitor {
    imports: Imports,
    inline_depth: usize,
}

fn only_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|a| {
        a.path().is_ident("cfg")
            && a.parse_args::<syn::Path>()
                .is_ok_and(|p| p.is_ident("test"))
    })
}

impl<'ast> Visit<'ast> for Visitor {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if only_for_tests(&item.attrs) {
            return;
        }
        if item.content.is_none() {
            if self.inline_depth == 0 {
                self.imports.children.insert(item.ident.to_string());
            }
            return;
        }
        self.inline_depth += 1;
        syn::visit::visit_item_mod(self, item);
        self.inline_depth -= 1;
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if only_for_tests(&item.attrs) {
            return;
        }
        let mut paths = Vec::new();
        flatten(&item.tree, &mut Vec::new(), &mut paths);
        // `super` inside an inline module is the file's own module.
        paths.retain(|path| self.inline_depth == 0 || path.first().is_none_or(|n| n != "super"));
        self.imports.absolute.append(&mut paths);
    }

    /// `pub(in crate::sm4)` says who may see something, and uses nothing.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        // `super` inside an inline module is the file's own module.
        let local = self.inline_depth > 0 && names.first().is_some_and(|n| n == "super");
        if names.len() > 1 && !local {
            self.imports.absolute.push(names);
        }
        syn::visit::visit_path(self, path);
    }
}

fn flatten(tree: &syn::UseTree, prefix: &mut Vec<String>, into: &mut Vec<Vec<String>>) {
    match tree {
        syn::UseTree::Path(path) => {
            prefix.push(path.ident.to_string());
            flatten(&path.tree, prefix, into);
            prefix.pop();
        }
        syn::UseTree::Group(group) => {
            for item in &group.items {
                flatten(item, prefix, into);
            }
        }
        syn::UseTree::Name(name) => {
            into.push(
                prefix
                    .iter()
                    .cloned()
                    .chain([name.ident.to_string()])
                    .collect(),
            );
        }
        syn::UseTree::Rename(name) => {
            into.push(
                prefix
                    .iter()
                    .cloned()
                    .chain([name.ident.to_string()])
                    .collect(),
            );
        }
        syn::UseTree::Glob(_) => into.push(prefix.clone()),
    }
}

/// A circle, if there is one.
fn cycle_in(graph: &BTreeMap<&Module, BTreeSet<Module>>) -> Option<Vec<String>> {
    fn walk<'a>(
        at: &'a Module,
        graph: &'a BTreeMap<&Module, BTreeSet<Module>>,
        path: &mut Vec<&'a Module>,
        done: &mut BTreeSet<&'a Module>,
    ) -> Option<Vec<String>> {
        if let Some(start) = path.iter().position(|m| *m == at) {
            let names = path[start..].iter().copied().chain([at]);
            return Some(names.map(|m| m.join("::")).collect());
        }
        if !done.insert(at) {
            return None;
        }
        path.push(at);
        for next in graph.get(at).into_iter().flatten() {
            if let Some(cycle) = walk(next, graph, path, done) {
                return Some(cycle);
            }
        }
        path.pop();
        None
    }
    let mut done = BTreeSet::new();
    graph
        .keys()
        .find_map(|start| walk(start, graph, &mut Vec::new(), &mut done))
}

#[test]
fn a_circle_is_found() {
    let a = vec!["a".to_owned()];
    let b = vec!["b".to_owned()];
    let c = vec!["c".to_owned()];
    let one_way = BTreeMap::from([
        (&a, BTreeSet::from([b.clone(), c.clone()])),
        (&b, BTreeSet::from([c.clone()])),
        (&c, BTreeSet::new()),
    ]);
    assert_eq!(cycle_in(&one_way), None);
    let circle = BTreeMap::from([
        (&a, BTreeSet::from([b.clone()])),
        (&b, BTreeSet::from([c.clone()])),
        (&c, BTreeSet::from([a.clone()])),
    ]);
    assert_eq!(cycle_in(&circle).unwrap(), ["a", "b", "c", "a"]);
}
