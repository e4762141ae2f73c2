//! Typed audit events in an SM3 hash chain with signed heads
#![forbid(unsafe_code)]
