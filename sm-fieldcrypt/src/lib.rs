//! SM4 encryption of single database fields with a key hierarchy
#![forbid(unsafe_code)]
