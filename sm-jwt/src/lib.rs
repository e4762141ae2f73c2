//! SM2 JWS tokens: strict parsing, typed verification, replay and key handling
#![forbid(unsafe_code)]
