//! Policy documents as text: YAML or JSON read into one tree whose every node knows its place.

mod json;
mod tree;
mod yaml;

pub(crate) use json::read_json;
pub(crate) use tree::{Entry, Fault, Kind, Node, Source};
pub(crate) use yaml::read_yaml;
