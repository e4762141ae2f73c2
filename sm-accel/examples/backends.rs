//! Prints the backends of this CPU and the kernels of each; `--names` prints names alone.
#![allow(clippy::print_stdout)]

use sm_accel::{Backend, Report};

fn main() {
    let names_alone = std::env::args().any(|argument| argument == "--names");
    for backend in Backend::available() {
        if names_alone {
            println!("{backend}");
        } else {
            println!("{}", Report::of(backend));
        }
    }
    if !names_alone {
        println!("in use: {}", sm_accel::report());
    }
}
